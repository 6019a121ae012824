"""Which hosts are counted, and what their acknowledgements are worth."""

from __future__ import annotations

from addrcast.core.domain.keyspace import acknowledgement_key
from addrcast.core.domain.record import Acknowledgement, Host, HostState
from addrcast.core.propagation.audience import Listener, LostHosts, Wait, account_audience, audience_of
from addrcast.simulation.cluster import ModelCluster


def host(state: HostState = HostState.UP, incarnation: int = 2, *, is_draining: bool = False) -> Host:
    return Host(state=state, incarnation=incarnation, blocks=())


def applied(revision: int, *, epoch: int = 3, incarnation: int = 2) -> Acknowledgement:
    return Acknowledgement(epoch=epoch, revision=revision, incarnation=incarnation)


def test_an_acknowledgement_counts_in_its_epoch_and_incarnation_only() -> None:
    audience = audience_of(
        [
            Listener("h5", host(), None),
            Listener("h4", host(), applied(9, incarnation=1)),
            Listener("h3", host(), applied(9, epoch=2)),
            Listener("h2", host(), applied(7)),
            Listener("h1", host(), applied(9)),
        ],
        epoch=3,
        lost_hosts=LostHosts.LEFT_OUT,
    )
    assert audience.behind(8) == tuple(Wait(name, 8) for name in ("h2", "h3", "h4", "h5"))
    assert [wait.host for wait in audience.behind(7)] == ["h3", "h4", "h5"]
    assert str(audience.behind(8)[0]) == "waiting for host h2 at revision 8"


def test_hosts_that_drain_or_rejoin_are_counted_and_removed_ones_are_not() -> None:
    audience = audience_of(
        [
            Listener("h1", host(is_draining=True), applied(9)),
            Listener("h2", host(HostState.REJOINING), None),
            Listener("h3", None, applied(9)),
        ],
        epoch=3,
        lost_hosts=LostHosts.WAITED_FOR,
    )
    assert sorted(audience.counted) == ["h1", "h2"]
    assert audience.left_out == ("h3",)
    assert audience.has("h3")
    assert not audience.has("h4")


def test_a_lost_host_is_left_out_only_where_every_receiver_checks() -> None:
    lost = [Listener("h1", host(HostState.LOST), applied(9))]
    assert audience_of(lost, epoch=3, lost_hosts=LostHosts.LEFT_OUT).behind(100) == ()
    assert audience_of(lost, epoch=3, lost_hosts=LostHosts.WAITED_FOR).behind(100) == (Wait("h1", 100),)


def test_the_audience_of_an_account_is_its_subscribers() -> None:
    cluster = ModelCluster()
    cluster.add_account("a", vni=7)
    cluster.add_account("b", vni=8)
    for name in ("h1", "h2"):
        cluster.add_host(name)
    cluster.subscribe("h1", "a")
    cluster.subscribe("h2", "b")
    assert account_audience(cluster.ledger(), "a").counted == {"h1": -1}
    assert account_audience(cluster.ledger(), "c").behind(1) == ()


def test_what_a_host_acknowledged_for_one_account_says_nothing_of_another() -> None:
    cluster = ModelCluster()
    for vni, account in enumerate(("a", "b"), start=7):
        cluster.add_account(account, vni=vni)
    cluster.add_host("h1")
    for account in ("a", "b"):
        cluster.subscribe("h1", account)
    incarnation = cluster.ledger().host("h1").required.incarnation
    cluster.put(acknowledgement_key("h1", "b"), applied(99, epoch=1, incarnation=incarnation))
    assert account_audience(cluster.ledger(), "b").behind(50) == ()
    assert account_audience(cluster.ledger(), "a").behind(50) == (Wait("h1", 50),)

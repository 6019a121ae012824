"""After a restore the records become what hosts have attached, and the store stays closed until they are."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.core.controller.site import World

from addrcast.core.controller.attachments import Heard, Settling
from addrcast.core.controller.messages import Duty
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import (
    EPOCH,
    account_key,
    attachments_key,
    host_key,
    host_report_key,
    instance_key,
    pool_address_key,
    pool_key,
    record_key,
)
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import (
    AddressState,
    Attached,
    Attachments,
    EpochState,
    HostReport,
    HostState,
    InstanceEntry,
    InstanceState,
    StoreEpoch,
)
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.core.domain.transaction import Delete, Transaction
from addrcast.core.domain.transitions import FreeAddress
from addrcast.core.domain.transitions_create import Claim, create, dynamic
from addrcast.core.domain.transitions_epoch import accept_host
from addrcast.simulation.cluster import attached_on

Had = dict[str, tuple[Attached, ...]]


def had(logical: str, instance: str, *, physical: str = "", attempt: int = 0, account: str = "a") -> Had:
    return {account: (Attached(logical, physical, instance, attempt),)}


class Restored(World):
    """A world whose store is restored with its hosts having something else attached than it says."""

    def restore(self, **attached: Had | None) -> None:
        for name, host in self.cluster.hosts.items():
            host.attach(attached.get(name, {}), self.cluster.now_ms)
            if attached.get(name, {}) is None:
                host.start(self.cluster.now_ms)
        self.cluster.put(EPOCH, StoreEpoch(epoch=2, state=EpochState.CLOSED))
        self.pass_ms(3_000)

    @property
    def ledger(self) -> Ledger:
        return self.cluster.ledger()

    def opens(self) -> bool:
        return self.ledger.epoch.required.state is EpochState.OPEN

    def bound(self, logical: str, account: str = "a") -> tuple[str, str, str, int] | None:
        record = self.ledger.record(account, logical).value
        if record is None or record.state is not AddressState.BOUND:
            return None
        return record.instance, record.host, record.physical, record.attempt

    def accept(self, host: str) -> None:
        ledger = self.ledger
        report = ledger.host_report(host)
        value = report.value or HostReport(epoch=ledger.epoch.required.epoch, incarnation=0, is_known=False)
        assert self.cluster.commit(accept_host(ledger.epoch, report, value))

    def pending(self) -> list[str]:
        ledger = self.ledger
        settling = Settling(ledger, Heard(ledger), fence=self.cluster.fence, now_ms=self.cluster.now_ms)
        assert list(settling.drafts()) == []
        return [each.why for each in settling.pending]


@pytest.fixture
def world() -> Restored:
    return Restored()


def test_what_is_bound_and_attached_stays_and_the_store_opens(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    before = world.ledger.record("a", "10.0.0.0")
    world.restore(h1=attached_on(world.ledger, "h1"))
    assert world.opens()
    assert world.ledger.record("a", "10.0.0.0") == before


def test_what_is_bound_and_nowhere_attached_cools_and_comes_free(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.restore()
    assert not world.ledger.instance("a", "i1")
    assert world.opens()
    world.pass_ms(2_000)
    assert world.state("10.0.0.0") is None
    assert violations(world.ledger) == []


def test_what_was_bound_since_the_backup_is_taken_over_where_it_is(world: Restored) -> None:
    world.restore(h1=had("10.0.0.9", "i9", physical="172.16.1.7", attempt=3))
    assert world.bound("10.0.0.9") == ("i9", "h1", "172.16.1.7", 3)
    assert world.opens()
    assert violations(world.ledger) == []


@pytest.mark.parametrize("physical", ["172.16.1.0", "172.16.2.3", "", "192.0.2.1"])
def test_a_physical_address_that_is_taken_or_not_the_hosts_is_replaced(world: Restored, physical: str) -> None:
    world.cluster.reserve("a", "h1")
    world.restore(h1=had("10.0.0.9", "i9", physical=physical))
    assert world.bound("10.0.0.9") == ("i9", "h1", "172.16.1.1", 0)
    assert world.opens()


def test_two_that_are_taken_over_at_once_get_different_physical_addresses(world: Restored) -> None:
    both = (Attached("10.0.0.9", "", "i9", 0), Attached("10.0.0.8", "172.16.1.0", "i8", 0))
    world.restore(h1={"a": both})
    assert world.bound("10.0.0.9") == ("i9", "h1", "172.16.1.0", 0)
    assert world.bound("10.0.0.8") == ("i8", "h1", "172.16.1.1", 0)


def test_an_instance_with_two_addresses_is_taken_over_whole(world: Restored) -> None:
    both = (Attached("10.0.0.9", "172.16.1.7", "i9", 0), Attached("10.0.0.8", "172.16.1.8", "i9", 0))
    world.restore(h1={"a": both})
    assert world.ledger.instance("a", "i9").required.addresses == ("10.0.0.9", "10.0.0.8")
    assert world.opens()


def test_an_instance_that_has_moved_since_is_bound_where_it_is_now(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.restore(h2=had("10.0.0.0", "i1", physical="172.16.2.5", attempt=1))
    assert world.bound("10.0.0.0") == ("i1", "h2", "172.16.2.5", 1)
    assert world.opens()
    assert violations(world.ledger) == []


def test_an_instance_that_has_another_address_since_gets_that(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.restore(h1=had("10.0.0.5", "i1", physical="172.16.1.5"))
    assert world.bound("10.0.0.5") == ("i1", "h1", "172.16.1.5", 0)
    assert world.bound("10.0.0.0") is None
    assert world.opens()


def test_an_instance_that_was_created_anew_at_its_place_gets_its_attempt(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.restore(h1=had("10.0.0.0", "i1", attempt=4))
    assert world.bound("10.0.0.0") == ("i1", "h1", "172.16.1.0", 4)
    assert world.ledger.instance("a", "i1").required.attempt == 4


@pytest.mark.parametrize("host", ["h1", "h2"])
@pytest.mark.parametrize("state", ["reserved", "preserved", "cooling"])
def test_an_address_that_was_idle_in_the_backup_is_bound_where_it_is_attached(
    world: Restored, state: str, host: str
) -> None:
    cluster = world.cluster
    if state == "preserved":
        cluster.create("a", "before", "h1")
        cluster.delete("a", "before")
    else:
        cluster.reserve("a", "h1")
        if state == "cooling":
            cluster.hosts["h2"].is_cut_off = True  # so that it goes on cooling
            cluster.cool("a", "10.0.0.0")
            cluster.hosts["h2"].is_cut_off = False
    world.restore(**{host: had("10.0.0.0", "i1", physical=f"172.16.{host[1]}.6")})
    found = world.bound("10.0.0.0")
    assert found is not None
    assert found[:2] == ("i1", host)
    assert world.opens()
    assert violations(world.ledger) == []


def test_what_was_deleted_meanwhile_is_not_taken_over(world: Restored) -> None:
    stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=2, since_ms=world.cluster.now_ms)
    world.cluster.put(instance_key("a", "i9"), stone)
    world.restore(h1=had("10.0.0.9", "i9", attempt=2))
    assert world.state("10.0.0.9") is None
    assert world.opens()


def test_no_tombstone_ends_while_a_host_may_report_what_was_deleted(world: Restored) -> None:
    stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=2, since_ms=world.cluster.now_ms)
    world.cluster.put(instance_key("a", "i9"), stone)
    world.restore(h1=had("10.0.0.9", "i9", attempt=2), h2=None)
    world.pass_ms(2 * world.settings.tombstone_ms, step_ms=500)
    assert world.ledger.instance("a", "i9")
    world.accept("h2")
    world.pass_ms(1_000)
    assert world.opens()
    assert not world.ledger.instance("a", "i9")
    assert world.state("10.0.0.9") is None


def test_an_address_that_somebody_else_had_in_the_backup_goes_to_who_has_it_now(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.restore(h1=had("10.0.0.0", "i2", physical="172.16.1.9"))
    assert world.bound("10.0.0.0") == ("i2", "h1", "172.16.1.0", 0)
    assert not world.ledger.instance("a", "i1")
    assert world.opens()


def test_an_address_that_two_instances_have_keeps_the_store_closed(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.restore(h1=attached_on(world.ledger, "h1"), h2=had("10.0.0.0", "i2"))
    assert not world.opens()
    assert world.pending() == ["10.0.0.0 is bound to i1"]
    world.accept("h2")
    world.pass_ms(1_000)
    assert world.opens()
    assert world.pending() == []


def test_of_two_hosts_that_have_an_instance_the_one_the_store_names_is_right(world: Restored) -> None:
    world.cluster.create("a", "i1", "h2")
    world.restore(h1=had("10.0.0.0", "i1"), h2=attached_on(world.ledger, "h2"))
    assert world.bound("10.0.0.0") == ("i1", "h2", "172.16.2.0", 0)
    assert world.opens()


def test_of_two_hosts_that_the_store_does_not_name_the_later_attempt_is_right(world: Restored) -> None:
    world.restore(h1=had("10.0.0.5", "i1", attempt=1), h2=had("10.0.0.5", "i1", attempt=2))
    assert world.bound("10.0.0.5") == ("i1", "h2", "172.16.2.0", 2)
    assert world.opens()


def test_a_host_that_does_not_know_keeps_the_store_closed_until_it_is_accepted(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.cluster.create("a", "i2", "h2")
    world.restore(h1=None, h2=attached_on(world.ledger, "h2"))
    assert not world.opens()
    assert Heard(world.ledger).unknowing == ["h1"]
    world.accept("h1")
    world.cluster.hosts["h1"].start(world.cluster.now_ms)  # the word outlives the agent's process
    world.pass_ms(1_000)
    assert world.opens()
    assert world.bound("10.0.0.0") == ("i1", "h1", "172.16.1.0", 0)


def test_an_accepted_host_that_learns_what_it_has_is_gone_by(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.restore(h1=None)
    world.cluster.hosts["h1"].attach({}, world.cluster.now_ms)
    world.pass_ms(1_000)
    assert world.opens()
    assert world.bound("10.0.0.0") is None


def test_a_host_that_says_nothing_keeps_the_store_closed_until_it_is_accepted(world: Restored) -> None:
    world.restore()
    world = Restored()
    world.restore(h1=had("10.0.0.5", "i1"), h2=None)
    for key in (host_report_key("h1"), attachments_key("h1", "a")):
        world.cluster.store.commit([Transaction((), (Delete(key),))])
    heard = Heard(world.ledger)
    assert (heard.silent, heard.unknowing, heard.known) == (["h1"], ["h2"], set())
    world.accept("h1")
    world.accept("h2")
    world.pass_ms(1_000)
    assert world.opens()


def test_what_was_said_in_another_epoch_or_incarnation_or_in_part_counts_for_nothing(world: Restored) -> None:
    world.restore(h2=None)
    incarnation = world.ledger.host("h1").required.incarnation
    said = HostReport(epoch=2, incarnation=incarnation, is_known=True)
    for report in (
        HostReport(epoch=1, incarnation=incarnation, is_known=True, is_accepted=True),
        HostReport(epoch=2, incarnation=incarnation - 1, is_known=True),
        HostReport(epoch=2, incarnation=incarnation, is_known=True, accounts=1),
    ):
        world.cluster.put(host_report_key("h1"), report)
        assert Heard(world.ledger).silent == ["h1"]
    old = Attachments(epoch=1, incarnation=incarnation, attached=(Attached("10.0.0.5", "", "i1", 0),))
    world.cluster.put(attachments_key("h1", "a"), old)
    world.cluster.put(attachments_key("gone", "a"), old)
    world.cluster.put(host_report_key("h1"), said)
    heard = Heard(world.ledger)
    assert (heard.known, heard.attached) == ({"h1"}, {})


def test_what_is_bound_on_a_lost_host_stays_bound(world: Restored) -> None:
    world.cluster.create("a", "i1", "h2")
    lost = world.ledger.host("h2").required
    world.cluster.hosts["h2"].kill()
    world.cluster.set_silent("h2")
    world.restore()
    assert not world.opens()
    world.pass_ms(11_000, step_ms=1_000)
    assert world.ledger.host("h2").required.state is HostState.LOST
    assert lost.state is HostState.UP
    assert world.opens()
    assert world.bound("10.0.0.0") == ("i1", "h2", "172.16.2.0", 0)


def test_an_account_that_the_backup_does_not_know_is_to_be_declared_first(world: Restored) -> None:
    world.restore(h1=had("10.0.0.5", "i1", account="late"))
    assert not world.opens()
    assert world.pending() == ["account late is not declared"]
    world.cluster.put(account_key("late"), Account(tier="basic", vni=99, pools=("none",)))
    assert world.pending() == ["10.0.0.5 lies in no pool of account late"]
    world.cluster.put(account_key("late"), Account(tier="basic", vni=99, pools=("logical",)))
    world.pass_ms(2_000)
    assert world.bound("10.0.0.5", "late") == ("i1", "h1", "172.16.1.0", 0)
    assert world.opens()


@pytest.mark.parametrize("is_ready", [False, True])
def test_a_host_without_a_free_physical_address_takes_nothing_over(world: Restored, is_ready: bool) -> None:
    for _ in range(16):
        world.cluster.reserve("a", "h1")
    if is_ready:
        world.cluster.reserve("a", "h2")
    logical = "10.0.0.16"
    world.restore(h1=had(logical, "i1"))
    assert world.pending() == ["no physical address of host h1 is free"]
    assert not world.opens()


@pytest.mark.parametrize("state", ["reserved", "bound"])
def test_in_a_shared_pool_the_account_that_had_the_address_before_gives_it_up(world: Restored, state: str) -> None:
    cluster = world.cluster
    cluster.put(pool_key("common"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.0.0/24",), is_shared=True))
    for name, vni in (("b", 8), ("c", 9)):
        cluster.put(account_key(name), Account(tier="basic", vni=vni, pools=("common",)))
    ledger = world.ledger
    claim = Claim("b", "before", 0, cluster.now_ms)
    free = FreeAddress(
        record=ledger.record("b", "10.9.0.1"),
        hold=ledger.physical("172.16.1.0"),
        pool=ledger.pool("common"),
        host=ledger.host("h1"),
        account=ledger.account("b"),
        owner=ledger.pool_address("common", "10.9.0.1"),
    )
    subscription = ledger.subscription("h1", "b")
    steps = [dynamic(free, claim)]
    cluster.commit(create(ledger.epoch, ledger.instance("b", "before"), claim, steps, subscription=subscription))
    if state == "reserved":
        cluster.delete("b", "before")
    world.restore(h1=had("10.9.0.1", "i1", account="c"))
    world.pass_ms(4_000)
    assert world.bound("10.9.0.1", "c") is not None
    assert world.opens()
    assert world.ledger.pool_address("common", "10.9.0.1").required.account == "c"
    assert violations(world.ledger) == []
    assert pool_address_key("common", "10.9.0.1") in {item.key for item in cluster.store.scan("").items}


def test_a_binding_that_is_broken_is_left_for_check_to_find(world: Restored) -> None:
    world.cluster.create("a", "i1", "h1")
    world.cluster.store.commit([Transaction((), (Delete(record_key("a", "10.0.0.0")),))])
    world.restore()
    assert world.ledger.instance("a", "i1").required.state is InstanceState.BOUND
    assert world.opens()


def test_a_frozen_store_is_looked_at_now_and_then_and_nothing_is_done(world: Restored) -> None:
    world.cluster.reserve("a", "h1")
    world.cluster.cool("a", "10.0.0.0")
    world.cluster.put(EPOCH, StoreEpoch(epoch=1, state=EpochState.FROZEN))
    world.settle_hosts()
    world.look()
    before = world.cluster.store.revision
    deadline_ms = world.control.machine.deadline_ms(world.cluster.now_ms)
    assert deadline_ms == world.cluster.now_ms + world.settings.retry_ms
    world.pass_ms(3_000)
    assert world.cluster.store.revision == before
    assert world.asked(Duty.COOLING) == []
    world.cluster.put(EPOCH, StoreEpoch(epoch=1))
    world.pass_ms(3_000)
    assert world.state("10.0.0.0") is None


def test_a_draining_host_takes_over_what_it_has_at_its_own_address(world: Restored) -> None:
    host = world.ledger.host("h1").required
    world.cluster.put(host_key("h1"), replace(host, is_draining=True))
    world.restore(h1=had("10.0.0.9", "i9", physical="172.16.1.7"))
    assert world.bound("10.0.0.9") == ("i9", "h1", "172.16.1.7", 0)

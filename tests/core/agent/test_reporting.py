"""What an agent reports of its attachments to a closed store, and that it writes nothing to a frozen one."""

from __future__ import annotations

from msgspec.structs import replace
from tests.core.agent.test_agent import OneHost

from addrcast.core.agent.messages import AttachmentsKnown, Commit, Purpose
from addrcast.core.controller.attachments import Heard
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import Attached, EpochState, HostReport, StoreEpoch, Subscription
from addrcast.core.domain.transitions_epoch import accept_host

ONE = {"a": (Attached("10.0.0.0", "172.16.1.0", "i1", 0),), "empty": ()}


def report_of(world: OneHost) -> HostReport:
    return world.cluster.ledger().host_report("h1").required


def close(world: OneHost, state: EpochState = EpochState.CLOSED) -> None:
    world.cluster.put(EPOCH, StoreEpoch(epoch=2, state=state))
    world.pass_ms(500)


def commits(world: OneHost, purpose: Purpose) -> list[Commit]:
    return [effect for effect in world.host.asked if isinstance(effect, Commit) and effect.purpose is purpose]


def test_no_report_is_written_to_an_open_store() -> None:
    world = OneHost()
    world.host.attach(ONE, world.cluster.now_ms)
    world.pass_ms(500)
    assert not world.cluster.ledger().host_report("h1")


def test_a_report_stands_before_anything_is_acknowledged_in_the_epoch() -> None:
    world = OneHost()
    world.host.attach(ONE, world.cluster.now_ms)
    close(world)
    ledger = world.cluster.ledger()
    report = ledger.host_report("h1")
    assert report.required == HostReport(epoch=2, incarnation=2, is_known=True, accounts=1)
    assert [(rest, entry.required.attached) for rest, entry in ledger.attachments().items()] == [("h1.a", ONE["a"])]
    acknowledged = ledger.acknowledgement("h1", "a")
    assert acknowledged.required.epoch == 2
    assert report.revision < acknowledged.revision


def test_an_agent_that_does_not_know_says_so() -> None:
    world = OneHost()
    world.host.attach(None, world.cluster.now_ms)
    world.host.start(world.cluster.now_ms)
    close(world)
    assert (report_of(world).epoch, report_of(world).is_known) == (2, False)


def test_what_changes_while_the_store_is_closed_is_reported_anew() -> None:
    world = OneHost()
    close(world)
    assert report_of(world).accounts == 0
    before = world.cluster.ledger().host("h1")
    world.host.attach(ONE, world.cluster.now_ms)
    world.pass_ms(250)
    assert report_of(world).accounts == 1
    world.host.attach(ONE, world.cluster.now_ms)
    assert commits(world, Purpose.REPORT) == []
    world.host.attach({}, world.cluster.now_ms)
    world.pass_ms(250)
    assert report_of(world).accounts == 0
    (said,) = world.cluster.ledger().attachments().values()
    assert said.required.attached == ()
    assert Heard(world.cluster.ledger()).silent == []
    assert world.cluster.ledger().host("h1") == before


def test_a_report_that_an_operator_accepted_meanwhile_is_written_after_joining_again() -> None:
    world = OneHost()
    close(world)
    ledger = world.cluster.ledger()
    assert world.cluster.commit(accept_host(ledger.epoch, ledger.host_report("h1"), report_of(world)))
    world.host.attach(ONE, world.cluster.now_ms)
    world.pass_ms(500)
    found = report_of(world)
    assert (found.accounts, found.is_accepted, found.incarnation) == (1, True, 3)


def test_a_report_that_loses_its_compare_is_begun_anew() -> None:
    world = OneHost()
    world.cluster.put(EPOCH, StoreEpoch(epoch=2, state=EpochState.CLOSED))
    world.deliver_all()
    world.cluster.now_ms += 1_000
    world.host.tick(world.cluster.now_ms)
    world.until(Commit, Purpose.REPORT)
    host = world.cluster.ledger().host("h1")
    world.cluster.put(host.key, replace(host.required, is_draining=True))
    world.pass_ms(500)
    assert report_of(world).incarnation == world.cluster.ledger().host("h1").required.incarnation


def test_a_report_without_an_answer_is_begun_anew() -> None:
    world = OneHost()
    world.cluster.put(EPOCH, StoreEpoch(epoch=2, state=EpochState.CLOSED))
    world.deliver_all()
    world.cluster.now_ms += 1_000
    world.host.tick(world.cluster.now_ms)
    world.until(Commit, Purpose.REPORT)
    world.host.carry_out(world.host.asked.index(commits(world, Purpose.REPORT)[0]), is_reply_lost=True)
    world.pass_ms(2_000)
    found = report_of(world)
    assert found.incarnation == world.cluster.ledger().host("h1").required.incarnation
    assert found.is_known


def test_a_later_report_without_an_answer_makes_the_host_join_again() -> None:
    world = OneHost()
    close(world)
    world.host.give(AttachmentsKnown(ONE), world.cluster.now_ms)
    (asked,) = commits(world, Purpose.REPORT)
    world.host.carry_out(world.host.asked.index(asked), is_reply_lost=True)
    world.pass_ms(2_000)
    assert (report_of(world).accounts, report_of(world).incarnation) == (1, 3)


def test_an_agent_writes_nothing_to_a_frozen_store_and_goes_on_once_it_is_thawed() -> None:
    world = OneHost()
    world.cluster.create("a", "i1", "h1")
    world.cluster.put(EPOCH, StoreEpoch(epoch=1, state=EpochState.FROZEN))
    before = world.cluster.store.revision
    world.pass_ms(5_000)
    assert world.cluster.store.revision == before
    assert world.host.machine is not None
    due_ms = world.host.machine.deadline_ms(world.cluster.now_ms)
    assert due_ms is None or due_ms > world.cluster.now_ms
    world.cluster.put(EPOCH, StoreEpoch(epoch=1))
    world.pass_ms(500)
    found = world.acknowledged()
    assert found is not None
    assert found.revision >= world.cluster.ledger().record("a", "10.0.0.0").revision


def test_an_agent_that_starts_on_a_frozen_store_waits() -> None:
    world = OneHost()
    world.cluster.put(EPOCH, StoreEpoch(epoch=1, state=EpochState.FROZEN))
    world.host.start(world.cluster.now_ms)
    before = world.cluster.store.revision
    world.pass_ms(3_000)
    assert world.cluster.store.revision == before
    assert "frozen" in world.host.reports[-1]
    world.cluster.put(EPOCH, StoreEpoch(epoch=1))
    world.pass_ms(3_000)
    assert world.cluster.ledger().host("h1").required.incarnation == 2


def test_a_host_that_was_leaving_when_the_store_froze_leaves_once_it_is_thawed() -> None:
    world = OneHost()
    subscription = world.cluster.ledger().subscription("h1", "a")
    world.cluster.put(EPOCH, StoreEpoch(epoch=1, state=EpochState.FROZEN))
    world.pass_ms(250)
    world.cluster.put(subscription.key, Subscription(is_leaving=True))
    world.pass_ms(1_000)
    assert world.cluster.ledger().subscription("h1", "a")
    world.cluster.put(EPOCH, StoreEpoch(epoch=1))
    world.pass_ms(1_000)
    assert not world.cluster.ledger().subscription("h1", "a")

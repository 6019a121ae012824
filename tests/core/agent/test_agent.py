"""One host's agent: counted first, complete before it says so, patient with what fails."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from addrcast.core.agent.machine import Phase
from addrcast.core.agent.messages import (
    Away,
    Changed,
    Commit,
    Compacted,
    Disturbed,
    DumpTable,
    ListSubscriptions,
    Program,
    Purpose,
    ReadHost,
    ScanAccount,
    Started,
)
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.dataplane.table import TableEntry, TableKey
from addrcast.core.domain.codec import decode, encode
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import (
    EPOCH,
    account_key,
    acknowledgement_key,
    host_key,
    record_key,
    subscription_key,
)
from addrcast.core.domain.record import (
    Acknowledgement,
    AddressState,
    EpochState,
    Host,
    HostState,
    Record,
    StoreEpoch,
)
from addrcast.core.domain.transaction import Delete, Put, Transaction
from addrcast.core.domain.transitions_host import host_lost
from addrcast.simulation.cluster import ModelCluster
from addrcast.simulation.hosts import ModelHost

NEWER = encode(StoreEpoch(epoch=1)).replace(b'"v":2', b'"v":99')


class OneHost:
    """Host h1 and account a; `pass_ms` lets time pass in small steps and does everything there is to do."""

    def __init__(self, settings: AgentSettings | None = None, *, is_started: bool = True) -> None:
        self.cluster = ModelCluster(settings=settings)
        self.cluster.add_account("a", vni=7)
        self.host: ModelHost = self.cluster.add_host("h1")
        self.cluster.subscribe("h1", "a")
        if is_started:
            self.host.start(self.cluster.now_ms)
            self.settle()

    def settle(self) -> None:
        self.host.settle(self.cluster.now_ms)

    def deliver_all(self) -> None:
        """The watch brings what there is, and nothing that is asked for is done."""
        while self.host.deliver(self.cluster.now_ms):
            pass

    def pass_ms(self, passed_ms: int, *, step_ms: int = 100) -> None:
        for _ in range(0, passed_ms, step_ms):
            self.cluster.now_ms += step_ms
            self.settle()

    def write(self, key: str, value: bytes | None) -> None:
        self.cluster.store.commit([Transaction((), (Delete(key) if value is None else Put(key, value),))])

    def is_in(self, phase: Phase) -> bool:
        return self.phase is phase

    @property
    def phase(self) -> Phase:
        assert self.host.machine is not None
        return self.host.machine.phase

    def next_commit(self) -> Purpose:
        (commit,) = [effect for effect in self.host.asked if isinstance(effect, Commit)]
        return commit.purpose

    def until(self, kind: type, purpose: Purpose | None = None) -> None:
        """Do one thing after the other until the next one asked for is of a kind."""
        while not (
            self.host.asked
            and isinstance(self.host.asked[0], kind)
            and purpose in (None, getattr(self.host.asked[0], "purpose", None))
        ):
            if self.host.asked:
                self.host.carry_out()
            elif self.host.answers:
                self.host.answer(self.cluster.now_ms)
            else:
                assert self.host.deliver(self.cluster.now_ms), "there is nothing more to do"

    def acknowledged(self, account: str = "a") -> Acknowledgement | None:
        key = acknowledgement_key("h1", account)
        for item in self.cluster.store.read([key]).items:
            found = decode(key, item.value)
            assert isinstance(found, Acknowledgement)
            return found
        return None

    def entries(self) -> list[tuple[int, str, str]]:
        return [tuple(entry) for entry in self.host.table.entries()]  # type: ignore[misc]


def test_a_host_is_counted_before_it_reads_what_it_will_acknowledge() -> None:
    world = OneHost(is_started=False)
    world.host.start(world.cluster.now_ms)
    done = []
    while world.phase is not Phase.UP:
        if world.host.asked:
            done.append(world.host.asked[0])
            world.host.carry_out()
        elif world.host.answers:
            world.host.answer(world.cluster.now_ms)
        else:
            world.host.deliver(world.cluster.now_ms)
    kinds = [effect.purpose if isinstance(effect, Commit) else type(effect) for effect in done]
    assert kinds == [
        DumpTable,
        ReadHost,
        Purpose.REJOIN,
        ListSubscriptions,
        ScanAccount,
        Program,
        Purpose.ACKNOWLEDGE,
        Purpose.TURN_UP,
    ]


def test_an_agent_whose_host_is_not_declared_says_so_and_waits() -> None:
    world = OneHost(is_started=False)
    world.write(host_key("h1"), None)
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert world.host.reports == ["host.h1 is not in the store; declare the host"]
    world.cluster.put(host_key("h1"), Host(state=HostState.UP, incarnation=0, blocks=()))
    world.pass_ms(1_000)
    assert world.is_in(Phase.UP)


def test_an_agent_waits_for_a_store_that_is_not_set_up() -> None:
    world = OneHost(is_started=False)
    world.write(EPOCH, None)
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert world.host.reports == ["store_epoch is not in the store; set the store up"]


def test_nothing_is_done_before_the_own_table_was_read() -> None:
    world = OneHost(is_started=False)
    world.host.table.is_away = True
    world.host.start(world.cluster.now_ms)
    world.pass_ms(3_000)
    assert world.is_in(Phase.STARTING)
    world.host.table.is_away = False
    world.pass_ms(2_000)
    assert world.is_in(Phase.UP)


def test_an_agent_without_accounts_comes_up() -> None:
    world = OneHost(is_started=False)
    world.write(subscription_key("h1", "a"), None)
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert world.is_in(Phase.UP)


@pytest.mark.parametrize("purpose", [Purpose.REJOIN, Purpose.TURN_UP, Purpose.ACKNOWLEDGE])
@pytest.mark.parametrize("has_happened", [True, False])
def test_a_commit_without_an_answer_is_made_good(purpose: Purpose, has_happened: bool) -> None:
    world = OneHost(is_started=False)
    world.host.start(world.cluster.now_ms)
    world.until(Commit, purpose)
    world.host.is_cut_off = not has_happened
    world.host.carry_out(is_reply_lost=True)
    world.host.is_cut_off = False
    world.pass_ms(2_000)
    assert world.is_in(Phase.UP)
    host = world.cluster.ledger().host("h1").required
    assert host.state is HostState.UP
    found = world.acknowledged()
    assert found is not None
    assert found.incarnation == host.incarnation


def test_a_host_key_that_changed_before_it_rejoined_is_read_again() -> None:
    world = OneHost(is_started=False)
    world.host.start(world.cluster.now_ms)
    world.until(Commit, Purpose.REJOIN)
    world.cluster.put(host_key("h1"), Host(state=HostState.LOST, incarnation=5, blocks=()))
    world.settle()
    assert world.cluster.ledger().host("h1").required.incarnation == 6
    assert world.is_in(Phase.UP)


def test_the_event_of_an_own_write_may_come_before_its_answer() -> None:
    world = OneHost(is_started=False)
    world.host.start(world.cluster.now_ms)
    world.until(Commit, Purpose.TURN_UP)
    world.host.carry_out()
    world.host.deliver(world.cluster.now_ms)
    assert world.is_in(Phase.UP)
    world.settle()
    assert world.is_in(Phase.UP)


def test_blocks_that_change_while_a_host_turns_up_only_delay_it() -> None:
    world = OneHost(is_started=False)
    world.host.start(world.cluster.now_ms)
    world.until(Commit, Purpose.TURN_UP)
    host = world.cluster.ledger().host("h1").required
    world.cluster.put(host_key("h1"), Host(state=host.state, incarnation=host.incarnation, blocks=("10.9.0.0/24",)))
    world.pass_ms(1_000)
    assert world.is_in(Phase.UP)
    assert world.cluster.ledger().host("h1").required.blocks == ("10.9.0.0/24",)


def test_a_host_that_drains_while_it_rejoins_comes_up_and_drains_still() -> None:
    world = OneHost(is_started=False)
    world.host.start(world.cluster.now_ms)
    world.until(Program)
    host = world.cluster.ledger().host("h1").required
    world.cluster.put(host_key("h1"), replace(host, is_draining=True))
    world.host.deliver(world.cluster.now_ms)
    world.settle()
    assert world.is_in(Phase.UP)
    up = world.cluster.ledger().host("h1").required
    assert up.state is HostState.UP
    assert up.is_draining


def test_an_acknowledgement_whose_host_key_changed_is_written_again() -> None:
    world = OneHost()
    world.cluster.create("a", "i1", "h1")
    world.until(Commit, Purpose.ACKNOWLEDGE)
    host = world.cluster.ledger().host("h1").required
    world.cluster.put(host_key("h1"), Host(state=host.state, incarnation=host.incarnation, blocks=("10.9.0.0/24",)))
    revision = world.cluster.ledger().record("a", "10.0.0.0").revision
    world.pass_ms(500)
    found = world.acknowledged()
    assert found is not None
    assert found.revision >= revision


def test_a_late_acknowledgement_that_took_the_place_of_a_newer_one_is_put_right() -> None:
    world = OneHost(AgentSettings(reassure_after_ms=5_000))
    world.cluster.create("a", "i1", "h1")
    world.until(Commit, Purpose.ACKNOWLEDGE)
    late = world.host.asked[0]
    assert isinstance(late, Commit)
    world.host.carry_out(is_reply_lost=True)
    world.cluster.create("a", "i2", "h1")
    world.pass_ms(2_000)
    newest = world.acknowledged()
    world.cluster.store.commit(late.transactions)
    assert world.acknowledged() != newest
    world.pass_ms(6_000)
    assert world.acknowledged() == newest


def test_what_nobody_waits_for_is_acknowledged_together() -> None:
    world = OneHost()
    before = world.acknowledged()
    for _ in range(3):
        world.cluster.reserve("a", "h1")
        world.settle()
    assert world.acknowledged() == before
    world.pass_ms(1_000)
    found = world.acknowledged()
    assert found is not None
    assert found.revision == world.cluster.ledger().record("a", "10.0.0.2").revision


@pytest.mark.parametrize("change", ["create", "cool"])
def test_what_somebody_waits_for_is_acknowledged_at_once(change: str) -> None:
    world = OneHost()
    logical = world.cluster.reserve("a", "h1")
    world.settle()
    if change == "create":
        world.cluster.create("a", "i1", "h1")
    else:
        world.cluster.cool("a", logical)
    world.settle()
    found = world.acknowledged()
    assert found is not None
    assert found.revision == max(r.revision for r in world.cluster.ledger().records("a").values())


def test_two_hosts_and_accounts_whose_names_begin_alike_are_apart() -> None:
    world = OneHost()
    world.cluster.add_account("ab", vni=8)
    world.cluster.add_host("h10")
    world.cluster.subscribe("h10", "ab")
    world.cluster.reserve("ab", "h10")
    world.cluster.reserve("a", "h1")
    world.pass_ms(2_000)
    assert world.entries() == [(7, "10.0.0.0", "172.16.1.0")]
    assert world.cluster.ledger().host("h1").required.incarnation == 1
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert world.entries() == [(7, "10.0.0.0", "172.16.1.0")]


def test_an_account_is_served_once_it_is_declared_and_was_complete_while_it_had_nothing() -> None:
    world = OneHost(is_started=False)
    declared = world.cluster.ledger().account("a").required
    world.write(account_key("a"), None)
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert world.is_in(Phase.UP)
    first = world.acknowledged()
    assert first is not None
    record = Record(state=AddressState.BOUND, physical="172.16.1.0", host="h1", pool="logical", since_ms=0)
    world.cluster.put(record_key("a", "10.0.0.9"), record)
    world.pass_ms(2_000)
    assert world.acknowledged() == first
    world.cluster.put(account_key("a"), declared)
    world.settle()
    assert world.entries() == [(7, "10.0.0.9", "172.16.1.0")]
    later = world.acknowledged()
    assert later is not None
    assert later.revision > first.revision


def test_an_account_whose_network_changes_moves_as_a_whole() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.cluster.add_account("a", vni=9)
    world.pass_ms(1_000)
    assert world.entries() == [(9, "10.0.0.0", "172.16.1.0")]
    assert sorted(world.host.table.dump()) == [9]


def test_a_network_that_changes_while_its_first_batch_is_under_way_leaves_nothing_behind() -> None:
    world = OneHost(is_started=False)
    world.cluster.reserve("a", "h1")
    world.host.start(world.cluster.now_ms)
    world.until(Program)
    world.cluster.add_account("a", vni=9)
    world.host.deliver(world.cluster.now_ms)
    world.host.carry_out(1)
    world.host.answer(world.cluster.now_ms)
    world.settle()
    assert world.entries() == [(9, "10.0.0.0", "172.16.1.0")]
    assert sorted(world.host.table.dump()) == [9]


def test_a_declaration_that_keeps_the_network_changes_nothing() -> None:
    world = OneHost()
    world.cluster.add_account("a", vni=7)
    world.host.deliver(world.cluster.now_ms)
    assert world.host.asked == []
    world.write(account_key("a"), None)
    world.cluster.reserve("a", "h1")
    world.settle()
    assert world.entries() == [(7, "10.0.0.0", "172.16.1.0")]


def test_a_record_of_a_newer_version_keeps_its_entry_and_holds_up_the_acknowledgement() -> None:
    world = OneHost()
    logical = world.cluster.reserve("a", "h1")
    world.pass_ms(1_000)
    before = world.cluster.store.revision
    world.write(record_key("a", logical), NEWER)
    other = Record(state=AddressState.BOUND, physical="172.16.1.1", host="h1", pool="logical", since_ms=0)
    world.cluster.put(record_key("a", "10.0.0.1"), other)
    world.pass_ms(2_000)
    assert "upgrade this process" in world.host.reports[-1]
    assert world.entries() == [(7, "10.0.0.0", "172.16.1.0"), (7, "10.0.0.1", "172.16.1.1")]
    found = world.acknowledged()
    assert found is not None
    assert found.revision == before

    world.host.start(world.cluster.now_ms)
    world.pass_ms(2_000)
    assert len(world.entries()) == 2
    assert world.acknowledged() == found
    world.write(record_key("a", logical), None)
    world.pass_ms(2_000)
    assert world.entries() == [(7, "10.0.0.1", "172.16.1.1")]
    assert world.acknowledged() != found


def test_an_epoch_of_a_newer_version_ends_the_agent_and_leaves_the_table() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.write(EPOCH, NEWER)
    with pytest.raises(Invalid, match="upgrade this process"):
        world.settle()
    assert len(world.entries()) == 1


def test_opening_the_store_is_no_new_epoch() -> None:
    world = OneHost()
    world.cluster.put(EPOCH, StoreEpoch(epoch=1, state=EpochState.CLOSED))
    world.cluster.create("a", "i1", "h1")
    world.pass_ms(500)
    assert world.cluster.ledger().host("h1").required.incarnation == 1
    found = world.acknowledged()
    assert found is not None
    assert found.revision == world.cluster.ledger().record("a", "10.0.0.0").revision


def test_an_epoch_that_a_scan_shows_first_makes_the_host_join_again() -> None:
    world = OneHost()
    world.cluster.add_account("b", vni=8)
    world.cluster.subscribe("h1", "b")
    world.until(ScanAccount)
    world.cluster.restore()
    world.host.carry_out()
    world.host.answer(world.cluster.now_ms)
    world.pass_ms(500)
    assert "the store's epoch is another" in world.host.reports[0]
    assert world.cluster.ledger().host("h1").required.incarnation == 2
    assert world.is_in(Phase.UP)


def test_answers_to_what_was_asked_in_an_earlier_term_are_dropped() -> None:
    world = OneHost()
    world.cluster.add_account("b", vni=8)
    world.cluster.subscribe("h1", "b")
    world.until(ScanAccount)
    world.host.carry_out()
    world.cluster.restore()
    world.host.deliver(world.cluster.now_ms)
    world.host.answer(world.cluster.now_ms)
    assert world.is_in(Phase.COUNTING)
    assert world.host.asked == []


def test_a_snapshot_older_than_what_is_known_is_read_again() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.pass_ms(1_000)
    old = world.cluster.store.revision
    world.cluster.reserve("a", "h1")
    world.settle()
    world.cluster.add_account("a", vni=9)
    world.until(ScanAccount)
    scan = world.host.asked.pop(0)
    assert isinstance(scan, ScanAccount)
    store = world.cluster.store
    items = [item for prefix in scan.prefixes for item in store.scan(prefix, revision=old).items]
    world.host.give(scan.answer(old, items), world.cluster.now_ms)
    assert "read it again from another member" in world.host.reports[-1]
    world.pass_ms(1_500)
    assert [entry[0] for entry in world.entries()] == [9, 9]


def test_many_absent_entries_are_removed_when_a_second_snapshot_lacks_them_too() -> None:
    world = OneHost(AgentSettings(removal_max=1), is_started=False)
    world.host.table.ensure_account(7)
    world.host.table.upsert([TableEntry(7, f"10.0.0.{last}", "172.16.1.9") for last in range(5)])
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert len(world.entries()) == 5
    assert world.acknowledged() is None
    assert world.cluster.ledger().host("h1").required.state is HostState.REJOINING
    world.pass_ms(1_000)
    assert world.entries() == []
    assert world.acknowledged() is not None
    assert world.cluster.ledger().host("h1").required.state is HostState.UP


def test_batches_are_bounded_and_all_come() -> None:
    world = OneHost(AgentSettings(batch_max=2), is_started=False)
    for _ in range(5):
        world.cluster.reserve("a", "h1")
    world.host.start(world.cluster.now_ms)
    world.until(Program)
    batch = world.host.asked[0]
    assert isinstance(batch, Program)
    assert len(batch.upserts) == 2
    world.settle()
    assert len(world.entries()) == 5


def test_a_kernel_that_is_away_is_tried_again_and_reported() -> None:
    world = OneHost(is_started=False)
    world.cluster.reserve("a", "h1")
    world.host.start(world.cluster.now_ms)
    world.until(Program)
    world.host.table.is_away = True
    world.settle()
    assert world.host.reports[0].startswith("the kernel refused 2 changes, which are tried again")
    assert world.acknowledged() is None
    world.host.table.is_away = False
    world.pass_ms(500)
    assert len(world.entries()) == 1
    assert world.acknowledged() is not None


def test_a_kernel_that_cannot_make_an_account_without_entries_is_asked_again() -> None:
    world = OneHost(is_started=False)
    world.host.start(world.cluster.now_ms)
    world.until(Program)
    world.host.table.is_away = True
    world.settle()
    assert "VNI 7" in world.host.reports[0]
    assert world.is_in(Phase.SYNCING)
    world.host.table.is_away = False
    world.pass_ms(500)
    assert world.host.table.dump() == {7: {}}
    assert world.is_in(Phase.UP)


def test_a_link_that_went_down_is_made_good() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.host.table.flush_links()
    world.host.give(Disturbed("a link went down"), world.cluster.now_ms)
    world.settle()
    assert len(world.entries()) == 1
    assert world.host.reports[-1] == "1 entries were not in the table as they should be"


def test_an_account_that_vanished_from_the_table_is_made_anew() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.host.table.remove_account(7)
    world.pass_ms(62_000, step_ms=500)
    assert len(world.entries()) == 1


def test_entries_that_nobody_desires_go_when_a_second_audit_sees_them_too() -> None:
    world = OneHost()
    world.pass_ms(2_000)
    world.host.table.upsert([TableEntry(7, "10.0.0.77", "172.16.9.9")])
    world.host.table.ensure_account(99)
    world.host.give(Disturbed("somebody was here"), world.cluster.now_ms)
    world.settle()
    assert len(world.entries()) == 1
    world.pass_ms(1_500)
    assert world.host.table.dump() == {7: {}}


def test_an_account_that_was_left_while_the_agent_was_down_goes_from_the_table() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.host.kill()
    world.write(subscription_key("h1", "a"), None)
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert len(world.entries()) == 1
    world.pass_ms(3_000)
    assert world.host.table.dump() == {}


def test_an_audit_waits_for_a_kernel_that_is_away() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.host.table.flush_links()
    world.host.table.is_away = True
    world.host.give(Disturbed("a link went down"), world.cluster.now_ms)
    world.settle()
    world.host.table.is_away = False
    world.pass_ms(1_000)
    assert len(world.entries()) == 1


def test_a_subscription_that_an_operator_removed_takes_the_account_out_of_the_table() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.write(subscription_key("h1", "a"), None)
    world.settle()
    assert world.host.table.dump() == {}
    world.cluster.subscribe("h1", "a")
    world.settle()
    assert len(world.entries()) == 1


def test_a_subscription_that_went_unseen_takes_the_account_out_of_the_table() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.write(subscription_key("h1", "a"), None)
    world.cluster.store.compact(world.cluster.store.revision)
    world.settle()
    assert world.host.table.dump() == {}


def test_a_host_that_leaves_clears_its_table_before_its_subscription() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.cluster.leave("h1", "a")
    world.until(Commit, Purpose.UNSUBSCRIBE)
    assert world.host.table.dump() == {}
    world.settle()
    assert not world.cluster.ledger().subscription("h1", "a")
    assert world.acknowledged() is None


def test_a_host_that_was_given_up_clears_what_it_leaves_before_it_comes_up() -> None:
    world = OneHost()
    world.cluster.create("a", "i1", "h1")
    world.settle()
    world.host.is_cut_off = True
    world.cluster.set_silent("h1")
    ledger = world.cluster.ledger()
    assert world.cluster.commit(host_lost(ledger.epoch, ledger.host("h1"), fence=world.cluster.fence))
    world.write(record_key("a", "10.0.0.0"), None)
    world.cluster.leave("h1", "a")
    world.host.is_cut_off = False
    world.settle()
    world.cluster.now_ms += 1_000
    world.host.tick(world.cluster.now_ms)
    assert world.entries() != []
    world.until(Commit, Purpose.TURN_UP)
    assert world.entries() == []


def test_a_host_that_was_leaving_when_it_died_goes_on_with_it() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.host.kill()
    world.cluster.leave("h1", "a")
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert world.host.table.dump() == {}
    assert not world.cluster.ledger().subscription("h1", "a")


def test_an_account_that_was_never_declared_is_left_at_once() -> None:
    world = OneHost(is_started=False)
    world.write(account_key("a"), None)
    world.host.start(world.cluster.now_ms)
    world.settle()
    world.cluster.leave("h1", "a")
    world.settle()
    assert not world.cluster.ledger().subscription("h1", "a")


def test_leaving_an_account_that_is_still_being_read_waits_for_what_it_is() -> None:
    world = OneHost()
    world.cluster.add_account("b", vni=8)
    world.cluster.subscribe("h1", "b")
    world.until(ScanAccount)
    world.cluster.leave("h1", "b")
    world.deliver_all()
    assert len(world.host.asked) == 1
    world.settle()
    assert not world.cluster.ledger().subscription("h1", "b")


@pytest.mark.parametrize("when", ["removal", "batch"])
def test_a_host_that_comes_back_to_an_account_while_it_leaves_serves_it(when: str) -> None:
    world = OneHost(is_started=False)
    world.cluster.reserve("a", "h1")
    world.host.start(world.cluster.now_ms)
    world.until(Program)
    if when == "removal":
        world.settle()
    world.cluster.leave("h1", "a")
    world.deliver_all()
    world.cluster.subscribe("h1", "a")
    assert not world.cluster.ledger().acknowledgement("h1", "a")
    world.deliver_all()
    world.pass_ms(500)
    assert world.entries() == [(7, "10.0.0.0", "172.16.1.0")]
    assert world.cluster.ledger().subscription("h1", "a").required.is_leaving is False
    found = world.acknowledged()
    assert found is not None


def test_a_removal_that_the_kernel_fails_is_tried_again() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.host.table.is_away = True
    world.cluster.leave("h1", "a")
    world.settle()
    assert world.cluster.ledger().subscription("h1", "a")
    world.host.table.is_away = False
    world.pass_ms(500)
    assert world.host.table.dump() == {}
    assert not world.cluster.ledger().subscription("h1", "a")


@pytest.mark.parametrize("fault", ["lost reply", "cut off", "epoch written"])
def test_an_unsubscription_that_fails_is_tried_again(fault: str) -> None:
    world = OneHost()
    world.cluster.leave("h1", "a")
    world.until(Commit, Purpose.UNSUBSCRIBE)
    if fault == "epoch written":
        world.cluster.put(EPOCH, StoreEpoch(epoch=1))
        world.settle()
    else:
        world.host.is_cut_off = fault == "cut off"
        world.host.carry_out(is_reply_lost=True)
        world.host.is_cut_off = False
    world.pass_ms(1_000)
    assert not world.cluster.ledger().subscription("h1", "a")


def test_an_acknowledgement_that_lands_after_the_host_unsubscribed_is_void() -> None:
    world = OneHost()
    world.cluster.create("a", "i1", "h1")
    world.until(Commit, Purpose.ACKNOWLEDGE)
    late = world.host.asked[0]
    assert isinstance(late, Commit)
    world.cluster.leave("h1", "a")
    world.pass_ms(500)
    assert not world.cluster.ledger().subscription("h1", "a")
    assert [result.is_success for result in world.cluster.store.commit(late.transactions)] == [False]
    assert world.acknowledged() is None


def test_a_host_comes_up_only_when_its_table_has_nothing_that_no_account_claims() -> None:
    world = OneHost()
    world.host.kill()
    world.host.table.ensure_account(99)
    world.host.start(world.cluster.now_ms)
    world.settle()
    assert world.cluster.ledger().host("h1").required.state is HostState.REJOINING
    world.pass_ms(2_000)
    assert world.cluster.ledger().host("h1").required.state is HostState.UP
    assert 99 not in world.host.table.dump()


def test_an_unwanted_request_is_not_repeated_when_the_store_comes_back() -> None:
    world = OneHost()
    world.cluster.add_account("b", vni=8)
    world.cluster.subscribe("h1", "b")
    world.until(ScanAccount)
    world.host.is_cut_off = True
    world.host.carry_out()
    world.host.answer(world.cluster.now_ms)
    world.host.is_cut_off = False
    world.write(subscription_key("h1", "b"), None)
    world.pass_ms(1_000)
    assert world.host.asked == []
    assert world.is_in(Phase.UP)


def test_a_watch_that_broke_off_goes_on_where_it_was() -> None:
    world = OneHost()
    watch = world.host.watch
    assert watch is not None
    world.cluster.reserve("a", "h1")
    world.settle()
    world.host.give(Away(watch), world.cluster.now_ms)
    world.cluster.reserve("a", "h1")
    world.pass_ms(500)
    assert len(world.entries()) == 2
    assert world.host.watch is not None
    assert world.host.watch.after_revision > watch.after_revision
    world.host.give(Away(watch), world.cluster.now_ms)
    last = world.host.watch
    world.pass_ms(1_000)
    assert world.host.watch == last


def test_changes_of_a_watch_that_was_replaced_are_dropped() -> None:
    world = OneHost()
    old = world.host.watch
    assert old is not None
    world.cluster.add_account("b", vni=8)
    world.cluster.subscribe("h1", "b")
    world.settle()
    world.cluster.reserve("a", "h1")
    (change,) = world.cluster.store.changes(
        ["network_address."], after_revision=0, up_to=world.cluster.store.revision
    )
    world.host.give(Changed(old, change), world.cluster.now_ms)
    world.host.give(Compacted(old), world.cluster.now_ms)
    assert world.host.asked == []
    world.settle()
    assert len(world.entries()) == 1


def test_a_snapshot_of_an_account_that_was_left_meanwhile_is_dropped() -> None:
    world = OneHost()
    world.cluster.add_account("b", vni=8)
    world.cluster.subscribe("h1", "b")
    world.until(ScanAccount)
    world.write(subscription_key("h1", "b"), None)
    world.host.deliver(world.cluster.now_ms)
    world.settle()
    assert world.host.machine is not None
    assert list(world.host.machine.accounts) == ["a"]
    assert world.host.table.dump() == {7: {}}


def test_a_change_that_comes_before_the_snapshot_waits_for_it() -> None:
    world = OneHost()
    world.pass_ms(2_000)
    world.cluster.add_account("b", vni=8)
    world.cluster.subscribe("h1", "b")
    world.until(ScanAccount)
    world.cluster.reserve("b", "h1")
    world.host.deliver(world.cluster.now_ms)
    assert world.host.machine is not None
    assert world.host.machine.deadline_ms(world.cluster.now_ms) == world.cluster.now_ms + 59_000
    world.settle()
    assert world.entries() == [(8, "10.0.0.0", "172.16.1.0")]


def test_an_audit_leaves_out_what_is_being_removed() -> None:
    world = OneHost()
    world.cluster.reserve("a", "h1")
    world.settle()
    world.cluster.leave("h1", "a")
    world.deliver_all()
    world.host.give(Disturbed("a link went down"), world.cluster.now_ms)
    assert [type(effect) for effect in world.host.asked] == [Program, DumpTable]
    world.host.carry_out(1)
    world.host.answer(world.cluster.now_ms)
    world.settle()
    assert world.host.table.dump() == {}


def test_a_network_that_changes_before_the_kernel_had_it_is_only_another_number() -> None:
    world = OneHost(is_started=False)
    world.cluster.reserve("a", "h1")
    world.host.start(world.cluster.now_ms)
    world.until(Program)
    world.host.table.is_away = True
    world.settle()
    world.cluster.add_account("a", vni=9)
    world.until(ScanAccount)
    world.host.tick(world.cluster.now_ms)
    world.settle()
    world.host.table.is_away = False
    world.pass_ms(1_000)
    assert world.host.table.dump() == {9: {"10.0.0.0": "172.16.1.0"}}


def test_acknowledgements_of_what_was_left_meanwhile_are_forgotten() -> None:
    world = OneHost()
    world.cluster.create("a", "i1", "h1")
    world.until(Commit, Purpose.ACKNOWLEDGE)
    world.write(subscription_key("h1", "a"), None)
    world.host.deliver(world.cluster.now_ms)
    world.settle()
    world.write(acknowledgement_key("h1", "a"), None)
    world.cluster.subscribe("h1", "a")
    world.settle()
    assert world.acknowledged() is not None


def test_the_next_deadline_is_known() -> None:
    world = OneHost()
    machine = world.host.machine
    assert machine is not None
    now_ms = world.cluster.now_ms
    assert machine.deadline_ms(now_ms) == now_ms + machine.settings.confirm_after_ms
    world.host.table.refused.add(TableKey(7, "10.0.0.0"))
    world.cluster.reserve("a", "h1")
    world.settle()
    assert machine.deadline_ms(now_ms) == now_ms + machine.settings.backoff.first_ms


def test_a_dead_agent_does_nothing() -> None:
    world = OneHost()
    world.host.kill()
    world.host.tick(world.cluster.now_ms)
    world.host.give(Started(), world.cluster.now_ms)
    assert world.host.asked == []

"""The view of the store: whatever the order in which it hears of changes, it ends where the store is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import AddressState, Entry, EpochState, HoldState, PhysicalHold, StoreEpoch
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Tier
from addrcast.core.domain.store_view import StoreView
from addrcast.core.domain.transaction import Change, Event, KeyValue

if TYPE_CHECKING:
    from tests.core.domain.conftest import Keys

PHYSICALS = [f"100.64.0.{number}" for number in range(3)]
WRITES = st.lists(st.tuples(st.sampled_from(PHYSICALS), st.booleans()), max_size=12)


def history_of(writes: list[tuple[str, bool]]) -> list[Event]:
    """One event a revision: the key is put anew, or removed where it is there."""
    events: list[Event] = []
    created: dict[str, int] = {}
    for revision, (physical, is_removed) in enumerate(writes, start=1):
        key = f"physical_address.{physical}"
        if is_removed and created.pop(key, None) is not None:
            events.append(Event(key, None, 0, revision))
        else:
            created.setdefault(key, revision)
            hold = PhysicalHold(state=HoldState.HELD, account="a", logical="x", host="h1", since_ms=revision)
            events.append(Event(key, encode(hold), created[key], revision))
    return events


def seen(event: Event) -> list[Entry[PhysicalHold]]:
    if event.value is None:
        return [Entry(event.key)]
    hold = PhysicalHold(state=HoldState.HELD, account="a", logical="x", host="h1", since_ms=event.mod_revision)
    return [Entry(event.key, hold, event.mod_revision, event.create_revision)]


def holds(view: StoreView) -> dict[str, Entry[PhysicalHold]]:
    return dict(view.items("physical_address."))


@given(WRITES, st.data())
def test_what_is_learned_ahead_in_any_order_and_again_by_the_watch_ends_as_the_watch_alone(
    writes: list[tuple[str, bool]], data: st.DataObject
) -> None:
    history = history_of(writes)
    plain, eager = StoreView(), StoreView()
    ahead = data.draw(st.permutations(history))
    newest: dict[str, int] = {}
    for event in history:
        for early in ahead[: data.draw(st.integers(0, 4))]:
            eager.learn(seen(early), early.mod_revision)
        plain.apply(Change(event.mod_revision, (event,)))
        eager.apply(Change(event.mod_revision, (event,)))
        for physical, entry in holds(eager).items():
            assert entry.revision >= max(plain.physical(physical).revision, newest.get(physical, 0))
            newest[physical] = entry.revision
    for late in ahead:
        eager.learn(seen(late), late.mod_revision)
    assert holds(eager) == holds(plain)
    assert eager.revision == plain.revision == len(history)


@given(WRITES, st.data())
def test_learned_in_any_order_without_a_watch_every_key_ends_at_its_newest(
    writes: list[tuple[str, bool]], data: st.DataObject
) -> None:
    history = history_of(writes)
    view, plain = StoreView(), StoreView()
    for event in data.draw(st.permutations(history)):
        view.learn(seen(event), event.mod_revision)
    for event in history:
        plain.apply(Change(event.mod_revision, (event,)))
    assert holds(view) == holds(plain)
    assert view.revision == 0


@given(WRITES, st.data())
def test_a_replay_of_old_changes_says_nothing_new(writes: list[tuple[str, bool]], data: st.DataObject) -> None:
    history = history_of(writes)
    view = StoreView()
    for event in history:
        view.apply(Change(event.mod_revision, (event,)))
    before = holds(view)
    for event in data.draw(st.permutations(history)):
        view.apply(Change(event.mod_revision, (event,)))
    assert holds(view) == before


def test_what_is_ahead_of_the_watch_is_known_with_what_it_replaced_until_the_watch_is_there() -> None:
    first, second = history_of([(PHYSICALS[0], False), (PHYSICALS[1], False)])
    view = StoreView()
    view.learn([*seen(first), *seen(second), *seen(second)], 2)
    assert [entry.revision for entry in view.ahead()] == [0, 1, 0, 2]
    view.apply(Change(1, (first,)))
    assert [(entry.key, entry.revision) for entry in view.ahead()] == [(second.key, 0), (second.key, 2)]
    view.learn([Entry(second.key)], 3)
    assert [entry.revision for entry in view.ahead()] == [0, 2, 2, 0]
    view.apply(Change(2, (second,)))
    assert [entry.revision for entry in view.ahead()] == [2, 0]
    view.apply(Change(3, ()))
    assert list(view.ahead()) == []


def test_an_entry_stands_until_its_key_changes() -> None:
    first, second = history_of([(PHYSICALS[0], False), (PHYSICALS[0], False)])
    view = StoreView()
    view.apply(Change(1, (first,)))
    handed_out = view.physical(PHYSICALS[0])
    assert view.stands(handed_out)
    view.apply(Change(2, (second,)))
    assert not view.stands(handed_out)


def test_a_snapshot_holds_what_its_keys_hold(keys: Keys) -> None:
    key = keys.record("a", "10.0.0.1", AddressState.BOUND, physical="100.64.0.1", instance="i-1")
    view = StoreView.from_items(keys.items.values(), keys.revision)
    assert view.revision == keys.revision
    assert view.epoch.required == StoreEpoch(epoch=1)
    assert view.record("a", "10.0.0.1") == Entry(key, view.record("a", "10.0.0.1").value, 18, 18)
    assert view.physical("100.64.0.1").required.account == "a"
    assert view.instance("a", "i-1").required.addresses == ("10.0.0.1",)
    assert view.subscription("h1", "a")
    assert view.acknowledgement("h1", "a").required.revision == 1
    assert view.account("a").required.tier == "premium"
    assert view.pool("net").required.is_shared
    assert view.host("h2").required.blocks == ("100.64.0.16/28",)
    assert (set(view.hosts()), set(view.accounts())) == ({"h1", "h2"}, {"a", "b"})
    assert set(view.pools()) == {"vpc", "vpc6", "net", "wire"}


def test_absent_keys_have_absent_entries_that_can_be_compared() -> None:
    view = StoreView()
    for entry in (
        view.epoch,
        view.record("a", "10.0.0.1"),
        view.physical("100.64.0.1"),
        view.instance("a", "i"),
        view.pool_address("net", "10.0.0.1"),
        view.subscription("h", "a"),
        view.acknowledgement("h", "a"),
        view.host("h"),
        view.account("a"),
        view.pool("p"),
        view.tier("t"),
    ):
        assert not entry
        assert entry.revision == 0
    assert view.record("a", "10.0.0.1").key == "network_address.a.10.0.0.1"


def test_a_host_is_alive_while_its_leased_key_is_there() -> None:
    view = StoreView.from_items([KeyValue("host_alive.h1", b"whatever", 1, 1, lease=7)], 1)
    assert view.is_alive("h1")
    view.apply(Change(2, (Event("host_alive.h1", None, 0, 2),)))
    assert not view.is_alive("h1")


def test_keys_of_others_are_left_alone_and_broken_values_are_refused() -> None:
    view = StoreView.from_items([KeyValue("election.controller", b"?", 1, 1), KeyValue("other", b"?", 1, 1)], 1)
    assert list(view.items("")) == []
    with pytest.raises(Invalid, match=r"physical_address\.100\.64\.0\.1"):
        StoreView.from_items([KeyValue("physical_address.100.64.0.1", b"?", 1, 1)], 1)


def test_a_progress_note_moves_the_revision_only() -> None:
    view = StoreView()
    view.apply(Change(9, ()))
    assert view.revision == 9


def test_a_declaration_that_goes_is_listed_no_more(keys: Keys) -> None:
    view = StoreView.from_items(keys.items.values(), keys.revision)
    view.apply(keys.remove("host.h2"))
    assert set(view.hosts()) == {"h1"}
    change = keys.put("store_epoch", StoreEpoch(epoch=2, state=EpochState.CLOSED))
    assert view.is_undone_by(change)
    view.apply(change)
    assert not view.is_undone_by(change)
    assert view.epoch.required.state is EpochState.CLOSED


def test_what_was_written_in_another_epoch_is_not_learnt(keys: Keys) -> None:
    view = StoreView.from_items(keys.items.values(), keys.revision)
    entries = [msgspec.structs.replace(view.host("h2"), revision=99)]
    other: Entry[StoreEpoch] = Entry("store_epoch", StoreEpoch(epoch=9), 1, 1)
    view.learn(entries, 99, under=other)
    assert view.host("h2").revision < 99
    for under in (Entry("store_epoch"), view.epoch):
        view.learn(entries, 99, under=under)
        assert view.host("h2").revision == 99
    empty = StoreView()
    empty.learn(entries, 99, under=other)
    assert empty.host("h2")


def test_a_tier_is_as_declared_else_the_default_of_its_name(keys: Keys) -> None:
    own = Tier(
        rank=5,
        weight=0.5,
        service_level=0.5,
        hold_ms=1,
        age_limit_ms=1,
        cooldown_ms=1,
        headroom=0.5,
    )
    keys.put("tier.basic", own)
    keys.put("account.c", Account(tier="gold", vni=3, pools=("vpc",)))
    view = StoreView.from_items(keys.items.values(), keys.revision)
    assert view.tier_of("a") == DEFAULT_TIERS["premium"]
    assert view.tier_of("b") == own
    assert view.tiers() == {**DEFAULT_TIERS, "basic": own}
    with pytest.raises(Invalid, match="one of premium, standard, basic"):
        view.tier_of("c")
    with pytest.raises(Invalid, match="no account"):
        view.tier_of("nobody")

"""The transitions of a store as a whole: when each may be, and what it compares."""

from __future__ import annotations

import pytest

from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.keyspace import EPOCH, MOVE
from addrcast.core.domain.record import Entry, EpochState, StoreEpoch, StoreMove
from addrcast.core.domain.transaction import Compare, Put
from addrcast.core.domain.transitions import Draft
from addrcast.core.domain.transitions_epoch import filled, freeze, moved, switch_schema, thaw

MOVING: Entry[StoreMove] = Entry(MOVE, StoreMove(since_ms=5, target="b"), 8, 8)


def epoch(state: EpochState, version: int = 2) -> Entry[StoreEpoch]:
    return Entry(EPOCH, StoreEpoch(v=version, epoch=3, state=state), 7, 1)


def test_a_frozen_store_is_thawed_moved_and_filled_under_both_its_keys() -> None:
    frozen = epoch(EpochState.FROZEN)
    for transaction in (thaw(frozen, MOVING), moved(frozen, MOVING), filled(frozen, MOVING)):
        assert transaction.compares == (Compare(EPOCH, 7), Compare(MOVE, 8))
        assert transaction.writes


@pytest.mark.parametrize("state", [EpochState.OPEN, EpochState.CLOSED])
def test_a_store_that_is_not_frozen_neither_thaws_nor_has_moved(state: EpochState) -> None:
    for act in (thaw, moved, filled):
        with pytest.raises(Invalid, match="only a frozen store"):
            act(epoch(state), MOVING)


def test_a_store_is_not_frozen_twice() -> None:
    draft = freeze(epoch(EpochState.FROZEN), MOVING, target="c", now_ms=9)
    with pytest.raises(Unavailable, match="frozen"):
        draft.transaction()


def test_an_open_store_is_switched_to_a_newer_schema_and_never_back() -> None:
    transaction = switch_schema(epoch(EpochState.OPEN, 1), version=2).transaction()
    assert transaction.compares == (Compare(EPOCH, 7),)
    assert transaction.writes == (Put(EPOCH, b'{"v":2,"epoch":3,"state":"open"}'),)
    with pytest.raises(Invalid, match="there is no way back"):
        switch_schema(epoch(EpochState.OPEN, 2), version=1)
    for state in (EpochState.CLOSED, EpochState.FROZEN):
        with pytest.raises(Unavailable, match=f"the store is {state.value}, not open"):
            switch_schema(epoch(state, 1), version=2)


def test_a_transaction_on_a_store_without_an_epoch_is_of_the_newest_version() -> None:
    absent: Entry[StoreEpoch] = Entry(EPOCH)
    moving: Entry[StoreMove] = Entry(MOVE)
    (put,) = Draft((absent,), ((moving, StoreMove(since_ms=5)),)).transaction().writes
    assert isinstance(put, Put)
    assert put.value.startswith(b'{"v":2')

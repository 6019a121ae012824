"""Queues by age: the order is that of the revisions, not that of arrival."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from addrcast.core.domain.age_queue import AgeQueue
from addrcast.core.domain.record import Entry

STEPS = st.lists(st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(1, 9))), max_size=30)


@given(STEPS)
def test_entries_come_in_the_order_of_revision_and_key(steps: list[tuple[str, int | None]]) -> None:
    queue: AgeQueue[str] = AgeQueue()
    twin: dict[str, int] = {}
    for key, revision in steps:
        if revision is not None:
            queue.put(Entry(key, "value", revision))
            twin[key] = revision
        elif key in twin:
            queue.remove(key)
            del twin[key]
        assert (len(queue), key in queue) == (len(twin), key in twin)
        assert [entry.key for entry in queue] == sorted(twin, key=lambda one: (twin[one], one))


def test_an_entry_that_changes_moves_to_the_end() -> None:
    queue: AgeQueue[str] = AgeQueue()
    for revision, key in enumerate("abca", start=1):
        queue.put(Entry(key, "value", revision))
    assert [entry.key for entry in queue] == ["b", "c", "a"]

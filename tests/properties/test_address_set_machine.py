"""Address sets beside Python's own sets."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from addrcast.core.domain.address_set import AddressSet

# Around the edges of chunks of 1024, where a bitmap becomes a run and a run a bitmap.
EDGES = st.builds(lambda chunk, offset: max(0, chunk * 1024 + offset), st.integers(0, 5), st.integers(-3, 3))
NUMBERS = st.one_of(EDGES, st.integers(0, 6000))


class AddressSetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ours = AddressSet()
        self.twin: set[int] = set()

    @rule(number=NUMBERS)
    def add(self, number: int) -> None:
        self.ours.add(number)
        self.twin.add(number)

    @rule(number=NUMBERS)
    def discard(self, number: int) -> None:
        self.ours.discard(number)
        self.twin.discard(number)

    @rule(first=NUMBERS, length=st.one_of(st.integers(1, 20), st.integers(1000, 4100)))
    def add_range(self, first: int, length: int) -> None:
        self.ours.add_range(first, first + length - 1)
        self.twin |= set(range(first, first + length))

    @rule(first=NUMBERS, length=st.one_of(st.integers(1, 20), st.integers(1000, 4100)))
    def discard_range(self, first: int, length: int) -> None:
        self.ours.discard_range(first, first + length - 1)
        self.twin -= set(range(first, first + length))

    @rule(number=NUMBERS)
    def search(self, number: int) -> None:
        assert (number in self.ours) == (number in self.twin)
        assert self.ours.at_least(number) == min((one for one in self.twin if one >= number), default=None)
        absent = number
        while absent in self.twin:
            absent += 1
        assert self.ours.absent_at_least(number) == absent

    @rule(length=st.integers(1, 1500), number=NUMBERS)
    def neighbours(self, length: int, number: int) -> None:
        expected, run = None, 0
        for one in range(number, 12_000):
            run = run + 1 if one in self.twin else 0
            if run == length:
                expected = one - length + 1
                break
        assert self.ours.run_of(length, number=number) == expected

    @rule()
    def rebuilt_from_its_intervals_it_is_the_same(self) -> None:
        again = AddressSet()
        for first, last in self.ours.intervals():
            assert first - 1 not in self.twin
            assert last + 1 not in self.twin
            again.add_range(first, last)
        assert again == self.ours
        assert self.ours.copy() == self.ours

    @invariant()
    def the_same_members(self) -> None:
        assert self.ours.size == len(self.twin)
        assert list(self.ours) == sorted(self.twin)


TestAddressSet = AddressSetMachine.TestCase

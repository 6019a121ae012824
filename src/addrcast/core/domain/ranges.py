"""Which addresses of a space are free, and how many are in each state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from addrcast.core.domain.address import BITS, Prefix, parse_address
from addrcast.core.domain.record import AddressState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from addrcast.core.domain.pool import Space


class Counts(NamedTuple):
    """Addresses by state; `free` and the four states add up to `total`.

    `usable` are the free ones that new use may take: not those of draining prefixes.
    """

    total: int
    free: int
    reserved: int
    bound: int
    preserved: int
    cooling: int
    usable: int

    @property
    def is_balanced(self) -> bool:
        """Whether every address is in exactly one state."""
        return self.total == self.free + self.reserved + self.bound + self.preserved + self.cooling


def counts_of(tally: Mapping[AddressState, int], *, total: int, free: int, usable: int) -> Counts:
    """The counts of a ledger whose addresses that are not free are in the states of `tally`."""
    return Counts(
        total=total,
        free=free,
        reserved=tally[AddressState.RESERVED],
        bound=tally[AddressState.BOUND],
        preserved=tally[AddressState.PRESERVED],
        cooling=tally[AddressState.COOLING],
        usable=usable,
    )


class Range:
    """The free addresses of a space, and the states of those that are not.

    An address outside the space is neither free nor counted.
    """

    __slots__ = ("_occupied", "_states", "_tally", "free", "space")

    def __init__(self, space: Space) -> None:
        self.space = space
        self.free = space.usable.copy()
        self._occupied = 0
        self._states: dict[str, AddressState] = {}
        self._tally = dict.fromkeys(AddressState, 0)

    def occupy(self, text: str) -> None:
        """Make an address not free."""
        address = parse_address(text)
        if address in self.space:
            self._occupied += 1
            self.free.discard(address.number)

    def vacate(self, text: str) -> None:
        """Make an address free that was occupied."""
        address = parse_address(text)
        if address in self.space:
            self._occupied -= 1
            if address.number in self.space.usable:
                self.free.add(address.number)

    def set_state(self, text: str, state: AddressState | None) -> None:
        """Count an address under its state, or no longer where it is None."""
        before = self._states.get(text)
        if before is not None:
            self._tally[before] -= 1
            if state is None:
                del self._states[text]
                return
        elif state is None or parse_address(text) not in self.space:
            return
        self._tally[state] += 1
        self._states[text] = state

    @property
    def free_count(self) -> int:
        """How many addresses are free, those of draining prefixes among them."""
        return self.space.members.size - self._occupied

    def counts(self) -> Counts:
        """The addresses of the space by state."""
        return counts_of(self._tally, total=self.space.members.size, free=self.free_count, usable=self.free.size)

    def picks(self, *, prefer: Sequence[Prefix] = (), offset: int = 0) -> Iterator[int]:
        """Free addresses: those of each preferred prefix, then all others.

        Each part is searched from the address at `offset` in it to its end, then from its start. The range may
        change between two addresses.
        """
        preferred = [prefix for prefix in prefer if prefix.family is self.space.family]
        for prefix in preferred:
            yield from self._round(prefix.first, prefix.last, start=prefix.first + offset % prefix.size)
        highest = (1 << BITS[self.space.family]) - 1
        for number in self._round(0, highest, start=self.space.number_at(offset)):
            if not any(prefix.first <= number <= prefix.last for prefix in preferred):
                yield number

    def run_of(self, length: int, *, prefer: Sequence[Prefix] = ()) -> int | None:
        """The first of `length` free addresses in a row, in a preferred prefix if one has them."""
        for prefix in prefer:
            if prefix.family is self.space.family:
                first = self.free.run_of(length, number=prefix.first)
                if first is not None and first + length - 1 <= prefix.last:
                    return first
        return self.free.run_of(length)

    def _round(self, first: int, last: int, *, start: int) -> Iterator[int]:
        for low, high in ((start, last), (first, start - 1)):
            number = self.free.at_least(low)
            while number is not None and number <= high:
                yield number
                number = self.free.at_least(number + 1)

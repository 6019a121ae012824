"""The keys of the controllers' election: how many shards there are, who stands, who leads which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from addrcast.core.controller.territory import SHARDS_MAX, Territory
from addrcast.core.domain.keyspace import election_key
from addrcast.core.domain.record import Value
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from addrcast.core.domain.transaction import KeyValue

SHARDS = election_key("controller")
"""Holds the number of shards. Versions without shards had their one leader here, so the two shut each other out."""

_CANDIDATES = "candidate."


class ShardNumber(Value, frozen=True, kw_only=True):
    """How many shards the accounts are divided into; all controllers go by it."""

    shards: Annotated[int, msgspec.Meta(ge=1, le=SHARDS_MAX)]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(ShardNumber)


def shard_key(shard: int) -> str:
    """`election.controller.<shard>`: held by its leader, under the candidate's lease."""
    return f"{SHARDS}.{shard}"


def candidate_key(lease: int) -> str:
    """`election.controller.candidate.<lease>`: somebody stands, under that lease."""
    return f"{SHARDS}.{_CANDIDATES}{lease}"


class Standing:
    """The election as its keys have it.

    `shards` is 0 while no number is agreed; `number_revision` then tells whether something else stands there.
    `leaders` are the candidates by shard, `candidates` all that stand. A candidate goes by what its keys hold.
    """

    def __init__(self) -> None:
        self.shards = 0
        self.number_revision = 0
        self.leaders: dict[int, str] = {}
        self.candidates: set[str] = set()
        self._revisions: dict[str, int] = {}
        self._candidates: dict[str, str] = {}

    @classmethod
    def from_items(cls, items: Iterable[KeyValue]) -> Standing:
        """The election as it was read at one revision."""
        standing = cls()
        for item in items:
            standing.apply(item.key, item.value, item.mod_revision)
        return standing

    def apply(self, key: str, value: bytes | None, revision: int) -> None:
        """Take in a change of a key, None for its removal; what is older than known is passed over."""
        if revision <= self._revisions.get(key, 0):
            return
        self._revisions[key] = revision
        rest = key.removeprefix(f"{SHARDS}.")
        if key == SHARDS:
            self.number_revision = revision if value is not None else 0
            self.shards = _number(value)
        elif key == rest:
            del self._revisions[key]
        elif rest.isdecimal():
            if value is None:
                self.leaders.pop(int(rest), None)
            else:
                self.leaders[int(rest)] = value.decode(errors="replace")
        elif rest.startswith(_CANDIDATES):
            if value is None:
                self._candidates.pop(key, None)
                del self._revisions[key]
            else:
                self._candidates[key] = value.decode(errors="replace")
            self.candidates = set(self._candidates.values())

    def led_by(self, candidate: str) -> list[int]:
        """The shards that a candidate leads, in order."""
        return sorted(
            shard for shard, leader in self.leaders.items() if leader == candidate and shard < self.shards
        )

    def territory_of(self, candidate: str) -> Territory:
        """What a candidate leads, with the fences of its writes."""
        keys = {shard: shard_key(shard) for shard in self.led_by(candidate)}
        return Territory(
            self.shards or 1, {shard: Compare(key, self._revisions[key]) for shard, key in keys.items()}
        )

    def vacant(self) -> list[int]:
        """The shards that nobody leads, in order."""
        return [shard for shard in range(self.shards) if shard not in self.leaders]

    def claim(self, shard: int, candidate: str, *, lease: int) -> Transaction:
        """Lead a shard that nobody leads, under the number of shards that is known here."""
        key = shard_key(shard)
        number = Compare(SHARDS, self.number_revision)
        return Transaction((Compare(key, 0), number), (Put(key, candidate.encode(), lease),))

    def resignation(self, shard: int) -> Transaction:
        """Give up a shard, unless another leads it already."""
        key = shard_key(shard)
        return Transaction((Compare(key, self._revisions.get(key, 0)),), (Delete(key),))

    def renumbering(self, shards: int) -> Transaction:
        """Agree on a number; every leader of the former one loses its fence in the same moment."""
        ends = tuple(Delete(shard_key(shard)) for shard in sorted({*range(self.shards), *self.leaders}))
        number = Put(SHARDS, _ENCODER.encode(ShardNumber(shards=shards)))
        return Transaction((Compare(SHARDS, self.number_revision),), (number, *ends))


def _number(value: bytes | None) -> int:
    if value is None:
        return 0
    try:
        return _DECODER.decode(value).shards
    except msgspec.MsgspecError:
        return 0

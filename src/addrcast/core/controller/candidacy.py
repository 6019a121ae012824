"""Which shards a candidate claims and which it gives up, so that all are led and each leads its share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from addrcast.core.controller.standing import Standing


@dataclass(frozen=True, slots=True)
class CandidacySettings:
    """How patient a candidate is.

    A shard that nobody leads for `take_after_ms` is taken by whoever sees it, beyond all shares. Who leads two
    more than another gives one up every `give_after_ms`; where nobody took it, the next one twice as late, up to
    `give_after_max_ms`.
    """

    take_after_ms: int = 2_000
    give_after_ms: int = 2_000
    give_after_max_ms: int = 300_000


class Moves(NamedTuple):
    """What to do now: shards to claim, and one to give up, None for none."""

    claims: tuple[int, ...] = ()
    resigned: int | None = None


class Candidacy:
    """One candidate, for as long as its lease lives.

    Invariants: with nobody coming or going the shares differ by at most one, and then nothing moves. A shard that
    is vacant is claimed at once by the candidates with the fewest, up to their share, so that a lost leader's
    shards are led again after one round trip; a share is its part of all shards, rounded up. Claims race in the
    store: the first one wins.
    """

    def __init__(self, candidate: str, settings: CandidacySettings | None = None) -> None:
        self.candidate = candidate
        self._settings = settings or CandidacySettings()
        self._vacant_ms: dict[int, int] = {}
        self._give_ms: int | None = None
        self._give_after_ms = self._settings.give_after_ms
        self._given: int | None = None

    def step(self, standing: Standing, now_ms: int) -> Moves:
        """What to do about the election as it stands; what is done is expected to show in the next `standing`."""
        others = standing.candidates - {self.candidate}
        least = min((len(standing.led_by(other)) for other in others), default=standing.shards)
        led = standing.led_by(self.candidate)
        vacant = standing.vacant()
        self._vacant_ms = {shard: self._vacant_ms.get(shard, now_ms) for shard in vacant}
        if vacant:
            share = -(-standing.shards // (1 + len(others)))
            room = share - len(led) if len(led) <= least else 0
            return Moves(claims=self._claims(room, now_ms))
        self._settle(standing)
        if len(led) < least + 2:
            self._give_ms = None
            return Moves()
        if self._give_ms is None:
            self._give_ms = now_ms + self._give_after_ms
        if now_ms < self._give_ms:
            return Moves()
        self._give_ms = None
        self._given = max(led, key=self._preference)
        return Moves(resigned=self._given)

    def deadline_ms(self, now_ms: int) -> int | None:
        """When to step though nothing has changed; None: not before something does."""
        overdue = [since_ms + self._settings.take_after_ms for since_ms in self._vacant_ms.values()]
        due = overdue if self._give_ms is None else [*overdue, self._give_ms]
        return max(now_ms, min(due)) if due else None

    def _claims(self, room: int, now_ms: int) -> tuple[int, ...]:
        wanted = sorted(self._vacant_ms, key=self._preference)
        overdue = now_ms - self._settings.take_after_ms
        claims = [shard for place, shard in enumerate(wanted) if place < room or self._vacant_ms[shard] <= overdue]
        return tuple(claims)

    def _settle(self, standing: Standing) -> None:
        """Learn from what became of the shard that was given up last."""
        if self._given is None:
            return
        is_taken = standing.leaders.get(self._given) != self.candidate
        longer_ms = min(2 * self._give_after_ms, self._settings.give_after_max_ms)
        self._give_after_ms = self._settings.give_after_ms if is_taken else longer_ms
        self._given = None

    def _preference(self, shard: int) -> int:
        # each candidate has an order of its own, so that they seldom claim the same
        return crc32(f"{self.candidate} {shard}".encode())

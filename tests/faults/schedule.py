"""Which faults strike when: drawn from a seed, so that the same seed draws the same schedule."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LEADER_CUT = ("cut-leader-from-peers", "cut-leader-from-all")
# one at a time, and with a pause between them: with two of three members away nobody could bind
MEMBER_FAULTS = (
    "kill-leader",
    "kill-follower",
    *LEADER_CUT,
    "stop-leader",
    "disk-full",
    "no-space",
    "rolling-restart",
)
# these go on beside them
SIDE_FAULTS = ("lost-replies", "compaction", "paused-process", "slow-watcher", "restarted-agent")
FAULTS = (*MEMBER_FAULTS, *SIDE_FAULTS)

PAUSE_S = (0.7, 2.5)
LENGTH_S = {
    "kill-leader": (0.3, 3.0),
    "kill-follower": (0.3, 3.0),
    "cut-leader-from-peers": (2.5, 5.0),
    "cut-leader-from-all": (2.5, 5.0),
    "stop-leader": (0.5, 4.0),
    "disk-full": (1.0, 2.0),
    "no-space": (0.3, 1.0),
    "rolling-restart": (0.2, 8.0),  # what a member is given to end
    "lost-replies": (0.5, 3.0),
    "compaction": (0.0, 0.0),
    "paused-process": (0.5, 3.0),
    "slow-watcher": (0.5, 3.0),
    "restarted-agent": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: when it begins, how long it lasts, and a seed of its own for what else is drawn for it."""

    at_s: float
    kind: str
    for_s: float
    seed: int


def draw_schedule(seed: int, length_s: float) -> list[Strike]:
    """The strikes of a run, by time.

    With every fault always on, crashes would hide missing retries: so about half of each lane are drawn, and at
    least two of the members'.
    """
    dice = Random(f"faults {seed}")
    drawn = _mix(dice, MEMBER_FAULTS, least=2)
    beside = _mix(dice, SIDE_FAULTS, least=0)
    return sorted([*_lane(dice, drawn, length_s), *_lane(dice, beside, length_s)], key=lambda strike: strike.at_s)


def each_once(seed: int, kinds: Sequence[str] = FAULTS) -> list[Strike]:
    """Each kind once, in this order in its lane, and hardly longer than the shortest that it may last."""
    dice = Random(f"faults {seed}")
    return [
        Strike(0.0, kind, min(LENGTH_S[kind][1], LENGTH_S[kind][0] + 0.3), dice.getrandbits(32)) for kind in kinds
    ]


def _mix(dice: Random, kinds: Sequence[str], *, least: int) -> list[str]:
    drawn = [kind for kind in kinds if dice.random() < 0.5]
    return drawn if len(drawn) >= least else dice.sample(kinds, least)


def _lane(dice: Random, kinds: list[str], length_s: float) -> list[Strike]:
    """One strike after the other; one that takes longer than it should puts off the next."""
    strikes: list[Strike] = []
    at_s = dice.uniform(*PAUSE_S)
    while kinds and at_s < length_s:
        kind = dice.choice(kinds)
        strikes.append(Strike(round(at_s, 3), kind, round(dice.uniform(*LENGTH_S[kind]), 3), dice.getrandbits(32)))
        at_s += strikes[-1].for_s + dice.uniform(*PAUSE_S)
    return strikes

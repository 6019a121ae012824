"""The lower envelope of a policy's settings: the least misses at a given waste."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addrcast.simulation.replay.scoring import Point

WASTE_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


def lower_envelope(points: Iterable[Point]) -> list[Point]:
    """The points that no other beats in both waste and misses, in ascending order of waste."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.waste, point.misses)):
        if not kept or point.misses < kept[-1].misses:
            kept.append(point)
    return kept


def misses_at(envelope: Sequence[Point], waste: float) -> float | None:
    """The misses at a waste, on the straight line between the envelope's neighbours of it.

    None below the envelope's least waste: no setting is so thrifty. Above its greatest, the last misses: a policy
    need not waste all that it may.
    """
    if not envelope or waste < envelope[0].waste:
        return None
    for left, right in pairwise(envelope):
        if waste <= right.waste:
            share = (waste - left.waste) / (right.waste - left.waste)
            return (1 - share) * left.misses + share * right.misses
    return envelope[-1].misses

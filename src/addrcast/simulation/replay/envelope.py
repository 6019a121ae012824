"""The lower envelope of a policy's settings: the least misses at a given waste."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

WASTE_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


def lower_envelope(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (waste, misses) pairs that no other pair beats in both, in ascending order of waste."""
    kept: list[tuple[float, float]] = []
    for waste, misses in sorted(points):
        if not kept or misses < kept[-1][1]:
            kept.append((waste, misses))
    return kept


def misses_at(envelope: Sequence[tuple[float, float]], waste: float) -> float | None:
    """The misses at a waste, on the straight line between the envelope's neighbours of it.

    None below the envelope's least waste: no setting is so thrifty. Above its greatest, the last misses: a policy
    need not waste all that it may.
    """
    if not envelope or waste < envelope[0][0]:
        return None
    for (left, misses), (right, misses_right) in pairwise(envelope):
        if waste <= right:
            return misses + (misses_right - misses) * (waste - left) / (right - left)
    return envelope[-1][1]

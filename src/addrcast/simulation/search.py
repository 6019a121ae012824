"""Searches worlds for violations: the whole scheme, and the scheme with one rule left out, seed by seed."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from addrcast.simulation.checkers import Broken
from addrcast.simulation.world.variants import COMPLETE, VARIANTS, Variant
from addrcast.simulation.world.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAMES = {variant.name: variant for variant in (COMPLETE, *VARIANTS)}


@dataclass(frozen=True, slots=True)
class Run:
    """One world: its digest, and the first violation (the rule, how and when), None for none."""

    seed: int
    digest: str
    rule: str | None = None
    what: str = ""

    @property
    def is_broken(self) -> bool:
        """Whether an invariant was violated."""
        return self.rule is not None


@dataclass(frozen=True, slots=True)
class Counts:
    """What a search found of a variant: how many runs broke, which rules first, and the first run of all."""

    variant: str
    runs: int
    broken: int
    rules: dict[str, int]
    first: Run | None


def run(seed: int, variant: Variant = COMPLETE) -> Run:
    """Live one world through. Every exception but a violation is a bug, and is raised."""
    world = World(seed, variant)
    try:
        world.run()
    except Broken as broken:
        what = f"{broken} at {world.timeline.now_ms} ms with {world.mix}"
        return Run(seed, world.timeline.digest, broken.rule, what)
    return Run(seed, world.timeline.digest)


def search(seeds: Iterable[int], variant: Variant = COMPLETE, *, jobs: int = 1) -> Counts:
    """Run all seeds and count those that broke."""
    return count(variant, _runs(seeds, variant, jobs))


def first_broken(seeds: Iterable[int], variant: Variant) -> Run | None:
    """The first of the seeds that breaks."""
    return next((found for found in (run(seed, variant) for seed in seeds) if found.is_broken), None)


def count(variant: Variant, runs: Iterable[Run]) -> Counts:
    """Sum runs up."""
    rules: Counter[str] = Counter()
    first: Run | None = None
    total = 0
    for found in runs:
        total += 1
        if found.rule is not None:
            rules[found.rule] += 1
            first = first or found
    return Counts(variant.name, total, rules.total(), dict(rules.most_common()), first)


def _runs(seeds: Iterable[int], variant: Variant, jobs: int) -> Iterator[Run]:
    if jobs == 1:
        yield from (run(seed, variant) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(_run_named, variant.name), seeds, chunksize=4)


def _run_named(name: str, seed: int) -> Run:
    return run(seed, NAMES[name])


def main(arguments: list[str] | None = None) -> int:
    """Print a table of runs broken; fails if the complete scheme breaks, or a variant is not caught."""
    parser = argparse.ArgumentParser(prog="python -m addrcast.simulation.search", description=__doc__)
    parser.add_argument("--seeds", type=int, default=60, help="how many seeds, from --from on")
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED")
    parser.add_argument("--variant", choices=sorted(NAMES), action="append", help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--trace", type=int, metavar="SEED", help="show how one world went, and no table")
    given = parser.parse_args(arguments)
    if given.trace is not None:
        return _trace(given.trace, NAMES[(given.variant or [COMPLETE.name])[0]])
    seeds = range(given.first, given.first + given.seeds)
    is_as_expected = True
    sys.stdout.write(f"{'without':52} {'runs':>5} {'broken':>6} {'s':>6}  rules that broke first\n")
    for name in given.variant or list(NAMES):
        begun = perf_counter()
        counts = search(seeds, NAMES[name], jobs=given.jobs)
        spent = perf_counter() - begun
        rules = ", ".join(f"{rule} {number}" for rule, number in counts.rules.items())
        sys.stdout.write(f"{name:52} {counts.runs:5} {counts.broken:6} {spent:6.1f}  {rules}\n")
        if counts.variant == COMPLETE.name and counts.first is not None:
            sys.stdout.write(f"  seed {counts.first.seed}: {counts.first.what}\n")
        is_as_expected &= (counts.broken == 0) == (name == COMPLETE.name)
        sys.stdout.flush()
    return 0 if is_as_expected else 1


def _trace(seed: int, variant: Variant) -> int:
    world = World(seed, variant)
    end = "nothing was violated"
    try:
        world.run()
    except Broken as broken:
        end = str(broken)
    for line in (f"{seed}: {world.mix}", *world.timeline.lines, end):
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command of the fault suite: rounds of faults from a seed on, each judged, and the figures of all of them.

`python -m tests.faults --minutes 10 --seed 1`, or `--each-once` for a short run that strikes every kind of fault.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.broken import BROKEN
from tests.faults.judge import FULL_LOOKS, Report, judge
from tests.faults.run import run
from tests.faults.schedule import draw_schedule, each_once
from tests.faults.site import BROKEN_VARIABLE
from tests.faults.tell import lines_of
from tests.servers.namespaces import prepare, unshare_words, why_not

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.schedule import Strike

ROOT = Path(__file__).parents[2]
ROUND_S = 60.0
SHOWN = 20


def main() -> int:
    arguments = _arguments()
    if not arguments.inside:
        reason = why_not()
        if reason:
            sys.stderr.write(f"{reason}\n")
            return 2
        words = [*unshare_words(), sys.executable, "-m", "tests.faults", "--inside", *sys.argv[1:]]
        return subprocess.run(words, cwd=ROOT, check=False).returncode
    if arguments.broken:
        os.environ[BROKEN_VARIABLE] = arguments.broken
    place = prepare()
    total = Report()
    begin_s, left_s, seed = time.monotonic(), arguments.minutes * 60.0, arguments.seed
    while left_s > 5.0:
        round_s = min(ROUND_S, left_s)
        schedule = each_once(seed) if arguments.each_once else draw_schedule(seed, round_s)
        total.add(_round(place, seed, schedule, out=arguments.out, keeps=arguments.keep, looks=arguments.looks))
        left_s -= left_s if arguments.each_once else round_s
        seed += 1
    _print(*lines_of(total), f"{time.monotonic() - begin_s:.0f} s in all")
    return 1 if total.violations else 0


def _round(place: Path, seed: int, schedule: Sequence[Strike], *, out: Path, keeps: bool, looks: int) -> Report:
    """Run and judge one seed; where something is wrong, its history is kept."""
    directory = place / str(seed)
    directory.mkdir()
    kinds = sorted({strike.kind for strike in schedule})
    _print(f"seed {seed}: {len(schedule)} faults of {len(kinds)} kinds: {', '.join(kinds)}")
    begin_s = time.monotonic()
    try:
        run(directory, seed=seed, schedule=schedule)
        ran_s = time.monotonic() - begin_s
        report = judge(directory, looks=looks)
    except Exception:
        _print(
            f"seed {seed} could not be brought to its end; its history is in {_keep(directory, out / str(seed))}"
        )
        raise
    took_s = time.monotonic() - begin_s - ran_s
    _print(
        f"  {report.operations.total()} operations, {report.revisions} revisions,"
        f" {len(report.violations)} violations ({ran_s:.0f} s, judged in {took_s:.0f} s)"
    )
    for violation in report.violations[:SHOWN]:
        _print(f"  {violation}")
    if report.violations or keeps:
        _print(f"  its history is in {_keep(directory, out / str(seed))}")
    for each in directory.iterdir():
        if each.is_file():
            each.unlink()
    return report


def _keep(directory: Path, kept: Path) -> Path:
    """Copy the files of a run, not the members' data."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for each in directory.iterdir():
        if each.is_file():
            shutil.copy(each, kept)
    return kept


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="time under faults, in rounds of a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the next have the next numbers")
    parser.add_argument("--each-once", action="store_true", help="one round that strikes every fault once")
    parser.add_argument("--looks", type=int, default=FULL_LOOKS, help="at whole states, in each round")
    parser.add_argument("--keep", action="store_true", help="keep every history")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "faults")
    parser.add_argument("--broken", choices=BROKEN, help="break the store on purpose, to see that it is found")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

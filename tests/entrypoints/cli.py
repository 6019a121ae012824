"""The command line called in this process, with a learner that is quick, and small traces to call it on."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from click.testing import CliRunner

from addrcast.adapters.forecasters.gbm import GbmFitter
from addrcast.entrypoints.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from click.testing import Result

START_S, HOUR_S = 1_700_002_800, 3_600
QUICK = GbmFitter(trees=5, bags_max=1)
COUNTS = ("account_id", "timestamp", "instances")
EVENTS = ("account_id", "instance_id", "created", "deleted")


def run(*args: str | Path, fit: GbmFitter | None = QUICK) -> Result:
    """Call `addrcast`, with its own learner for None; a failure that is not an expected one is raised."""
    result = CliRunner().invoke(main, [str(arg) for arg in args], obj=fit)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def answer(*args: str | Path) -> Any:
    """The JSON value that a command prints, alone, on the output stream."""
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_counts(path: Path, counts: Mapping[str, Sequence[float]], *, header: Sequence[str] = COUNTS) -> Path:
    """A file of hourly counts, a series for each account."""
    rows = [
        (account, START_S + step * HOUR_S, value)
        for account, values in counts.items()
        for step, value in enumerate(values)
    ]
    return write_csv(path, header, rows)


def daily(days: int, *, seed: int) -> list[int]:
    """Counts that rise every morning, with some noise."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    wave = 6 + 8 * ((hours + seed) % 24 > 8) + rng.poisson(2.0, hours.size)
    return [int(value) for value in wave]

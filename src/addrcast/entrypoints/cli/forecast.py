"""`addrcast forecast FILE`: quantiles of the instance count, the change against now, the resources it asks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import numpy as np
import polars as pl

from addrcast.core.domain.demand import CountHistory, WorkloadProfile, fill_gaps
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.profile import resources_from_profile
from addrcast.core.forecast.delta import delta_from
from addrcast.core.forecast.engines import LEVEL_ENGINES, level_engine
from addrcast.entrypoints.cli.history import history_of, profile_of
from addrcast.entrypoints.cli.options import as_json, history_file, history_options
from addrcast.entrypoints.cli.progress import progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN_MAX = 40
BLOCK_CELLS = 20_000_000


@click.command()
@history_file
@history_options
@click.option("--engine", default="linear", help=f"One of {', '.join(LEVEL_ENGINES)} [linear].")
@click.option("--horizon", default=24, type=click.IntRange(1), help="Steps ahead [24].")
@click.option("--levels", default="0.1,0.5,0.8,0.9,0.95", help="Levels of the quantiles [0.1,0.5,0.8,0.9,0.95].")
@click.option("-o", "--out", type=click.Path(dir_okay=False), help="Parquet file for every quantile.")
@as_json
def command(
    file: str,
    columns: str | None,
    accounts: str | None,
    step_s: int | None,
    profile: str | None,
    engine: str,
    horizon: int,
    levels: str,
    out: str | None,
    is_json: bool,
) -> None:
    """Forecast the instance counts of FILE.

    Prints the expected change at the end of the horizon with its 80 % interval, and the resources that the highest
    level asks for. The Parquet file has the columns account_id, origin, step, level, value.
    """
    asked = _levels(levels)
    forecaster = level_engine(engine)
    history = history_of(file, columns=columns, accounts=accounts, step_s=step_s, profile=profile)
    if history.counts is None:
        raise Invalid("file", file, "it has metrics only: say with --profile what one instance carries")
    counts = fill_gaps(history.counts)
    known = tuple(sorted({*asked, 0.1, 0.5, 0.9}))
    size = max(1, BLOCK_CELLS // (counts.steps + horizon * len(known)))
    blocks = []
    with progress(f"forecasting with {engine}") as advance:
        for first in range(0, len(counts.accounts), size):
            rows = slice(first, first + size)
            part = CountHistory(counts.accounts[rows], counts.start_s, counts.step_s, counts.counts[rows])
            blocks.append(forecaster(part, horizon, known))
            advance(min(first + size, len(counts.accounts)), len(counts.accounts))
    quantiles = np.concatenate(blocks)
    if out is not None:
        places = [known.index(level) for level in asked]
        _frame(counts, quantiles[..., places], asked).write_parquet(out)
    rows_out = _rows(
        counts, quantiles, known, profile=WorkloadProfile({}) if profile is None else profile_of(profile)
    )
    if is_json:
        click.echo(
            json.dumps({"engine": engine, "horizon": horizon, "step_s": counts.step_s, "accounts": rows_out})
        )
    else:
        click.echo("\n".join([*history.report.lines(), *_table(rows_out, horizon)]))


def _levels(text: str) -> list[float]:
    try:
        return sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise Invalid("--levels", text, "numbers between 0 and 1 are expected, such as 0.5,0.8,0.95") from None


def _frame(counts: CountHistory, quantiles: NDArray[np.float32], levels: list[float]) -> pl.DataFrame:
    """Every quantile as a row, by account, step and level."""
    accounts, horizon, size = quantiles.shape
    origin = pl.Series([counts.start_s + (counts.steps - 1) * counts.step_s]) * 1_000_000
    return pl.DataFrame(
        {
            "account_id": pl.Series(counts.accounts).gather(np.repeat(np.arange(accounts), horizon * size)),
            "origin": origin.cast(pl.Datetime("us")).gather(np.zeros(quantiles.size, dtype=np.int64)),
            "step": np.tile(np.repeat(np.arange(1, horizon + 1), size), accounts),
            "level": np.tile(np.asarray(levels), accounts * horizon),
            "value": quantiles.reshape(-1),
        }
    )


def _rows(
    counts: CountHistory, quantiles: NDArray[np.float32], levels: tuple[float, ...], *, profile: WorkloadProfile
) -> list[dict[str, float | str]]:
    """One account each: now, the change by the end of the horizon, resources at the highest level's peak."""
    now = counts.counts[:, -1]
    delta = delta_from(quantiles, levels, now=now)
    peak = quantiles[..., -1].max(axis=1)
    resources = resources_from_profile(peak, profile)
    return [
        {
            "account": account,
            "now": float(now[row]),
            "delta": round(float(delta.expected[row, -1]), 3),
            "low": round(float(delta.low[row, -1]), 3),
            "high": round(float(delta.high[row, -1]), 3),
            "peak": round(float(peak[row]), 3),
            "vcpu": round(float(resources.vcpu[row]), 3),
            "memory_gib": round(float(resources.memory_gib[row]), 3),
            "network_mbit_s": round(float(resources.network_mbit_s[row]), 3),
        }
        for row, account in enumerate(counts.accounts)
    ]


def _table(rows: list[dict[str, float | str]], horizon: int) -> list[str]:
    lines = [
        f"{'account':<24}{'now':>8}{f'+{horizon} steps':>12}{'80 % interval':>20}{'peak':>9}{'vCPU':>9}{'GiB':>9}"
    ]
    for row in rows[:SHOWN_MAX]:
        interval = f"{row['low']:+.1f} .. {row['high']:+.1f}"
        figures = f"{row['now']:>8.0f}{row['delta']:>+12.1f}{interval:>20}{row['peak']:>9.1f}"
        lines.append(f"{row['account']:<24}{figures}{row['vcpu']:>9.1f}{row['memory_gib']:>9.1f}")
    if len(rows) > SHOWN_MAX:
        lines.append(f"and {len(rows) - SHOWN_MAX:,} more accounts; --json has all of them")
    return lines

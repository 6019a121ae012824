"""`addrcast forecast FILE`: quantiles of the instance count, the change against now, the resources it asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
import numpy as np
import polars as pl

from addrcast.adapters.forecasters.by_name import ENGINE_NAMES, check_engine, opened_engine
from addrcast.core.domain.demand import CountHistory, WorkloadProfile, fill_gaps
from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.profile import resources_from_profile
from addrcast.core.forecast.delta import delta_from
from addrcast.core.forecast.engine import or_else
from addrcast.core.forecast.engines import level_engine
from addrcast.core.forecast.fleet import fleet_quantiles
from addrcast.entrypoints.cli.engine_options import Failures, engine_options, engine_settings
from addrcast.entrypoints.cli.history import history_of, instance_of, recorded_counts
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import OutputFile, history_file, history_options
from addrcast.entrypoints.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from addrcast.core.forecast.engine import LevelEngine

SHOWN_MAX = 40
CELLS_MAX = 500_000_000
DELTA_LEVELS = (0.1, 0.5, 0.9)
FALLBACK = "linear"


class AccountForecast(msgspec.Struct, frozen=True):
    """One account: its count now, the change by the end of the horizon, what the highest level's peak asks for.

    `engine` is what serves it: the fallback where the one that was asked for had no answer.
    """

    account: str
    engine: str
    now: float
    delta: float
    low: float
    high: float
    peak: float
    vcpu: float
    memory_gib: float
    network_mbit_s: float


@click.command()
@history_file
@history_options
@click.option("--engine", default="linear", metavar="NAME", help=f"One of {', '.join(ENGINE_NAMES)} [linear].")
@click.option("--horizon", default=24, type=click.IntRange(1), metavar="STEPS", help="Steps ahead [24].")
@click.option(
    "--levels",
    default="0.1,0.5,0.8,0.9,0.95",
    metavar="LEVEL,...",
    help="Levels of the quantiles [0.1,0.5,0.8,0.9,0.95].",
)
@click.option(
    "--instance",
    default="vcpu=1,memory_gib=4,network_mbit_s=100",
    metavar="RESOURCE=FIGURE,...",
    help="What one instance asks of its host [vcpu=1,memory_gib=4,network_mbit_s=100].",
)
@click.option("-o", "--out", type=OutputFile(), help="Parquet file for every quantile.")
@engine_options
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
    instance: str,
    out: Path | None,
    is_json: bool,
    **bounds: Any,
) -> None:
    """Forecast the instance counts of FILE.

    Prints the expected change at the end of the horizon with its 80 % interval, and the resources that the highest
    level asks for. The Parquet file has the columns account_id, origin, step, level, value.
    """
    asked, size = _levels(levels), instance_of(instance)
    known = tuple(sorted({*asked, *DELTA_LEVELS}))
    check_engine(engine)
    history = history_of(file, columns=columns, accounts=accounts, step_s=step_s, profile=profile)
    counts = recorded_counts(history, file=file)
    failures = Failures()
    with opened_engine(engine, engine_settings(bounds), on_failure=failures) as forecaster:
        quantiles, last, used = _quantiles(counts, horizon, known, forecaster, name=engine)
    failures.tell(engine, instead=f"{FALLBACK} serves")
    if out is not None:
        places = [known.index(level) for level in asked]
        _frame(counts, quantiles[..., places], last, asked).write_parquet(out)
    rows = _rows(fill_gaps(counts), quantiles, known, used, profile=size)
    if is_json:
        print_json({"engine": engine, "horizon": horizon, "step_s": counts.step_s, "accounts": rows})
    else:
        click.echo("\n".join(_table(rows, horizon)))


def _levels(text: str) -> list[float]:
    try:
        levels = sorted({float(part) for part in text.split(",")})
    except ValueError:
        levels = []
    if not levels or not all(0 < level < 1 for level in levels):
        raise Invalid("--levels", text, "numbers between 0 and 1 are expected, such as 0.5,0.8,0.95")
    return levels


def _quantiles(
    counts: CountHistory, horizon: int, levels: Sequence[float], forecaster: LevelEngine, *, name: str
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    """Quantiles `(N, H, Q)`, each account's last known column `(N,)`, and what served it. Raises Invalid."""
    accounts = len(counts.accounts)
    if accounts * horizon * len(levels) > CELLS_MAX:
        size = f"{accounts:,} accounts x {horizon:,} steps x {len(levels)} levels"
        raise Invalid("--horizon", size, f"at most {CELLS_MAX:,} quantiles are computed: give fewer steps")
    fallen: set[str] = set()

    def serving(part: CountHistory, steps: int, asked: Sequence[float]) -> NDArray[np.float32]:
        try:
            told = forecaster(part, steps, asked)
        except Unavailable as fault:
            click.echo(f"{name}: {fault}", err=True)
            told = np.full((len(part.accounts), steps, len(asked)), np.nan, np.float32)
        served, absent = or_else(told, level_engine(FALLBACK), part, steps, asked)
        fallen.update(part.accounts[row] for row in np.flatnonzero(absent))
        return served

    with progress("forecasting") as advance:
        quantiles, known = fleet_quantiles(counts, horizon, levels, serving, on_progress=advance)
    return quantiles, known - 1, [FALLBACK if account in fallen else name for account in counts.accounts]


def _frame(
    counts: CountHistory, quantiles: NDArray[np.float32], last: NDArray[np.int64], levels: list[float]
) -> pl.DataFrame:
    """Every quantile as a row, by account, step and level; an account's origin is its own last known time."""
    accounts, horizon, size = quantiles.shape
    origin = pl.Series((counts.start_s + last * counts.step_s) * 1_000_000)
    row = np.repeat(np.arange(accounts), horizon * size)
    return pl.DataFrame(
        {
            "account_id": pl.Series(counts.accounts).gather(row),
            "origin": origin.cast(pl.Datetime("us")).gather(row),
            "step": np.tile(np.repeat(np.arange(1, horizon + 1), size), accounts),
            "level": np.tile(np.asarray(levels), accounts * horizon),
            "value": quantiles.reshape(-1),
        }
    )


def _rows(
    counts: CountHistory,
    quantiles: NDArray[np.float32],
    levels: Sequence[float],
    used: Sequence[str],
    *,
    profile: WorkloadProfile,
) -> list[AccountForecast]:
    now = counts.counts[:, -1]
    delta = delta_from(quantiles, levels, now=now)
    peak = quantiles[..., -1].max(axis=1)
    resources = resources_from_profile(peak, profile)
    figures = (
        now,
        *(change[:, -1] for change in (delta.expected, delta.low, delta.high)),
        peak,
        resources.vcpu,
        resources.memory_gib,
        resources.network_mbit_s,
    )
    by_account = np.round(np.stack(figures, axis=1).astype(np.float64), 3).tolist()
    return [
        AccountForecast(account, engine, *row)
        for account, row, engine in zip(counts.accounts, by_account, used, strict=True)
    ]


def _table(rows: Sequence[AccountForecast], horizon: int) -> Iterator[str]:
    shown = rows[:SHOWN_MAX]
    width = max([len("account"), *(len(row.account) for row in shown)])
    heads = (
        f"{'now':>8}{f'+{horizon} steps':>12}{'80 % interval':>20}{'peak':>9}{'vCPU':>9}{'GiB':>9}{'Mbit/s':>10}"
    )
    yield f"{'account':<{width}}{heads}"
    for row in shown:
        interval = f"{row.low:+.1f} .. {row.high:+.1f}"
        figures = f"{row.now:>8.0f}{row.delta:>+12.1f}{interval:>20}{row.peak:>9.1f}"
        resources = f"{row.vcpu:>9.1f}{row.memory_gib:>9.1f}{row.network_mbit_s:>10.1f}"
        yield f"{row.account:<{width}}{figures}{resources}"
    if len(rows) > SHOWN_MAX:
        yield f"and {len(rows) - SHOWN_MAX:,} more accounts; --json has all of them"

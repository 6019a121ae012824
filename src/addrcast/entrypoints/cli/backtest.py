"""`addrcast backtest FILE`: how good each level engine would have been."""

from __future__ import annotations

import math
import resource
from typing import TYPE_CHECKING, Any

import click
import msgspec
import numpy as np

from addrcast.adapters.forecasters.by_name import ENGINE_NAMES, check_engine, opened_engine
from addrcast.core.domain.errors import Unavailable
from addrcast.core.forecast.backtest import folds, scored
from addrcast.core.forecast.engines import LEVEL_ENGINES
from addrcast.entrypoints.cli.engine_options import Failures, engine_options, engine_settings
from addrcast.entrypoints.cli.history import history_of, recorded_counts
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import history_file, history_options
from addrcast.entrypoints.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from addrcast.core.forecast.backtest import Fold
    from addrcast.core.forecast.engine import LevelEngine

LEVELS = (0.5, 0.8, 0.9, 0.95)


class EngineScore(msgspec.Struct, frozen=True):
    """One engine's row: see `Score`; `cpu_s_per_series` is processor time for each account and origin."""

    pinball: float | None
    coverage: dict[str, float | None]
    mase: float | None
    cpu_s_per_series: float
    failures: int


@click.command()
@history_file
@history_options
@click.option(
    "--engines",
    default=",".join(LEVEL_ENGINES),
    metavar="NAME,...",
    help=f"Some of {', '.join(ENGINE_NAMES)} [{','.join(LEVEL_ENGINES)}].",
)
@click.option("--horizon", default=24, type=click.IntRange(1), metavar="STEPS", help="Steps ahead [24].")
@click.option("--origins", default=7, type=click.IntRange(1), metavar="N", help="Origins, a horizon apart [7].")
@engine_options
@as_json
def command(
    file: str,
    columns: str | None,
    accounts: str | None,
    step_s: int | None,
    profile: str | None,
    engines: str,
    horizon: int,
    origins: int,
    is_json: bool,
    **bounds: Any,
) -> None:
    """Forecast FILE from its last origins with each engine, and compare with what came.

    Pinball loss is the mean over the levels 0.5, 0.8, 0.9 and 0.95, in units of the account's own seasonal error.
    """
    names = [name.strip() for name in engines.split(",")]
    for name in names:
        check_engine(name)
    history = history_of(file, columns=columns, accounts=accounts, step_s=step_s, profile=profile)
    found = folds(recorded_counts(history, file=file), horizon, origins=origins)
    scores = {}
    for name in names:
        failures = Failures()
        begin_s = _cpu_s()
        with (
            progress(f"backtest of {name}") as advance,
            opened_engine(name, engine_settings(bounds), on_failure=failures) as engine,
        ):
            told = _told(found, horizon, engine, advance)
        scores[name] = _score(told, cpu_s=_cpu_s() - begin_s)
        failures.tell(name, instead="left out of its figures")
    if is_json:
        print_json({"horizon": horizon, "origins": origins, "engines": scores})
    else:
        click.echo("\n".join(_table(scores)))


def _told(
    found: Sequence[Fold], horizon: int, engine: LevelEngine, advance: Callable[[int, int], None]
) -> list[tuple[Fold, NDArray[np.float32]]]:
    """The engine's quantiles for each fold; NaN where it cannot be used at all."""
    told = []
    for done, fold in enumerate(found, start=1):
        try:
            quantiles = engine(fold.known, horizon, LEVELS)
        except Unavailable:
            quantiles = np.full((len(fold.rows), horizon, len(LEVELS)), np.nan, np.float32)
        told.append((fold, quantiles))
        advance(done, len(found))
    return told


def _score(told: Sequence[tuple[Fold, NDArray[np.float32]]], *, cpu_s: float) -> EngineScore:
    series = sum(len(fold.rows) for fold, _ in told)
    score = scored(told, levels=LEVELS)
    return EngineScore(
        pinball=_number(score.pinball),
        coverage={level: _number(share) for level, share in score.coverage.items()},
        mase=_number(score.mase),
        cpu_s_per_series=round(cpu_s / series, 6),
        failures=score.failures,
    )


def _cpu_s() -> float:
    """Processor time of this process and of the workers that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _table(scores: Mapping[str, EngineScore]) -> Iterator[str]:
    heads = "".join(f"{f'cover {level:g}':>11}" for level in LEVELS)
    yield f"{'engine':<10}{'pinball':>9}{heads}{'MASE':>9}{'CPU ms/series':>15}{'failures':>10}"
    for name, score in scores.items():
        shares = "".join(f"{_shown(score.coverage[str(level)]):>11}" for level in LEVELS)
        cost = f"{1000 * score.cpu_s_per_series:>15.2f}{score.failures:>10,}"
        yield f"{name:<10}{_shown(score.pinball):>9}{shares}{_shown(score.mase):>9}{cost}"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

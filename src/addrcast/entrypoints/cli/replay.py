"""`addrcast replay FILE`: our planning over a trace, beside what other policies would have done."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addrcast.adapters.demand.decisions import DecisionFile
from addrcast.adapters.forecasters.gbm import GbmFitter
from addrcast.core.domain.errors import Invalid
from addrcast.entrypoints.cli.history import history_of, with_metrics
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import OutputFile, history_file, history_options
from addrcast.entrypoints.cli.progress import progress
from addrcast.entrypoints.replay_page import replay_page
from addrcast.simulation.policies.catalogue import PEERS
from addrcast.simulation.policies.own import addrcast_policy
from addrcast.simulation.replay.run import ReplayResult, replay
from addrcast.simulation.replay.table import table_lines
from addrcast.simulation.trace import Trace, trace_from_history

if TYPE_CHECKING:
    from addrcast.ports.forecaster import NeedFitter
    from addrcast.simulation.policies.policy import Decision

CELLS_MAX = 50_000_000
TIMES_MAX = 200_000
"""A time costs 2 ms whatever the accounts, so this many are played in seven minutes."""


@click.command()
@history_file
@history_options
@click.option(
    "--metrics",
    type=click.Path(exists=True, dir_okay=False),
    help="File of metrics of the same accounts, to forecast with.",
)
@click.option("--lead", default=1, type=click.IntRange(1), metavar="STEPS", help="Steps a decision covers [1].")
@click.option("--from", "from_fraction", default=0.8, metavar="SHARE", help="Share of time before scoring [0.8].")
@click.option("--min-mean", type=float, metavar="COUNT", help="Only accounts whose mean count is at least this.")
@click.option(
    "--min-deviation", type=float, metavar="COUNT", help="Only accounts whose count deviates at least this."
)
@click.option(
    "--threads",
    default=lambda: os.cpu_count() or 1,
    type=click.IntRange(1),
    metavar="N",
    help="Parts of our model fitted at once; no result depends on it [all processors].",
)
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for an HTML page with the curves."
)
@click.option("--decisions", type=OutputFile(), help="Parquet file for every decision, to score it elsewhere.")
@as_json
@click.pass_obj
def command(
    fit: NeedFitter | None,
    file: str,
    columns: str | None,
    accounts: str | None,
    step_s: int | None,
    profile: str | None,
    metrics: str | None,
    lead: int,
    from_fraction: float,
    min_mean: float | None,
    min_deviation: float | None,
    threads: int,
    out: Path | None,
    decisions: Path | None,
    is_json: bool,
) -> None:
    """Replay FILE (counts, events or metrics) under our policy and under those of other systems.

    Every policy is tried over a grid of its settings. The table gives the share of creates that found no address
    ready, at equal waste: idle addresses for each bound one.
    """
    history = history_of(file, columns=columns, accounts=accounts, step_s=step_s, profile=profile)
    _check_size(1, history.report.steps)
    history = with_metrics(history, metrics, columns=columns)
    trace = trace_from_history(
        history, from_fraction=from_fraction, lead=lead, min_mean=min_mean, min_deviation=min_deviation
    )
    _check_size(len(trace.accounts), trace.columns)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    result = _played(trace, fit or GbmFitter(threads=threads), decisions=decisions)
    if is_json:
        print_json(result.as_json())
    else:
        click.echo("\n".join(table_lines(result)))
    if out is not None:
        page = out / "replay.html"
        page.write_text(replay_page(result, title=f"Replay of {Path(file).name}"), encoding="utf-8")
        click.echo(f"curves: {page}", err=True)


def _check_size(accounts: int, times: int) -> None:
    if times > TIMES_MAX or accounts * times > CELLS_MAX:
        rule = f"at most {TIMES_MAX:,} times and {CELLS_MAX:,} cells are replayed"
        way_out = "give --accounts, a longer --step, or mend a stray time"
        raise Invalid("trace", f"{accounts:,} accounts x {times:,} times", f"{rule}: {way_out}")


def _played(trace: Trace, fit: NeedFitter, *, decisions: Path | None) -> ReplayResult:
    with ExitStack() as stack:
        advance = stack.enter_context(progress("replaying policies"))
        sink = None
        if decisions is not None:
            times_s = trace.times_s()[trace.decided]
            written = stack.enter_context(DecisionFile(decisions, accounts=trace.accounts, times_s=times_s))

            def sink(policy: str, decision: Decision) -> None:
                written.add(policy, decision.setting, decision.idle)

        return replay(
            trace,
            (addrcast_policy(fit), *PEERS),
            on_progress=lambda _, done, total: advance(done, total),
            on_decision=sink,
        )

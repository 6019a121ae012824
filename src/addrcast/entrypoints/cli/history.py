"""A history file as the options say it is to be read."""

from __future__ import annotations

from dataclasses import replace

import click

from addrcast.adapters.demand import parse_columns, read_history
from addrcast.core.domain.demand import CountHistory, History, WorkloadProfile
from addrcast.core.domain.errors import Invalid
from addrcast.entrypoints.cli.progress import progress

_BOUNDS = ("target", "min", "max")
_RESOURCES = ("vcpu", "memory_gib", "network_mbit_s")


def history_of(
    file: str, *, columns: str | None, accounts: str | None, step_s: int | None, profile: str | None
) -> History:
    """Read a history file with the shared options, and report on it on the error stream. Raises Invalid."""
    with progress(f"reading {file}") as advance:
        history = read_history(
            file,
            columns=None if columns is None else parse_columns(columns),
            profile=None if profile is None else profile_of(profile),
            step_s=step_s,
            accounts_glob=accounts,
            on_progress=advance,
        )
    click.echo("\n".join(history.report.lines()), err=True)
    return history


def with_metrics(history: History, file: str | None, *, columns: str | None) -> History:
    """The history with the metrics of another file on its times, in place of its own. Raises Invalid."""
    if file is None:
        return history
    if history.counts is None:
        raise Invalid("--metrics", file, "it goes with a file of counts or events")
    step_s = history.counts.step_s
    found = history_of(file, columns=columns, accounts=None, step_s=step_s, profile=None).metrics
    if found is None:
        raise Invalid("--metrics", file, "it has counts or events alone: give a file with columns of metrics")
    return replace(history, metrics=found.beside(history.counts))


def recorded_counts(history: History, *, file: str) -> CountHistory:
    """The counts of a history, with their gaps. Raises Invalid where it has metrics alone."""
    if history.counts is None:
        raise Invalid("file", file, "it has metrics only: say with --profile what one instance carries of each")
    return history.counts


def profile_of(text: str) -> WorkloadProfile:
    """The workload profile that `--profile` describes. Raises Invalid."""
    figures = _figures("--profile", text)
    for name in ("min", "max"):
        if not figures.get(name, 0.0).is_integer():
            raise Invalid("--profile", f"{name}={figures[name]:g}", "a whole number of instances is expected")
    return WorkloadProfile(
        capacity={name: value for name, value in figures.items() if name not in _BOUNDS},
        target_utilisation=figures.get("target", 0.7),
        minimum=int(figures.get("min", 0)),
        maximum=int(figures["max"]) if "max" in figures else None,
    )


def instance_of(text: str) -> WorkloadProfile:
    """What one instance asks of its host, as `--instance` describes it. Raises Invalid."""
    figures = _figures("--instance", text)
    if not figures.keys() <= set(_RESOURCES) or min(figures.values()) < 0:
        raise Invalid("--instance", text, f"{', '.join(_RESOURCES)} are expected, each at least 0")
    return WorkloadProfile(
        {},
        vcpu_per_instance=figures.get("vcpu", 1.0),
        memory_gib_per_instance=figures.get("memory_gib", 4.0),
        network_mbit_s_per_instance=figures.get("network_mbit_s", 100.0),
    )


def _figures(option: str, text: str) -> dict[str, float]:
    """The figures in `name=figure,...`. Raises Invalid."""
    figures: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            figure = float(value)
        except ValueError:
            figure = float("nan")
        if not (name and abs(figure) < float("inf")):
            raise Invalid(option, part, "each part is name=figure, such as memory=8")
        if name in figures:
            raise Invalid(option, part, f"{name} is given already; give it once")
        figures[name] = figure
    return figures

"""A history file as the options say it is to be read."""

from __future__ import annotations

from addrcast.adapters.demand import parse_columns, read_history
from addrcast.core.domain.demand import History, WorkloadProfile
from addrcast.core.domain.errors import Invalid
from addrcast.entrypoints.cli.progress import progress

_BOUNDS = ("target", "min", "max")


def history_of(
    file: str, *, columns: str | None, accounts: str | None, step_s: int | None, profile: str | None
) -> History:
    """Read a history file with the shared options. Raises Invalid."""
    with progress(f"reading {file}") as advance:
        return read_history(
            file,
            columns=None if columns is None else parse_columns(columns),
            profile=None if profile is None else profile_of(profile),
            step_s=step_s,
            accounts_glob=accounts,
            on_progress=advance,
        )


def profile_of(text: str) -> WorkloadProfile:
    """The workload profile that `--profile` describes. Raises Invalid."""
    figures: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            figures[name.strip()] = float(value)
        except ValueError:
            raise Invalid("--profile", part, "metric=capacity is expected, such as cpu=2") from None
    maximum = figures.get("max")
    return WorkloadProfile(
        capacity={name: value for name, value in figures.items() if name not in _BOUNDS},
        target_utilisation=figures.get("target", 0.7),
        minimum=int(figures.get("min", 0)),
        maximum=None if maximum is None else int(maximum),
    )

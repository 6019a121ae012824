"""Options of the commands that forecast: what engines which cost much may use."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from addrcast.adapters.forecasters.by_name import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Callable

_POSITIVE = click.FloatRange(0, min_open=True)
_BOUNDS = (
    click.option(
        "--workers", default=1, type=click.IntRange(1), metavar="N", help="Processes of arima, prophet [1]."
    ),
    click.option(
        "--series-seconds",
        default=60.0,
        type=_POSITIVE,
        metavar="SECONDS",
        help="The longest that arima and prophet may take for an account [60].",
    ),
    click.option(
        "--total-seconds",
        default=3_600.0,
        type=_POSITIVE,
        metavar="SECONDS",
        help="The longest that they may take for all accounts of an origin [3600].",
    ),
    click.option(
        "--costly",
        default=0,
        type=click.IntRange(0),
        metavar="N",
        help="For how many accounts auto also tries arima and prophet [0].",
    ),
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command takes them as `**bounds`, for `engine_settings`."""
    for option in reversed(_BOUNDS):
        command = option(command)
    return command


def engine_settings(bounds: dict[str, Any]) -> EngineSettings:
    """The settings that the options give."""
    return EngineSettings(
        workers=bounds["workers"],
        series_s=bounds["series_seconds"],
        total_s=bounds["total_seconds"],
        costly_accounts=bounds["costly"],
    )


class Failures:
    """Counts why accounts had no answer, and tells it on the error stream."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()

    def __call__(self, account: str, reason: str) -> None:  # noqa: ARG002 - the reasons are told, not each account
        """Count one."""
        self._reasons[reason] += 1

    def tell(self, engine: str, *, instead: str) -> None:
        """One line, where there were any."""
        if self._reasons:
            why = "; ".join(f"{count:,}: {reason}" for reason, count in self._reasons.most_common(3))
            click.echo(f"{engine}: {self._reasons.total():,} forecasts failed, {instead} ({why})", err=True)

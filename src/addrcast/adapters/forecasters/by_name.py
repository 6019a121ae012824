"""All level engines by name: those of the core, and those whose library is an extra, loaded only when used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from addrcast.adapters.forecasters.pool import SeriesPool
from addrcast.adapters.forecasters.pool_engine import PoolEngine
from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.auto import Auto
from addrcast.core.forecast.engines import CHEAP_ENGINES, LEVEL_ENGINES

if TYPE_CHECKING:
    from addrcast.adapters.forecasters.pool import Work
    from addrcast.adapters.forecasters.pool_engine import OnFailure
    from addrcast.core.forecast.engine import LevelEngine


class _Extra(NamedTuple):
    """An engine of an extra: where its work is, the library it needs, how far back it looks."""

    module: str
    work: str
    library: str
    origins_max: int
    columns_max: int


_EXTRAS = {
    "arima": _Extra("arima", "Arima", "statsforecast", 7, 1_008),
    "prophet": _Extra("prophet", "Prophet", "prophet", 3, 4_032),
}
ENGINE_NAMES = (*LEVEL_ENGINES, *_EXTRAS)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Processes, seconds for a series and for all of a call, and for how many accounts `auto` uses the extras."""

    workers: int = 1
    series_s: float = 60.0
    total_s: float = 3_600.0
    costly_accounts: int = 0


def check_engine(name: str) -> None:
    """Raises Invalid where there is no engine of that name, or its library is not installed."""
    if name not in ENGINE_NAMES:
        raise Invalid("engine", name, f"choose one of {', '.join(ENGINE_NAMES)}")
    if name in _EXTRAS and not _is_installed(name):
        library = _EXTRAS[name].library
        raise Invalid("engine", name, f"{library} is not installed: pip install 'addrcast[{name}]'")


@contextmanager
def opened_engine(
    name: str, settings: EngineSettings | None = None, *, on_failure: OnFailure | None = None
) -> Iterator[LevelEngine]:
    """The engine of that name; its worker processes end with the block. Raises Invalid, as `check_engine` does."""
    settings = settings or EngineSettings()
    check_engine(name)
    with ExitStack() as stack:
        if name in _EXTRAS:
            yield _pooled(name, settings, stack, on_failure)
        elif name == "auto" and settings.costly_accounts:
            there = [extra for extra in _EXTRAS if _is_installed(extra)]
            if not there:
                raise Invalid("engine", name, "costly engines are extras: pip install 'addrcast[arima]'")
            costly = {extra: _pooled(extra, settings, stack, None) for extra in there}
            yield Auto(CHEAP_ENGINES, costly, settings.costly_accounts)
        else:
            yield LEVEL_ENGINES[name]


def _is_installed(name: str) -> bool:
    return find_spec(_EXTRAS[name].library) is not None


def _pooled(name: str, settings: EngineSettings, stack: ExitStack, on_failure: OnFailure | None) -> PoolEngine:
    extra = _EXTRAS[name]
    work: Work = getattr(importlib.import_module(f"{__package__}.{extra.module}"), extra.work)()
    pool = SeriesPool(work, settings.workers, settings.series_s, settings.total_s)
    stack.callback(pool.close)
    return PoolEngine(pool, extra.origins_max, extra.columns_max, on_failure)

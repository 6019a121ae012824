"""The level engines of the core by name; `adapters/forecasters/by_name.py` has those that need a library."""

from __future__ import annotations

from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.auto import Auto
from addrcast.core.forecast.engine import LevelEngine
from addrcast.core.forecast.mixture import linear
from addrcast.core.forecast.naive import last, seasonal

CHEAP_ENGINES: dict[str, LevelEngine] = {"seasonal": seasonal, "last": last, "linear": linear}
LEVEL_ENGINES: dict[str, LevelEngine] = {**CHEAP_ENGINES, "auto": Auto(CHEAP_ENGINES, {})}


def level_engine(name: str) -> LevelEngine:
    """The engine of that name.

    Raises: Invalid where there is none.
    """
    if name not in LEVEL_ENGINES:
        raise Invalid("engine", name, f"choose one of {', '.join(LEVEL_ENGINES)}")
    return LEVEL_ENGINES[name]

"""The level engines by name."""

from __future__ import annotations

from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.engine import LevelEngine
from addrcast.core.forecast.mixture import linear
from addrcast.core.forecast.naive import last, seasonal

LEVEL_ENGINES: dict[str, LevelEngine] = {"seasonal": seasonal, "last": last, "linear": linear}


def level_engine(name: str) -> LevelEngine:
    """The engine of that name.

    Raises: Invalid where there is none.
    """
    if name not in LEVEL_ENGINES:
        raise Invalid("engine", name, f"choose one of {', '.join(LEVEL_ENGINES)}")
    return LEVEL_ENGINES[name]

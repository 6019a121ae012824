"""What all tests share: Hypothesis profiles, and the real traces where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.rights import pytest_collection_modifyitems, pytest_terminal_summary

__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary"]

# `dev` is quick, `ci` repeats itself, `long` searches; choose with HYPOTHESIS_PROFILE.
_CALM = [HealthCheck.too_slow, HealthCheck.filter_too_much]
settings.register_profile("dev", max_examples=30, deadline=None, suppress_health_check=_CALM)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True, suppress_health_check=_CALM)
settings.register_profile("long", max_examples=2_000, deadline=None, suppress_health_check=_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real traces: `ADDRCAST_SHARED`, or `shared` beside the checkout; skips where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    data = Path(os.environ.get("ADDRCAST_SHARED", beside)) / "data"
    if not data.is_dir():
        pytest.skip(f"real traces are not at {data}; set ADDRCAST_SHARED to try them")
    return data

"""The fixtures of the contract suite: each test runs on every kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contracts.stores import KINDS, Opened, StoreKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from addrcast.ports.store import Store


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    kind: StoreKind = request.param
    return kind


@pytest.fixture
async def opened(kind: StoreKind, tmp_path: Path) -> AsyncIterator[Opened]:
    async with kind.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def store(opened: Opened) -> Store:
    return opened.store

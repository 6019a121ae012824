"""Which records are translated."""

from __future__ import annotations

import pytest

from addrcast.core.dataplane.compile import mapped_physical
from addrcast.core.domain.record import AddressState, Record


@pytest.mark.parametrize(
    ("state", "physical"),
    [
        (AddressState.RESERVED, "172.16.0.1"),
        (AddressState.BOUND, "172.16.0.1"),
        (AddressState.PRESERVED, "172.16.0.1"),
        (AddressState.COOLING, None),
    ],
)
def test_all_but_cooling_records_are_translated(state: AddressState, physical: str | None) -> None:
    record = Record(state=state, physical="172.16.0.1", host="h1", pool="p", since_ms=0)
    assert mapped_physical(record) == physical

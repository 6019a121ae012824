"""What the probe finds is what is true, and it says why."""

from __future__ import annotations

import errno
import os

import pytest

from addrcast.adapters.kernel import probe
from addrcast.adapters.kernel.probe import Need, Offer, choice


@pytest.mark.net_admin
def test_a_kernel_that_passes_the_contract_is_found_usable_and_left_as_it_was() -> None:
    before = sorted(os.listdir("/sys/class/net"))
    offers = {offer.backend: offer for offer in probe.probe()}
    assert offers["routes"] == Offer("routes", is_usable=True, reason="everything it needs is there")
    assert offers["routes, plain"].is_usable
    assert sorted(os.listdir("/sys/class/net")) == before


@pytest.mark.net_admin
def test_what_is_lacking_is_named_with_the_kernels_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Unknown device type")

    monkeypatch.setitem(probe.BACKENDS, "routes", (Need("devices that nobody has", refuse),))
    name, why = choice(probe.probe())
    assert name == "routes, plain"
    assert "routes: lacks devices that nobody has ([Errno 95] Unknown device type)" in why


def test_where_nothing_can_be_used_every_reason_is_given() -> None:
    offers = [Offer(name, is_usable=False, reason=f"lacks {what}") for name, what in (("a", "x"), ("b", "y"))]
    assert choice(offers) == (None, "no kernel table can be used here: a: lacks x; b: lacks y")

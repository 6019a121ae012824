"""The probe of the `bpf` backend."""

from __future__ import annotations

import errno

import pytest
from tests import bpf

from addrcast.adapters.kernel import bpf_syscall
from addrcast.adapters.kernel.probe import choice, probe

if bpf.lacks():
    pytestmark = pytest.mark.skip(reason=bpf.lacks())


def test_what_passes_the_contract_is_found_usable_and_after_routes() -> None:
    offers = probe()
    (offer,) = [each for each in offers if each.backend == "bpf"]
    assert (offer.is_usable, offer.reason) == (True, "everything it needs is there")
    assert choice(offers)[0] == "routes"


def test_without_the_right_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EPERM, "bpf(0): Operation not permitted")

    monkeypatch.setattr(bpf_syscall, "create_map", refuse)
    (offer,) = [each for each in probe() if each.backend == "bpf"]
    assert not offer.is_usable
    assert "for root, or CAP_BPF with CAP_NET_ADMIN, outside of user namespaces" in offer.reason
    assert "unshare" not in offer.reason

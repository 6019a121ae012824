"""What a request may say."""

from __future__ import annotations

import pytest
from tests.core.assignment.world import create, delete

from addrcast.core.assignment.request import Request, Want, check_request
from addrcast.core.domain.errors import Invalid

GOOD: list[Request] = [
    create("acme", "i-1"),
    create("acme", "any text, up to 253 bytes", "host-1", attempt=3),
    create("acme", "i-1", wants=[Want(logical="10.0.0.1"), Want(logical="2001:db8::1"), Want()]),
    delete("acme", "i-1"),
    delete("acme", "i-1", 0),
]
BAD: list[Request] = [
    create("a.b", "i-1"),
    create("acme", ""),
    create("acme", "x" * 254),
    create("acme", "i-1", "no host"),
    create("acme", "i-1", attempt=-1),
    create("acme", "i-1", wants=[]),
    create("acme", "i-1", wants=[Want()] * 17),
    create("acme", "i-1", wants=[Want(logical="10.0.0.01")]),
    create("acme", "i-1", wants=[Want(logical="10.0.0.1")] * 2),
    delete("acme", "i-1", -1),
    delete("", "i-1"),
]


@pytest.mark.parametrize("request_", GOOD)
def test_a_request_that_keeps_the_rules_passes(request_: Request) -> None:
    check_request(request_)


@pytest.mark.parametrize("request_", BAD)
def test_a_request_that_breaks_a_rule_is_invalid(request_: Request) -> None:
    with pytest.raises(Invalid):
        check_request(request_)

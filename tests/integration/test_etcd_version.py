"""The versions of etcd that the store works with, and those on which it nests transactions."""

from __future__ import annotations

import pytest

from addrcast.adapters.stores.etcd_version import can_nest, check_version
from addrcast.core.domain.errors import Invalid


@pytest.mark.parametrize("text", ["3.3.27", "3.4.23", "3.5.2", "3.5.8", "2.3.8"])
def test_a_version_whose_watches_lose_events_is_refused_with_what_is_needed(text: str) -> None:
    with pytest.raises(Invalid, match=r"3\.4\.26.*3\.5\.9.*upgrade m1:2379") as refused:
        check_version(text, endpoint="m1:2379")
    assert text in str(refused.value)


@pytest.mark.parametrize("text", ["", "three", "3.5"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        check_version(text, endpoint="m1:2379")


@pytest.mark.parametrize(
    ("text", "nests"),
    [
        ("3.4.26", False),
        ("3.5.9", False),
        ("3.5.29", False),
        ("3.5.30", True),
        ("3.5.33", True),
        ("3.6.0-rc.1", False),
        ("3.6.8", False),
        ("3.6.9", True),
        ("3.7.0", True),
    ],
)
def test_transactions_are_nested_where_users_are_checked_in_them(text: str, nests: bool) -> None:
    assert can_nest(check_version(text, endpoint="m1:2379")) is nests

"""Names and their escapes: what is allowed, and that keys stay readable and unambiguous."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.identity import InstanceId, check_instance, check_name, escape_instance, unescape_instance
from addrcast.core.domain.keyspace import instance_key

INSTANCES = st.text(min_size=1, max_size=253).filter(
    lambda text: not any("\ud800" <= sign <= "\udfff" for sign in text) and len(text.encode()) <= 253
)


@pytest.mark.parametrize("name", ["a", "A-z_09", "x" * 63])
def test_names_of_letters_digits_dashes_and_underscores_are_allowed(name: str) -> None:
    assert check_name("account", name) == name


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "a\n", "x" * 64])
def test_other_names_are_refused_with_the_field_they_stood_in(name: str) -> None:
    with pytest.raises(Invalid, match="account: "):
        check_name("account", name)


@given(INSTANCES)
def test_an_instance_may_be_any_text_and_survives_its_key(text: str) -> None:
    assert unescape_instance(escape_instance(check_instance(text))) == text


@given(INSTANCES, INSTANCES)
def test_different_instances_have_different_keys(one: str, other: str) -> None:
    assert (escape_instance(InstanceId(one)) == escape_instance(InstanceId(other))) == (one == other)


@given(INSTANCES)
def test_every_key_of_an_instance_fits_a_store(text: str) -> None:
    assert len(instance_key("a" * 63, text).encode()) <= 511


def test_a_plain_instance_is_readable_in_its_key() -> None:
    assert escape_instance(InstanceId("i-0abc.web_1")) == "i-0abc.web_1"
    assert escape_instance(InstanceId("a/b=c")) == "a%2Fb%3Dc"


def test_an_instance_whose_escape_is_too_long_is_written_in_base64() -> None:
    long = InstanceId("ü" * 126)
    assert escape_instance(long).startswith("=")
    assert unescape_instance(escape_instance(long)) == long


@pytest.mark.parametrize("text", ["", "x" * 254, "ü" * 127, "\ud800"])
def test_an_instance_that_fits_no_key_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="instance: "):
        check_instance(text)

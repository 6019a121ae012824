"""The page of words says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import asdict

from addrcast.core.domain.codec import decode, encode
from addrcast.core.domain.keyspace import VALUE_TYPES, parts_of
from addrcast.core.domain.resource import DEFAULT_TIERS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "design" / "words.md").read_text()
EXAMPLES = re.findall(r"^\| `([^`]+)` \| `(\{[^`]*\})` \|$", PAGE, flags=re.MULTILINE)


def table_after(mark: str) -> list[list[str]]:
    lines = PAGE[PAGE.index(mark) :].splitlines()
    rows = [line for line in lines if line.startswith("|")][: 2 + len(asdict(DEFAULT_TIERS["basic"]))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize(("key", "text"), EXAMPLES)
def test_an_example_is_written_as_the_store_writes_it(key: str, text: str) -> None:
    assert encode(decode(key, text.encode())).decode() == text


def test_every_kind_of_value_has_one_example() -> None:
    assert sorted(parts_of(key).kind for key, _ in EXAMPLES) == sorted(VALUE_TYPES)


def test_the_default_tiers_are_those_of_the_code() -> None:
    head, _, *rows = table_after("<!-- tiers")
    assert head[1:] == list(DEFAULT_TIERS)
    for at, name in enumerate(DEFAULT_TIERS, start=1):
        written = {row[0]: row[at] for row in rows if row[0] != "v"}
        assert written == {
            field: str(value) for field, value in asdict(DEFAULT_TIERS[name]).items() if field != "v"
        }

"""Values and entries."""

from __future__ import annotations

import msgspec
import pytest

from addrcast.core.domain.keyspace import EPOCH, VALUE_TYPES
from addrcast.core.domain.record import SCHEMA_VERSION, Entry, StoreEpoch, Value


def test_an_entry_is_true_where_its_key_exists() -> None:
    assert Entry("store_epoch", StoreEpoch(epoch=1), 1, 1)
    assert not Entry("store_epoch")


def test_the_value_of_an_absent_key_cannot_be_asked_for() -> None:
    assert Entry("store_epoch", StoreEpoch(epoch=1)).required == StoreEpoch(epoch=1)
    absent: Entry[StoreEpoch] = Entry("store_epoch")
    with pytest.raises(AssertionError, match="store_epoch is absent"):
        _ = absent.required


@pytest.mark.parametrize("kind", sorted(VALUE_TYPES))
def test_every_value_bears_its_version_and_cannot_be_changed(kind: str) -> None:
    config = VALUE_TYPES[kind].__struct_config__
    assert issubclass(VALUE_TYPES[kind], Value)
    assert config.frozen
    assert config.forbid_unknown_fields
    if kind == EPOCH:  # in whose value the version is said, not only borne
        assert msgspec.structs.fields(VALUE_TYPES[kind])[0].name == "v"
    else:
        assert (config.tag_field, config.tag) == ("v", SCHEMA_VERSION)

"""Desired against actual, by value."""

from __future__ import annotations

from addrcast.core.dataplane.reconcile import Difference, reconcile
from addrcast.core.dataplane.table import TableEntry, TableKey


def test_an_address_that_moved_is_written_again_though_its_key_is_there() -> None:
    difference = reconcile({7: {"10.0.0.1": "172.16.0.2"}}, {7: {"10.0.0.1": "172.16.0.1"}})
    assert difference == Difference((TableEntry(7, "10.0.0.1", "172.16.0.2"),), (), ())


def test_what_is_desired_and_absent_is_written_and_what_is_there_and_not_desired_is_deleted() -> None:
    difference = reconcile(
        {7: {"10.0.0.1": "172.16.0.1"}, 8: {"10.0.0.1": "172.16.0.3"}}, {7: {"10.0.0.2": "172.16.0.2"}}
    )
    assert difference.upserts == (
        TableEntry(7, "10.0.0.1", "172.16.0.1"),
        TableEntry(8, "10.0.0.1", "172.16.0.3"),
    )
    assert difference.deletes == (TableKey(7, "10.0.0.2"),)


def test_a_network_of_which_nothing_is_desired_is_a_stray_as_a_whole() -> None:
    difference = reconcile({7: {}}, {7: {}, 9: {"10.0.0.2": "172.16.0.2"}, 3: {}})
    assert difference == Difference((), (), (3, 9))

from __future__ import annotations

from pathlib import Path

import pytest

from addrcast.adapters.demand.history import read_history
from addrcast.adapters.demand.layouts import parse_columns, recognised
from addrcast.core.domain.errors import Invalid


def test_a_mapping_is_read_from_text() -> None:
    assert parse_columns(" account_id = user,created=start ") == {"account_id": "user", "created": "start"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "each part is name=column"),
        ("account_id", "'account_id' .*each part is name=column"),
        ("account_id=", "each part is name=column"),
        ("=user", "each part is name=column"),
        ("account_id=user,", "each part is name=column"),
        ("count=a,count=b", "count is already mapped to a"),
    ],
)
def test_a_mapping_that_cannot_be_read_says_how_it_is_written(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        parse_columns(text)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("account_id,timestamp,instances", "counts"),
        ("instances,region,timestamp,account_id", "counts"),
        ("account_id,timestamp,cpu,memory", "metrics"),
        ("account_id,timestamp,cpu_mhz,mem_gib", "bitbrains metrics"),
        ("account_id,instance_id,created,deleted", "events"),
        ("instance_sn,account_id,role,creation_time,scheduled_time,deletion_time", "DLRM events"),
        ("job,user,group,start,end,procs", "SWF jobs"),
        ("account_id,split,step,value", "M4 steps"),
        ("account_id,step,instances", "counts by step"),
        ("account_id,step,cpu", "metrics by step"),
    ],
)
def test_a_layout_is_recognised_by_its_columns(header: str, name: str) -> None:
    assert recognised(header.split(","), source="history.csv").name == name


def test_an_unknown_header_names_the_columns_found_and_the_way_out() -> None:
    with pytest.raises(Invalid, match=r"when,vm,n.*no known layout.*--columns account_id=user"):
        recognised(["when", "vm", "n"], source="history.csv")


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_any_layout_can_be_mapped(tmp_path: Path) -> None:
    path = written(tmp_path / "h.csv", "when,vm,n,account_id\n0,a,1,x\n3600,a,2,y\n")
    counts = read_history(path, columns=parse_columns("account_id=vm,timestamp=when,instances=n")).counts
    assert counts is not None
    assert counts.accounts == ("a",)
    assert counts.counts.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("account_id=user", "no such column, only account_id, timestamp, instances"),
        ("account_id=account_id,cpu=account_id", "account_id is already mapped to account_id"),
    ],
)
def test_a_mapping_that_does_not_fit_the_file_is_refused(tmp_path: Path, columns: str, message: str) -> None:
    path = written(tmp_path / "h.csv", "account_id,timestamp,instances\na,0,1\n")
    with pytest.raises(Invalid, match=message):
        read_history(path, columns=parse_columns(columns))


def test_errors_name_the_column_as_the_file_does(tmp_path: Path) -> None:
    path = written(tmp_path / "h.csv", "user,start,end,procs\n1,0,9,1\n1,0,9,many\n")
    with pytest.raises(Invalid, match=r"h.csv line 3, column procs: 'many'"):
        read_history(path)


def test_keys_alone_are_no_history(tmp_path: Path) -> None:
    path = written(tmp_path / "h.csv", "account_id,timestamp,region\na,0,north\n")
    with pytest.raises(Invalid, match=r"no column of numbers.*--columns instances=NAME"):
        read_history(path)

"""Files as they come: packed, damaged, empty, ragged, too large."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from addrcast.adapters.demand import table as tables
from addrcast.adapters.demand.history import read_history
from addrcast.core.domain.errors import Invalid

PLAIN = b"account_id,timestamp,instances\na,0,1\na,3600,2\nb,0,3\nb,3600,4\n"


def write_parquet(path: Path) -> None:
    frame = pl.DataFrame(
        {"account_id": ["a", "a", "b", "b"], "timestamp": [0, 3600] * 2, "instances": [1, 2, 3, 4]}
    )
    frame.write_parquet(path)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: path.write_bytes(PLAIN), id="plain"),
        pytest.param(lambda path: path.write_bytes(PLAIN.replace(b"\n", b"\r\n")), id="lines of Windows"),
        pytest.param(lambda path: path.write_bytes(b"\xef\xbb\xbf" + PLAIN), id="byte order mark"),
        pytest.param(lambda path: path.write_bytes(PLAIN.replace(b",", b";")), id="semicolons"),
        pytest.param(lambda path: path.write_bytes(PLAIN.replace(b",", b"\t")), id="tabs"),
        pytest.param(lambda path: path.write_bytes(PLAIN.replace(b"a,", b'"a", ')), id="quotes and spaces"),
        pytest.param(lambda path: path.write_bytes(PLAIN.strip() + b"\n\n \n"), id="blank lines at the end"),
        pytest.param(lambda path: path.write_bytes(gzip.compress(PLAIN)), id="gzip"),
        pytest.param(
            lambda path: path.write_bytes(gzip.compress(PLAIN[:40]) + gzip.compress(PLAIN[40:])), id="parts"
        ),
        pytest.param(write_parquet, id="Parquet"),
    ],
)
def test_what_a_file_is_its_bytes_say_and_not_its_name(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = tmp_path / "history.bin"
    write(path)
    counts = read_history(path).counts
    assert counts is not None
    assert counts.accounts == ("a", "b")
    assert counts.counts.tolist() == [[1, 2], [3, 4]]


HEADER = b"account_id,timestamp,instances\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (HEADER, "no rows below a header"),
        (HEADER + b"\n  \n", "no rows below a header"),
        (HEADER + b"a,0,1\na,3600\n", r"line 3: 'a,3600' .*: 2 cells where the header has 3"),
        (HEADER + b"a,0,1\na,3600,2,9\n", "line 3: .*4 cells where the header has 3"),
        (HEADER + b"a,0,1\n\na,3600,2\n", "line 3: .*0 cells where the header has 3"),
        (HEADER + b'"a\nb",0,1\n"c",3600\n', "line 4: .*2 cells"),
        (HEADER + b'a,0,1\n"a,3600,2\n', "line 3: .*1 cells"),
        (HEADER + b'"' + b"a" * 140_000, "line 2: .*is a quote left open"),
        (HEADER + b"\xff\xfe,0,1\n", "not readable as CSV in UTF-8"),
        (b"\xff\xfe\x00\x01", "neither CSV in UTF-8 nor gzip nor Parquet"),
        (b"account_id,timestamp,instances,instances\na,0,1,2\n", "two columns have this name"),
        (b",".join(b"c%d" % place for place in range(1001)) + b"\n1\n", "at most 1,000 columns"),
        (gzip.compress(PLAIN)[:-9], "gzip data are damaged"),
        (gzip.compress(PLAIN)[:10] + b"\xff" * 40, "gzip data are damaged .*invalid block"),
        (gzip.compress(PLAIN)[:-8] + b"\x00" * 8, "gzip data are damaged .*CRC check failed"),
        (b"PAR1 and nothing after", "not readable as Parquet"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_table_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=message):
        read_history(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"absent\.csv.*No such file"):
        read_history(tmp_path / "absent.csv")


def test_a_folder_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="Is a directory"):
        read_history(tmp_path)


def test_parquet_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    pl.DataFrame({"account_id": []}).write_parquet(path)
    with pytest.raises(Invalid, match="no rows"):
        read_history(path)


@pytest.mark.parametrize("limit", ["BYTES_MAX", "ROWS_MAX"])
def test_more_than_the_limit_is_refused_and_the_way_out_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(tables, limit, 2)
    for name in ("history.csv", "history.parquet"):
        path = tmp_path / name
        path.write_bytes(PLAIN)
        if name.endswith("parquet"):
            write_parquet(path)
            monkeypatch.setattr(tables, "ROWS_MAX", 2)
        with pytest.raises(Invalid, match="split it by account"):
            read_history(path)


@pytest.mark.parametrize("write", [lambda path: path.write_bytes(gzip.compress(PLAIN)), write_parquet])
def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = tmp_path / "history"
    write(path)
    seen: list[tuple[int, int]] = []
    read_history(path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def test_a_column_of_lists_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    frame = pl.DataFrame({"account_id": ["a"], "timestamp": [0], "instances": [1], "labels": [["x", "y"]]})
    frame.write_parquet(path)
    assert read_history(path).metrics is None

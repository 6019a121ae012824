"""Bad cells by line, column and rule; times and ids in every form they come in."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.adapters.demand.cells import identities, is_numeric, numbers, times_s
from addrcast.adapters.demand.history import read_history
from addrcast.adapters.demand.table import Table
from addrcast.core.domain.errors import Invalid

COUNTS = "account_id,timestamp,instances\n"
EVENTS = "account_id,instance_id,created,deleted,count\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (COUNTS + "a,0,1\na,3600,x\n", r"line 3, column instances: 'x' .*finite number of at least 0"),
        (COUNTS + "a,0,-1\n", "line 2, column instances: '-1'"),
        (COUNTS + "a,0,nan\n", "line 2, column instances: 'nan'"),
        (COUNTS + "a,0,inf\n", "line 2, column instances: 'inf'"),
        (COUNTS + "a,0,16777217\n", "line 2, column instances: .*at most 16,777,216"),
        (COUNTS + "a,0,1\n ,0,1\n", "line 3, column account_id: ' ' .*1 to 255 characters"),
        (COUNTS + f"{'a' * 256},0,1\n", "line 2, column account_id"),
        (COUNTS + "a,,1\n", "line 2, column timestamp: None .*a time is seconds or ISO 8601"),
        (COUNTS + "a,yesterday,1\n", "line 2, column timestamp: 'yesterday'"),
        (COUNTS + "a,2024-01-01,1\na,3600,1\n", "line 3, column timestamp: '3600'"),
        (COUNTS + "a,3600,1\na,2024-01-01,1\n", "line 3, column timestamp: '2024-01-01'"),
        (COUNTS + "a,2024-02-30 00:00:00,1\n", "line 2, column timestamp"),
        (COUNTS + "a,1714567890123,1\n", "line 2, column timestamp: .*milliseconds"),
        (COUNTS + "a,inf,1\n", "line 2, column timestamp: 'inf'"),
        (COUNTS + '"a\nb",0,1\nc,0,x\n', "line 4, column instances: 'x'"),
        ("account_id,step,value\na,1,1\na,1.5,1\n", "line 3, column step: '1.5' .*whole number"),
        ("account_id,timestamp,cpu\na,0,1\na,3600,2\na,7200,high\n", "line 4, column cpu: 'high'"),
        ("account_id,timestamp,cpu,memory\na,0,high,1\n", "line 2, column cpu: 'high'"),
        (EVENTS + "a,i,10,9,1\n", "line 2, column deleted: '9' .*deleted before it was created, at 10"),
        (EVENTS + "a,i,0,9,1.5\n", "line 2, column count: '1.5' .*whole number"),
        (EVENTS + "a,i,0,9,-1\n", "line 2, column count: '-1'"),
        (EVENTS + "a,,0,9,1\n", "line 2, column instance_id: None .*1 to 255"),
        (EVENTS + "a,i,soon,9,1\n", "line 2, column created: 'soon'"),
    ],
)
def test_a_bad_cell_is_named_by_line_column_and_rule(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(Invalid, match=message):
        read_history(path)


def test_a_bad_cell_of_parquet_is_named_by_row(tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    pl.DataFrame({"account_id": ["a", "b"], "timestamp": [0, 0], "instances": [1, -2]}).write_parquet(path)
    with pytest.raises(Invalid, match="row 2, column instances: -2"):
        read_history(path)


def column(*values: object, dtype: pl.DataType | None = None) -> Table:
    return Table("history.csv", pl.DataFrame({"c": pl.Series(values, dtype=dtype)}))


NOON_S = 1714564800.0


@pytest.mark.parametrize(
    "text",
    [
        "1714564800",
        "1714564800.0",
        "2024-05-01 12:00:00",
        "2024-05-01T12:00:00",
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00:00.000000",
        "2024-05-01T12:00",
        "2024-05-01T14:00:00+02:00",
        "20240501T120000Z",
        " 2024-05-01 12:00:00 ",
    ],
)
def test_every_form_of_a_time_is_the_same_second(text: str) -> None:
    assert times_s(column(text), "c").tolist() == [NOON_S]


def test_forms_of_iso_8601_may_be_mixed_in_a_column() -> None:
    texts = ["2024-05-01 12:00:00", "2024-05-01T13:00:00+01:00", "2024-05-01T12:00"]
    assert times_s(column(*texts), "c").tolist() == [NOON_S] * 3


@pytest.mark.parametrize(
    "table",
    [
        column(datetime(2024, 5, 1, 12), dtype=pl.Datetime("ns")),  # noqa: DTZ001
        column(datetime(2024, 5, 1, 12), dtype=pl.Datetime("ms", "UTC")),  # noqa: DTZ001
        column(1714564800, dtype=pl.Int64()),
        column("2024-05-01 12:00:00", dtype=pl.Categorical()),
    ],
)
def test_typed_times_of_parquet_are_read(table: Table) -> None:
    assert times_s(table, "c").tolist() == [NOON_S]


def test_a_date_is_its_first_second() -> None:
    assert times_s(column(date(2024, 5, 1)), "c").tolist() == [NOON_S - 12 * 3600]


def test_a_column_that_is_no_time_is_refused() -> None:
    with pytest.raises(Invalid, match="a time is seconds"):
        times_s(column(None, True), "c")
    with pytest.raises(Invalid, match="a time is seconds"):
        times_s(column(timedelta(hours=1)), "c")


def test_binary_noise_of_a_time_is_rounded_off() -> None:
    assert times_s(column("475.00000000000006", "475"), "c").tolist() == [475.0, 475.0]


@given(st.integers(0, 2_000_000_000), st.integers(0, 999_999))
def test_a_time_written_as_iso_8601_comes_back_to_the_microsecond(second: int, microsecond: int) -> None:
    text = datetime.fromtimestamp(second).astimezone().replace(microsecond=microsecond).isoformat()
    assert times_s(column(text), "c")[0] == round(second + microsecond / 1e6, 6)


def test_ids_that_are_numbers_are_written_out() -> None:
    assert identities(column(7, 12), "c").to_list() == ["7", "12"]


def test_a_number_that_stands_for_the_unknown_is_unknown() -> None:
    assert numbers(column("-1", "3", ""), "c", unknown=-1).tolist()[1] == 3
    with pytest.raises(Invalid, match="'-2'"):
        numbers(column("-1", "-2"), "c", unknown=-1)


@pytest.mark.parametrize(
    ("table", "numeric"),
    [
        (column("1", "2", "x"), True),
        (column("1", "x", "y"), False),
        (column("", "", ""), False),
        (column(1.5, None), True),
        (column(True, False), False),
        (column(date(2024, 5, 1)), False),
    ],
)
def test_a_column_is_numeric_when_most_of_it_is(table: Table, numeric: bool) -> None:
    assert is_numeric(table, "c") is numeric


@given(
    st.lists(st.lists(st.sampled_from(["", "a", "0", "-1", "3600", "2024-01-01", "nan", '"', "\x00"]), max_size=4))
)
def test_any_rows_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    for header in (COUNTS, EVENTS, "user,start,end,procs\n", "account_id,step,value,cpu\n"):
        path.write_text(header + "\n".join(",".join(row) for row in rows))
        try:
            history = read_history(path)
        except Invalid:
            continue
        assert history.counts is None or history.counts.steps > 0

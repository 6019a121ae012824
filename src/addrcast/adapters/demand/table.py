"""A file as a table of columns, and the way back from a row to its line."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import polars as pl
from polars.selectors import nested

from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from _csv import Reader

BYTES_MAX = 4 * 2**30
ROWS_MAX = 50_000_000
COLUMNS_MAX = 1_000
CHUNK_BYTES = 4 * 2**20
DELIMITERS = (",", ";", "\t")
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file: text columns if it was CSV, else the types it has.

    `text` is the CSV itself, from which a row's line is found again; None for Parquet. `headers` maps the name of
    a column that was renamed to the file's own.
    """

    source: str
    frame: pl.DataFrame
    text: bytes | None = None
    delimiter: str = ","
    headers: Mapping[str, str] = field(default_factory=dict)

    def renamed(self, names: Mapping[str, str]) -> Table:
        """The same rows with only these columns, the file's name of each to ours."""
        frame = self.frame.select(pl.col(column).alias(name) for column, name in names.items())
        return replace(self, frame=frame, headers={name: column for column, name in names.items()})

    def reject(self, row: int, column: str, rule: str) -> NoReturn:
        """Raise Invalid for the cell of one row."""
        value = self.frame[column][row]
        header = self.headers.get(column, column)
        raise Invalid(f"{self.source} {self._place(row)}, column {header}", value, rule)

    def _place(self, row: int) -> str:
        if self.text is None:
            return f"row {row + 1}"
        if b'"' not in self.text:
            return f"line {row + 2}"
        records = _records(self.text, self.delimiter)
        for _ in range(row + 1):
            next(records)
        first_line = records.line_num + 1
        return f"line {first_line}"


def read_table(path: Path, *, on_progress: Progress | None = None) -> Table:
    """The table in a CSV, gzipped CSV or Parquet file; which it is, its first bytes say.

    `on_progress` is called with the bytes read and the bytes of the file.

    Raises: Invalid where the file is absent, empty, damaged, not a table or above the limits.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == PARQUET_MAGIC:
                return _read_parquet(path, on_progress)
            if magic[:2] == GZIP_MAGIC:
                with gzip.GzipFile(fileobj=file) as unzipped:
                    text = _read_all(path, file, unzipped, on_progress)
            else:
                text = _read_all(path, file, file, on_progress)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Invalid("file", str(path), f"its gzip data are damaged ({error}); pack it again") from error
    except OSError as error:
        raise Invalid("file", str(path), f"it cannot be read: {error.strerror or error}") from error
    return _read_csv(path, text)


def _read_all(path: Path, file: BinaryIO, content: BinaryIO | gzip.GzipFile, on_progress: Progress | None) -> bytes:
    total = path.stat().st_size
    chunks = bytearray()
    while chunk := content.read(CHUNK_BYTES):
        chunks += chunk
        if len(chunks) > BYTES_MAX:
            raise Invalid("file", str(path), f"at most {BYTES_MAX:,} bytes of CSV are read; split it by account")
        if on_progress is not None:
            on_progress(min(file.tell(), total), total)
    return bytes(chunks)


def _read_parquet(path: Path, on_progress: Progress | None) -> Table:
    try:
        rows = pl.scan_parquet(path).select(pl.len()).collect().item()
        if rows > ROWS_MAX:
            raise Invalid("file", str(path), f"{rows:,} rows, at most {ROWS_MAX:,} are read; split it by account")
        frame = pl.read_parquet(path).select(~nested())
    except pl.exceptions.PolarsError as error:
        raise Invalid("file", str(path), f"it is not readable as Parquet: {error}") from error
    if not frame.height:
        raise Invalid("file", str(path), "it has no rows")
    if on_progress is not None:
        size = path.stat().st_size
        on_progress(size, size)
    return Table(path.name, frame)


def _read_csv(path: Path, text: bytes) -> Table:
    header, _, body = text.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    names, delimiter = _header(path, header)
    body = body.rstrip()
    if not body:
        raise Invalid("file", str(path), "it has no rows below a header")
    if body.count(b"\n") > ROWS_MAX:
        raise Invalid("file", str(path), f"at most {ROWS_MAX:,} rows are read; split it by account")
    try:
        frame = pl.read_csv(
            io.BytesIO(body), has_header=False, new_columns=names, separator=delimiter, infer_schema=False
        )
    except pl.exceptions.PolarsError as error:
        _reject_ragged(path, text, delimiter)
        raise Invalid("file", str(path), f"it is not readable as CSV in UTF-8: {error}") from error
    table = Table(path.name, frame, text, delimiter)
    if frame.width != len(names) or body.count(delimiter.encode()) != frame.height * (len(names) - 1):
        _reject_ragged(path, text, delimiter)
    return table


def _header(path: Path, header: bytes) -> tuple[list[str], str]:
    """The names of the columns, and what parts them: whichever sign is most frequent."""
    try:
        line = header.decode().strip("\r")
    except UnicodeDecodeError as error:
        raise Invalid("file", str(path), "it is neither CSV in UTF-8 nor gzip nor Parquet") from error
    delimiter = max(DELIMITERS, key=line.count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    if not any(names):
        raise Invalid("file", str(path), "it is empty, or its first line is; a header is expected")
    if len(names) > COLUMNS_MAX:
        raise Invalid(f"{path.name}, header", len(names), f"at most {COLUMNS_MAX:,} columns are read")
    names = [name or f"column {place}" for place, name in enumerate(names, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid(f"{path.name}, header", twice[0], "two columns have this name; rename one")
    return names, delimiter


def _reject_ragged(path: Path, text: bytes, delimiter: str) -> None:
    """Raise Invalid for the first row that has not as many cells as the header, if there is one."""
    records = _records(text.rstrip(), delimiter)
    width = len(next(records))
    line = records.line_num + 1
    try:
        for record in records:
            if len(record) != width:
                rule = f"{len(record)} cells where the header has {width}: mend or remove the row"
                raise Invalid(f"{path.name} line {line}", delimiter.join(record), rule)
            line = records.line_num + 1
    except csv.Error as error:
        raise Invalid(f"{path.name} line {line}", str(error), "a row of CSV; is a quote left open?") from error


def _records(text: bytes, delimiter: str) -> Reader:
    lines = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8-sig", errors="replace", newline="")
    return csv.reader(lines, delimiter=delimiter)

"""The file of a backup: what was written is read, and whatever is not whole is refused."""

from __future__ import annotations

import gzip
import stat
from typing import TYPE_CHECKING

import pytest

from addrcast.adapters.backup_file import READ_LINES, Backup, BackupHeader, verified, writing
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import EpochState
from addrcast.core.domain.transaction import KeyValue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = BackupHeader(schema=2, store="a", revision=9, epoch=1, state=EpochState.OPEN, made_ms=5)


def written(path: Path, *, count: int = 3, is_compressed: bool = False) -> list[KeyValue]:
    items = [KeyValue(f"key.{number:06}", b'{"text":"\xc3\xbc\\n"}', 1, 2) for number in range(count)]
    with writing(path, is_compressed=is_compressed) as writer:
        writer.begin(HEADER)
        writer.add(items)
        writer.add([])
        writer.end()
    return items


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("count", [0, 1, READ_LINES, READ_LINES + 1])
def test_what_was_written_is_read(tmp_path: Path, count: int, is_compressed: bool) -> None:
    items = written(tmp_path / "b", count=count, is_compressed=is_compressed)
    backup = verified(tmp_path / "b")
    assert (backup.header, backup.trailer.keys) == (HEADER, count)
    assert [item for page in backup.pages() for item in page] == items


def test_only_its_owner_may_read_it_and_it_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("older")
    written(tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_failure_leaves_the_older_one_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("older")
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "b", is_compressed=True):
        raise ZeroDivisionError
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "b"
    written(path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Invalid):
            verified(path)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_file_that_was_cut_off_is_refused_wherever(tmp_path: Path, is_compressed: bool) -> None:
    path = tmp_path / "b"
    written(path, is_compressed=is_compressed)
    whole = path.read_bytes()
    for length in range(len(whole) - (0 if is_compressed else 1)):
        path.write_bytes(whole[:length])
        with pytest.raises(Invalid):
            verified(path)


def test_a_packed_file_that_is_damaged_inside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b"
    written(path, count=2_000, is_compressed=True)
    whole = path.read_bytes()
    for at in range(10, len(whole), 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(Invalid):
            verified(path)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line 3 is out of order"),
        (lambda lines: [lines[0], lines[1], *lines[1:]], "line 3 is out of order"),
        (lambda lines: [lines[0], *lines[2:]], "checksum does not fit: 3 keys were written, 2 are there"),
        (lambda lines: [lines[0], b"[1]", *lines[2:]], "line 2 is damaged"),
        (lambda lines: lines[:-1], "cut off"),
        (lambda lines: [lines[0].replace(b'"version":1', b'"version":2'), *lines[1:]], "version 2 is newer than 1"),
        (lambda lines: [lines[0].replace(b'"schema":2', b'"schema":3'), *lines[1:]], "schema 3 is newer than 2"),
        (lambda lines: [lines[0].replace(b'"epoch":1', b'"epoch":"x"'), *lines[1:]], "header is damaged"),
        (lambda lines: [b"{}", *lines[1:]], "does not begin as a backup does"),
        (lambda lines: [b"\xff\xfe", *lines[1:]], "does not begin as a backup does"),
        (lambda lines: [], "does not begin as a backup does"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], rule: str
) -> None:
    path = tmp_path / "b"
    written(path)
    path.write_bytes(b"\n".join(change(path.read_bytes().splitlines())))
    with pytest.raises(Invalid, match=rule):
        verified(path)


def test_a_file_that_is_replaced_between_two_readings_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "b"
    written(path)
    first = verified(path)
    written(path, count=4)
    with pytest.raises(Invalid, match="replaced"):
        list(first.pages())
    other = Backup(
        path, BackupHeader(schema=1, store="", revision=1, epoch=1, state=EpochState.OPEN, made_ms=1), first.trailer
    )
    with pytest.raises(Invalid, match="replaced"):
        list(other.pages())


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verified(tmp_path / "none")
    (tmp_path / "packed").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(Invalid, match="does not begin"):
        verified(tmp_path / "packed")

"""A backup as a file: a header, one line for each key, a trailer with their number and a checksum."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import SCHEMA_VERSION, EpochState
from addrcast.core.domain.transaction import KeyValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = "addrcast backup"
FORMAT_VERSION = 1
READ_LINES = 5_000
_LEVEL = 3  # a third of the size of level 1 less, at half the time of level 6
_GZIP = b"\x1f\x8b"


class BackupHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: what was copied, at which revision and epoch, by which schema, when.

    `schema` is the version in which the store was written.
    """

    format: str = FORMAT
    version: int = FORMAT_VERSION
    schema: int
    store: str
    revision: int
    epoch: int
    state: EpochState
    made_ms: int


class BackupTrailer(msgspec.Struct, frozen=True, kw_only=True):
    """The last line: the number of keys, and the SHA-256 of all lines before it."""

    keys: int
    sha256: str


class _Line(NamedTuple):
    key: str
    value: str
    create_revision: int
    mod_revision: int


_ENCODER = msgspec.json.Encoder()
_LINE = msgspec.json.Decoder(_Line)
_HEADER = msgspec.json.Decoder(BackupHeader)
_TRAILER = msgspec.json.Decoder(BackupTrailer)


class BackupWriter:
    """Writes lines and counts them; what it wrote is no backup before `end`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.keys = 0

    def begin(self, header: BackupHeader) -> None:
        """The header comes first."""
        self._write(_ENCODER.encode(header) + b"\n")

    def add(self, items: Iterable[KeyValue]) -> None:
        """Keys in ascending order, all of the header's revision."""
        lines = [_ENCODER.encode(_line(item)) for item in items]
        self.keys += len(lines)
        if lines:
            self._write(b"\n".join(lines) + b"\n")

    def end(self) -> BackupTrailer:
        """The trailer comes last."""
        trailer = BackupTrailer(keys=self.keys, sha256=self._digest.hexdigest())
        self._stream.write(_ENCODER.encode(trailer) + b"\n")
        return trailer

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._stream.write(data)


@contextmanager
def writing(path: Path, *, is_compressed: bool) -> Iterator[BackupWriter]:
    """A backup under a name of its own, which takes its place once the block ends; nothing is left where it fails.

    Only the owner may read it.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
            if is_compressed:
                with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as stream:
                    yield BackupWriter(stream)  # type: ignore[arg-type]
            else:
                yield BackupWriter(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync_folder(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


class Backup:
    """A backup that was read through once and found whole; `pages` reads it again."""

    def __init__(self, path: Path, header: BackupHeader, trailer: BackupTrailer) -> None:
        self.path = path
        self.header = header
        self.trailer = trailer

    def pages(self) -> Iterator[list[KeyValue]]:
        """The keys in order, a bounded number at a time. Raises Invalid where the file is another one by now."""
        found = _pages(self.path)
        header = next(found)
        if header != self.header:
            raise Invalid("backup", str(self.path), "it was replaced while it was read")
        for part in found:
            if isinstance(part, list):
                yield part
            elif part != self.trailer:
                raise Invalid("backup", str(self.path), "it was replaced while it was read")


def verified(path: Path) -> Backup:
    """The backup in a file. Raises Invalid where it is none, damaged, cut off, or of a newer format or schema."""
    header: BackupHeader | None = None
    for part in _pages(path):
        if isinstance(part, BackupHeader):
            header = part
        elif isinstance(part, BackupTrailer):
            assert header is not None  # noqa: S101
            return Backup(path, header, part)
    raise AssertionError("a file without a trailer is refused")


def _line(item: KeyValue) -> _Line:
    try:
        return _Line(item.key, item.value.decode(), item.create_revision, item.mod_revision)
    except UnicodeDecodeError:
        raise Invalid(item.key, item.value[:80], "a value that is no text cannot be backed up") from None


def _pages(path: Path) -> Iterator[BackupHeader | list[KeyValue] | BackupTrailer]:
    """The parts of the file; what comes before the trailer is not known to be whole before it."""
    try:
        with path.open("rb") as file:
            is_compressed = file.read(2) == _GZIP
            file.seek(0)
            if not is_compressed:
                yield from _parts(path, file)
                return
            with gzip.GzipFile(fileobj=file) as stream:
                yield from _parts(path, stream)  # type: ignore[arg-type]
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise Invalid("backup", str(path), f"it is damaged: {fault}") from None


def _parts(path: Path, stream: IO[bytes]) -> Iterator[BackupHeader | list[KeyValue] | BackupTrailer]:
    digest = hashlib.sha256()
    first = stream.readline()
    yield _header(path, first)
    digest.update(first)
    keys, held = 0, b""
    items: list[KeyValue] = []
    last_key = ""
    for line in stream:
        if held:
            item = _item(path, keys + 2, held)
            if item.key <= last_key:
                raise Invalid("backup", str(path), f"line {keys + 2} is out of order")
            last_key = item.key
            digest.update(held)
            keys += 1
            items.append(item)
            if len(items) >= READ_LINES:
                yield items
                items = []
        held = line  # the last line is the trailer
    if items:
        yield items
    yield _trailer(path, held, BackupTrailer(keys=keys, sha256=digest.hexdigest()))


def _header(path: Path, line: bytes) -> BackupHeader:
    try:
        known = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        known = {}
    if known.get("format") != FORMAT:
        raise Invalid("backup", str(path), "it does not begin as a backup does")
    for what, newest in (("version", FORMAT_VERSION), ("schema", SCHEMA_VERSION)):
        number = known.get(what)
        if isinstance(number, int) and number > newest:
            rule = f"its {what} {number} is newer than {newest}, the newest known here; use a newer addrcast"
            raise Invalid("backup", str(path), rule)
    try:
        return _HEADER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise Invalid("backup", str(path), f"its header is damaged: {fault}") from None


def _item(path: Path, number: int, line: bytes) -> KeyValue:
    try:
        found = _LINE.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise Invalid("backup", str(path), f"line {number} is damaged: {fault}") from None
    return KeyValue(found.key, found.value.encode(), found.create_revision, found.mod_revision)


def _trailer(path: Path, line: bytes, expected: BackupTrailer) -> BackupTrailer:
    try:
        trailer = _TRAILER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Invalid("backup", str(path), "its end is missing: it was cut off") from None
    if trailer != expected:
        rule = f"its checksum does not fit: {trailer.keys} keys were written, {expected.keys} are there"
        raise Invalid("backup", str(path), rule)
    return trailer


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""What outlives the process: maps, programs' links, under their names in a bpf file system.

A map holds the entries, a link holds a program on an interface; a process that is killed leaves both at work, and
the next one finds them here. Programs are replaced in their links by those of this release.
"""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from addrcast.adapters.kernel import bpf_syscall
from addrcast.adapters.kernel.bpf_map import HashMap
from addrcast.adapters.kernel.bpf_object import read_object
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.adapters.kernel.bpf_settings import BpfSettings
    from addrcast.adapters.kernel.bpf_syscall import MapShape

OBJECT = Path(__file__).with_name("bpf") / "dataplane.o"
_MAGIC = 0xCAFE4A11
_STATFS_BYTES = 256
_LARGER = "larger"
_LET_GO_S = 1.0
_LET_GO_POLL_S = 0.001

_libc = ctypes.CDLL(None, use_errno=True)


class Pins:
    """The maps and programs of one host, made where they are not there. Raises OSError; Invalid, see `_adopt`.

    To be used by one thread in the substrate's namespace.
    """

    def __init__(self, settings: BpfSettings) -> None:
        self._settings = settings
        self._links = settings.pins / "links"
        self._maps_directory = settings.pins / "maps"
        self.maps: dict[str, HashMap] = {}
        self._programs: dict[str, int] = {}
        mount(settings.directory)
        for directory in (settings.pins, self._links, self._maps_directory):
            directory.mkdir(mode=0o700, exist_ok=True)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        image = read_object(OBJECT.read_bytes())
        outgrown = []
        for name, shape in image.maps.items():
            bound = self._settings.max_entries(name)
            wanted = shape if bound is None else shape._replace(max_entries=bound)
            self.maps[name] = found = self._adopt(name, wanted)
            if found is not None and self._is_new(name):
                outgrown.append(name)
        descriptors = {name: found.descriptor for name, found in self.maps.items()}
        for name, program in image.programs.items():
            code = program.linked(descriptors)
            self._programs[name] = bpf_syscall.load_program(name, code, image.license)
        for name in self.link_names():
            self._refresh(name)
        for name in outgrown:  # last: until here a process that is killed leaves the old map in use
            (self._maps_directory / f"{name}-{_LARGER}").rename(self._maps_directory / name)

    def _adopt(self, name: str, wanted: MapShape) -> HashMap:
        """The map of a name: the one that is there, or a new one with what that held, or an empty one.

        Raises Invalid where the one that is there is of another release, or holds more than the setting allows.
        """
        path = self._maps_directory / name
        with suppress(FileNotFoundError):
            (self._maps_directory / f"{name}-{_LARGER}").unlink()
        if not path.exists():
            return self._pinned(HashMap(bpf_syscall.create_map(name, wanted)), path)
        found = HashMap(bpf_syscall.get_pinned(str(path)))
        if found.shape == wanted:
            return found
        try:
            if found.shape._replace(max_entries=wanted.max_entries) != wanted:
                rule = "a map of this release; detach all instances, remove the directory, start again"
                raise Invalid(str(path), tuple(found.shape), rule)
            columns = found.read()
            held = len(columns.keys) // wanted.key_size
            if held > wanted.max_entries:
                raise Invalid(f"{name}_max", wanted.max_entries, f"at least the {held} that there are now")
            larger = HashMap(bpf_syscall.create_map(name, wanted))
            larger.write(bytearray(columns.keys), bytearray(columns.values))
        finally:
            found.close()
        return self._pinned(larger, self._maps_directory / f"{name}-{_LARGER}")

    def _is_new(self, name: str) -> bool:
        return (self._maps_directory / f"{name}-{_LARGER}").exists()

    def _pinned(self, made: HashMap, path: Path) -> HashMap:
        try:
            bpf_syscall.pin(made.descriptor, str(path))
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Let go of everything; the kernel keeps it."""
        for each in self.maps.values():
            each.close()
        for program in self._programs.values():
            os.close(program)
        self.maps.clear()
        self._programs.clear()

    def repair(self) -> list[str]:
        """Give maps their names again that somebody removed; which those were."""
        missing = [name for name in self.maps if not (self._maps_directory / name).exists()]
        if missing:
            for directory in (self._settings.pins, self._links, self._maps_directory):
                directory.mkdir(mode=0o700, exist_ok=True)
        for name in missing:
            bpf_syscall.pin(self.maps[name].descriptor, str(self._maps_directory / name))
        return missing

    def link_names(self) -> list[str]:
        """The interfaces that have a link, or had one when they were there."""
        try:
            return sorted(os.listdir(self._links))
        except FileNotFoundError:
            return []

    def attached(self) -> Iterator[tuple[str, int]]:
        """Interfaces with a program on them, by name and number; the number is 0 when the interface is gone."""
        for name in self.link_names():
            yield name, self.interface_of(name)

    def interface_of(self, name: str) -> int:
        """The number of the interface that the link of a name is on; 0 where there is none. Raises OSError."""
        try:
            link = bpf_syscall.get_pinned(str(self._links / name))
        except FileNotFoundError:
            return 0
        try:
            return bpf_syscall.link_info(link).ifindex
        finally:
            os.close(link)

    def attach(self, program: str, name: str, ifindex: int) -> None:
        """Have a program see what comes in by an interface; nothing where it does. Raises OSError."""
        if self.interface_of(name) == ifindex:
            return
        self.detach(name)
        link = _attached(self._programs[program], ifindex)
        try:
            bpf_syscall.pin(link, str(self._links / name))
        finally:
            os.close(link)

    def detach(self, name: str) -> None:
        """Let go of an interface; nothing where it has no program of ours."""
        (self._links / name).unlink(missing_ok=True)

    def _refresh(self, name: str) -> None:
        """Put this release's program in a link."""
        program = "from_tunnel" if name == self._settings.tunnel else "from_instance"
        link = bpf_syscall.get_pinned(str(self._links / name))
        try:
            if bpf_syscall.link_info(link).ifindex:
                bpf_syscall.replace_program(link, self._programs[program])
        finally:
            os.close(link)


def _attached(program: int, ifindex: int) -> int:
    """A new link; the kernel takes a link that lost its name off its interface a little later. Raises OSError."""
    deadline = time.monotonic() + _LET_GO_S
    while True:
        try:
            return bpf_syscall.attach_tcx(program, ifindex)
        except FileExistsError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_LET_GO_POLL_S)


def mount(directory: Path) -> None:
    """Have a bpf file system at a place; nothing where one is. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    about = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.statfs(bytes(directory), about) == 0:
        kind = ctypes.c_long.from_buffer(about).value & 0xFFFFFFFF  # struct statfs begins with the type
        if kind == _MAGIC:
            return
    if _libc.mount(b"bpf", bytes(directory), b"bpf", ctypes.c_ulong(0), b"mode=0700"):
        code = ctypes.get_errno()
        raise OSError(code, f"mounting a bpf file system on {directory}: {os.strerror(code)}")

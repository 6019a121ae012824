"""Network namespaces with a name, as `ip netns` has them: made, entered by one thread, listed, removed.

A name is a file that a namespace is bind-mounted on, so a namespace outlives every process. Source: namespaces(7),
network_namespaces(7); ip-netns(8) for the layout of the directory.
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_DIRECTORY = Path("/run/netns")
_HERE = "/proc/thread-self/ns/net"
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 0x100000
_MNT_DETACH = 2
_EINVAL = 22

_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int | Path) -> None:
    """Move the calling thread, and no other, into a namespace: a descriptor or a path. Raises OSError."""
    if isinstance(namespace, Path):
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", descriptor, _CLONE_NEWNET)
        finally:
            os.close(descriptor)
    else:
        _call("setns", namespace, _CLONE_NEWNET)


@contextmanager
def inside(namespace: Path) -> Iterator[None]:
    """The calling thread is in another namespace meanwhile. Raises OSError."""
    home = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(namespace)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


def leave_for_new() -> None:
    """Move the calling thread, and no other, into an empty namespace without a name. Raises OSError."""
    _call("unshare", _CLONE_NEWNET)


def create(path: Path) -> None:
    """Make an empty namespace and give it a name; nothing where the name is taken by one. Raises OSError."""
    if is_namespace(path):
        return
    _make_directory(path.parent)
    path.touch(mode=0o444)
    failed: list[BaseException] = []

    def make() -> None:  # in a thread that ends in the new namespace, so that no other one ever has to come back
        try:
            leave_for_new()
            _mount(_HERE, path, _MS_BIND)
        except OSError as error:
            failed.append(error)

    maker = threading.Thread(target=make)
    maker.start()
    maker.join()
    if failed:
        path.unlink(missing_ok=True)
        raise failed[0]


def remove(path: Path) -> None:
    """Take a namespace's name; it ends when nothing is in it any more. Nothing where there is no such name."""
    with suppress(FileNotFoundError):
        if is_namespace(path):
            _call("umount2", bytes(path), _MNT_DETACH)
        path.unlink()


def is_namespace(path: Path) -> bool:
    """Whether a name stands for a namespace; a process killed between file and mount leaves one that does not."""
    try:
        return os.stat(path).st_dev == os.stat(_HERE).st_dev
    except FileNotFoundError:
        return False


def sysctl(name: str, value: int) -> None:
    """Set a network setting of the namespace that the calling thread is in. Raises OSError."""
    Path("/proc/sys/net", name).write_text(f"{value}\n")


def _make_directory(directory: Path) -> None:
    """A shared mount, as `ip netns` makes it: names made in one mount namespace are seen, and go, in all."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        _mount("", directory, _MS_SHARED | _MS_REC)
    except OSError as error:
        if error.errno != _EINVAL:  # EINVAL: no mount point yet
            raise
        _mount(directory, directory, _MS_BIND | _MS_REC)
        _mount("", directory, _MS_SHARED | _MS_REC)


def _mount(source: str | Path, target: Path, flags: int) -> None:
    _call("mount", os.fsencode(source), bytes(target), b"none", ctypes.c_ulong(flags), None)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")

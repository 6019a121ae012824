"""Compiles the packet programs, or with --check says whether the object file is what its sources give.

The object bears a hash of its sources, so that it is known without a compiler whether it is theirs; with the
compiler that it was built by, it is built again and compared byte by byte.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "src" / "addrcast" / "adapters" / "kernel" / "bpf"
OBJECT = SOURCES / "dataplane.o"
COMPILER, STRIPPER = "clang-14", "llvm-strip-14"
FLAGS = ["-target", "bpfel", "-mcpu=v3", "-O2", "-Wall", "-Wextra", "-Werror"]


def source_hash() -> str:
    """The hash that an object of the sources as they are now bears."""
    digest = hashlib.sha256()
    for name in ("kernel.h", "dataplane.c"):
        digest.update((SOURCES / name).read_bytes())
    return digest.hexdigest()


def can_build() -> bool:
    """Whether the compiler is here that the object is built by."""
    return all(shutil.which(tool) for tool in (COMPILER, STRIPPER))


def build() -> bytes:
    """The object file of the sources as they are now. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / OBJECT.name
        macro = f'-DSOURCE_SHA256="{source_hash()}"'
        subprocess.run([COMPILER, *FLAGS, macro, "-c", "dataplane.c", "-o", str(out)], cwd=SOURCES, check=True)
        subprocess.run([STRIPPER, "--strip-unneeded", str(out)], check=True)
        return out.read_bytes()


def main() -> None:
    """Write the object, or check it."""
    if "--check" not in sys.argv[1:]:
        OBJECT.write_bytes(build())
        return
    if source_hash().encode() not in OBJECT.read_bytes():
        sys.exit(f"{OBJECT.name} is not of these sources: run tools/bpf_object.py where {COMPILER} is installed")
    if can_build() and build() != OBJECT.read_bytes():
        sys.exit(f"{OBJECT.name} is not what {COMPILER} makes of its sources: run tools/bpf_object.py")


if __name__ == "__main__":
    main()

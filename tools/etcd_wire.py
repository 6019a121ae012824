"""Makes the messages of etcd's protocol from its `.proto` files: in the source tree, or in a directory named."""

from __future__ import annotations

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

WIRE = Path(__file__).resolve().parents[1] / "src/addrcast/adapters/stores/etcd_wire"


def main() -> int:
    """Generate; the compiler's exit code."""
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else WIRE
    return int(
        protoc.main(
            [
                "protoc",
                f"--proto_path={WIRE}",
                f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
                f"--python_out={into}",
                f"--pyi_out={into}",
                *sorted(map(str, WIRE.glob("*.proto"))),
            ]
        )
    )


if __name__ == "__main__":
    sys.exit(main())

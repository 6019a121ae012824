"""Runs every benchmark, prints a table and writes `out/bench.json`; names on the command line choose some."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.row import Row, table

BENCHMARKS = ("store", "assignment", "etcd", "plan", "forecast", "kernel", "kernel_bpf")


def main() -> None:
    """Run the chosen benchmarks, all by default."""
    chosen = sys.argv[1:] or list(BENCHMARKS)
    rows: list[Row] = []
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += import_module(f"benchmarks.{name}").rows()
    out = Path("out")
    out.mkdir(exist_ok=True)
    (out / "bench.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()

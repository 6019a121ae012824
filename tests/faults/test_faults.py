"""A short run of the fault suite: every kind of fault once, and nothing is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers.namespaces import why_not

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)


@pytest.mark.slow
def test_a_cluster_under_every_fault_loses_nothing_and_assigns_nothing_twice(tmp_path: Path) -> None:
    words = ["--each-once", "--seed", "1", "--looks", "200", "--out", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "violations   0" in run.stdout

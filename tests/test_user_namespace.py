"""What needs rights over network namespaces is tried without being root, too."""

from __future__ import annotations

import os

import pytest
from tests.rights import INSIDE, REPORTS, has_rights, has_user_namespaces, run_inside


@pytest.mark.skipif(INSIDE in os.environ, reason="this is the user namespace")
def test_kernel_tables_work_in_a_user_namespace(request: pytest.FixtureRequest) -> None:
    if not has_user_namespaces():
        pytest.skip("user namespaces are switched off here (unshare -Urnm fails)")
    # root has run everything already, with more rights; the contract shows that it needs none of them
    chosen = ["tests/contracts/test_kernel_contract.py"] if has_rights() else ["tests"]
    run = run_inside(["-m", "net_admin", *chosen])
    lines = run.stdout.strip().splitlines()
    request.config.stash.setdefault(REPORTS, []).append("\n".join(line for line in lines if "SKIP" in line) or "")
    request.config.stash[REPORTS].append(lines[-1] if lines else "")
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]

"""The same input gives the same plan and the same steps in every process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
from tests.core.reservation.cluster import open_cluster

from addrcast.core.reservation.batch import batch_of
from addrcast.core.reservation.explanation import to_json
from addrcast.core.reservation.plan import plan_for
from addrcast.core.reservation.policy import ServedNeed
from addrcast.core.reservation.supply import Round, plan_input_of

ROOT = Path(__file__).resolve().parents[3]


def digest() -> str:
    """Plan and steps of 60 accounts that share a pool which is short, on hosts that hash in any order."""
    cluster = open_cluster()
    cluster.add_pool("shared", "10.0.0.0/25", is_shared=True)
    cluster.add_pool("blocks", "192.168.0.0/22", is_physical=True)
    names = tuple(f"a{index:02d}" for index in range(60))
    for index in range(12):
        cluster.add_host(f"h{index}", f"192.168.{index // 4}.{64 * (index % 4)}/26")
    for index, name in enumerate(names):
        cluster.add_account(name, "shared", tier=("premium", "standard", "basic")[index % 3])
    need = np.array([[index % 5, index % 7 + 5] for index in range(60)], dtype=np.float32)
    served = ServedNeed(need, np.zeros(60, dtype=np.uint8))
    given = plan_input_of(cluster.ledger, names, np.array([0.5, 0.95]), served, Round(1_000, 0))
    plan = plan_for(given)
    creates = {name: {f"h{host}": host + 1 for host in range(index % 12)} for index, name in enumerate(names)}
    batch = batch_of(plan, cluster.ledger, recent_creates=creates, now_ms=1_000, batch_max=1_000, is_forced=True)
    assert len(batch.steps) > 60
    return hashlib.sha256(to_json(plan) + msgspec.json.encode(batch)).hexdigest()


def test_plan_and_steps_do_not_depend_on_the_hash_seed() -> None:
    code = "from tests.core.reservation.test_determinism import digest; print(digest())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "77")
    }
    assert found == {digest()}

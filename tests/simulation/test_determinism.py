"""The same seed takes the same way, byte for byte, whatever the hashes of strings are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HASH_SEEDS = ("0", "1", "4242")

WORLD = """
from addrcast.simulation.search import run
for seed in (1, 4, 5):
    print(run(seed).digest)
"""

PLAN = """
import hashlib
from addrcast.core.domain.ledger import Ledger
from addrcast.simulation.world.controller import plan_of
from addrcast.simulation.world.world import World

world = World(5)
world.timeline.run_until(3_000)
ledger = world.ledger()
plan = plan_of(ledger, {account: 3 for account in sorted(ledger.accounts())}, now_ms=3_000)
digest = hashlib.sha256()
for column in (plan.wanted, plan.reserved, plan.delta, plan.level, plan.worth, plan.price, plan.reason):
    digest.update(column.tobytes())
print(digest.hexdigest())
"""

REPLAY = """
import json
import numpy as np
from addrcast.core.domain.demand import CountHistory, History, ReadReport
from addrcast.simulation.policies.catalogue import PEERS
from addrcast.simulation.replay.run import replay
from addrcast.simulation.trace import trace_from_history

dice = np.random.default_rng(7)
counts = np.maximum(np.cumsum(dice.integers(-2, 3, (4, 200)), axis=1) + 8, 0).astype(np.float32)
report = ReadReport(layout="test", rows=0, accounts=0, start_s=0, step_s=1, steps=0)
history = History(CountHistory(tuple("abcd"), 0, 3600, counts), None, None, report)
print(json.dumps(replay(trace_from_history(history, lead=1), PEERS).as_json()))
"""


def output_of(script: str, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("script", [WORLD, PLAN, REPLAY], ids=["world", "plan", "replay"])
def test_the_same_seed_goes_the_same_way_under_any_hash_seed(script: str) -> None:
    first, *others = [output_of(script, hash_seed) for hash_seed in HASH_SEEDS]
    assert first.strip()
    assert others == [first] * len(others)

"""Replays of the real traces, where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addrcast.adapters.demand.history import read_history
from addrcast.simulation.policies.catalogue import PEERS
from addrcast.simulation.policies.fixed import STATIC
from addrcast.simulation.policies.oracle import ORACLE
from addrcast.simulation.policies.preservation import PRESERVATION
from addrcast.simulation.replay.run import replay
from addrcast.simulation.trace import trace_from_history


def test_the_golden_cases_are_those_handed_over(shared_data: Path) -> None:
    ours = Path(__file__).parent / "golden_peers.json"
    handed = shared_data.parent / "peers" / "golden.json"
    assert json.loads(ours.read_text()) == json.loads(handed.read_text())


def test_on_bitbrains_tuned_preservation_and_the_reorder_point_are_the_ones_to_beat(shared_data: Path) -> None:
    history = read_history(shared_data / "bitbrains_rnd" / "instances.csv.gz")
    trace = trace_from_history(history, min_mean=4, min_deviation=0.5)
    result = replay(trace, PEERS)
    assert result.accounts == 60
    best = [result.best_reactive(waste) or ("nobody", 1.0) for waste in (0.3, 0.5, 0.75)]
    assert [name for name, _ in best] == ["preservation", "reorder_point", "reorder_point"]
    assert [misses for _, misses in best] == pytest.approx([0.573, 0.431, 0.315], abs=0.001)


@pytest.mark.parametrize(
    ("trace", "creates", "static"),
    [
        ("alibaba_dlrm_2025/events.csv.gz", 1976, (0.113, 0.083)),
        ("hpc_swf/nasa_ipsc_1993_events.csv.gz", 45357, (0.317, 0.315)),
    ],
)
def test_on_events_static_reserves_miss_this_much(
    shared_data: Path, trace: str, creates: int, static: tuple[float, float]
) -> None:
    result = replay(trace_from_history(read_history(shared_data / trace)), [STATIC, PRESERVATION, ORACLE])
    assert result.creates == creates
    reserve, _, oracle = result.policies
    assert (reserve.misses_at(0.3), reserve.misses_at(0.5)) == pytest.approx(static, abs=0.001)
    assert oracle.points[-1].misses == 0

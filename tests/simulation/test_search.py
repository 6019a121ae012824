"""The search over whole worlds: the scheme holds, and each of its rules is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from addrcast.simulation.faults import FAULTS
from addrcast.simulation.search import NAMES, Run, count, first_broken, main, run, search
from addrcast.simulation.world.variants import COMPLETE, VARIANTS, Variant
from addrcast.simulation.world.world import World

SEEDS = 60
SEEDS_OF_VARIANTS = 80


def test_the_complete_scheme_breaks_nothing() -> None:
    counts = search(range(SEEDS))
    assert (counts.runs, counts.broken, counts.first) == (SEEDS, 0, None)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_rule_that_is_left_out_is_missed(variant: Variant) -> None:
    found = first_broken(range(SEEDS_OF_VARIANTS), variant)
    assert found is not None
    assert found.rule, found.what


def test_a_world_has_every_kind_of_outcome() -> None:
    outcomes: dict[str, int] = {}
    for seed in range(12):
        world = World(seed)
        world.run()
        for outcome, number in world.workload.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + number
    assert outcomes.keys() >= {"preserved", "shadow", "rebound", "dynamic", "deleted"}


def test_faults_are_drawn_and_all_of_them_are_met() -> None:
    mixes = [World(seed).mix for seed in range(40)]
    for fault in FAULTS:
        met = sum(fault in mix for mix in mixes)
        assert 0 < met < len(mixes), fault


def test_what_a_variant_emphasises_is_always_on() -> None:
    emphasised = replace(COMPLETE, emphasis=("nft", "restored"))
    assert all({"nft", "restored"} <= World(seed, emphasised).mix.on for seed in range(10))


def test_a_run_that_breaks_says_which_rule_and_when() -> None:
    found = first_broken(range(SEEDS_OF_VARIANTS), NAMES["tombstone"])
    assert found is not None
    assert found.rule == "deleted stays deleted"
    assert found.what.startswith("deleted stays deleted: ")
    assert " ms with " in found.what
    assert run(found.seed, NAMES["tombstone"]) == found


def test_counts_name_the_first_run_and_the_rules_that_broke() -> None:
    runs = [Run(3, ""), Run(4, "", "one owner", "x"), Run(5, "", "no leak", "y"), Run(6, "", "one owner", "z")]
    counts = count(COMPLETE, runs)
    assert (counts.runs, counts.broken, counts.rules) == (4, 3, {"one owner": 2, "no leak": 1})
    assert counts.first == runs[1]


def test_the_table_lists_runs_broken_and_the_command_tells_surprises(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--variant", "complete"]) == 0
    assert main(["--seeds", "8", "--jobs", "2", "--variant", "tombstone"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["complete", "2", "0"]
    assert lines[3].split()[:2] == ["tombstone", "8"]


def test_a_trace_shows_how_a_world_went(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trace", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1: ")
    assert any(" store: 1 store_epoch+" in line for line in lines)
    assert lines[-1] == "nothing was violated"
    broken = first_broken(range(SEEDS_OF_VARIANTS), NAMES["attempts"])
    assert broken is not None
    assert main(["--trace", str(broken.seed), "--variant", "attempts"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == broken.what.rpartition(" at ")[0]

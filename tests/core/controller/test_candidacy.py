"""Candidates come to equal shares, take over what is vacant, and then leave it at that."""

from __future__ import annotations

from random import Random

import pytest

from addrcast.core.controller.candidacy import Candidacy, CandidacySettings, Moves
from addrcast.core.controller.standing import Standing, candidate_key, shard_key

PATIENCE = CandidacySettings(take_after_ms=2_000, give_after_ms=1_000, give_after_max_ms=8_000)
STEP_MS = 100


class Election:
    """Candidates on one table of keys; each looks every 100 ms, unless it hangs."""

    def __init__(self, shards: int) -> None:
        self.standing = Standing()
        self.standing.shards = shards
        self.running: dict[str, Candidacy] = {}
        self.hanging: set[str] = set()
        self.now_ms = 0
        self.moves = 0
        self.vacant_max_ms = 0
        self._since_ms: dict[int, int] = {}
        self._revision = 0

    def put(self, key: str, value: bytes | None) -> None:
        self._revision += 1
        self.standing.apply(key, value, self._revision)

    def start(self, name: str) -> None:
        self.running[name] = Candidacy(name, PATIENCE)
        self.put(candidate_key(int(name)), name.encode())

    def end(self, name: str) -> None:
        """Its lease is over, and all keys with it."""
        del self.running[name]
        self.hanging.discard(name)
        self.put(candidate_key(int(name)), None)
        for shard in self.standing.led_by(name):
            self.put(shard_key(shard), None)

    def pass_ms(self, passed_ms: int) -> None:
        for _ in range(0, passed_ms, STEP_MS):
            self.now_ms += STEP_MS
            for name in sorted(self.running.keys() - self.hanging):
                self.move(name, self.running[name].step(self.standing, self.now_ms))
            if self.running.keys() - self.hanging:
                vacant = self.standing.vacant()
                self._since_ms = {shard: self._since_ms.get(shard, self.now_ms) for shard in vacant}
                self.vacant_max_ms = max(
                    [self.now_ms - ms for ms in self._since_ms.values()] + [self.vacant_max_ms]
                )

    def move(self, name: str, moves: Moves) -> None:
        self.moves += len(moves.claims) + (moves.resigned is not None)
        for shard in moves.claims:
            if shard not in self.standing.leaders:
                self.put(shard_key(shard), name.encode())
        if moves.resigned is not None:
            assert self.standing.leaders[moves.resigned] == name
            self.put(shard_key(moves.resigned), None)

    def shares(self) -> list[int]:
        return sorted(len(self.standing.led_by(name)) for name in self.running)


def test_one_candidate_takes_all_at_once() -> None:
    election = Election(16)
    election.start("1")
    election.pass_ms(STEP_MS)
    assert election.shares() == [16]


def test_candidates_that_start_together_share_at_once() -> None:
    election = Election(16)
    for name in "123":
        election.start(name)
    election.pass_ms(2 * STEP_MS)
    assert election.shares() == [4, 6, 6] or election.shares() == [5, 5, 6]
    assert election.standing.vacant() == []


def test_a_newcomer_gets_its_share_one_by_one_and_then_nothing_moves() -> None:
    election = Election(16)
    election.start("1")
    election.pass_ms(500)
    election.start("2")
    election.pass_ms(2_500)
    assert 2 <= min(election.shares()) <= 3
    election.pass_ms(10_000)
    assert election.shares() == [8, 8]
    moves = election.moves
    election.pass_ms(60_000)
    assert election.moves == moves


def test_the_shards_of_one_that_is_gone_are_led_again_at_the_next_looks() -> None:
    election = Election(16)
    for name in "1234":
        election.start(name)
    election.pass_ms(10_000)
    election.end("2")
    election.pass_ms(2 * STEP_MS)
    assert election.standing.vacant() == []
    assert sum(election.shares()) == 16


def test_what_a_hanging_candidate_does_not_claim_others_take_beyond_their_share() -> None:
    election = Election(8)
    for name in "12":
        election.start(name)
    election.pass_ms(1_000)
    election.start("3")
    election.hanging.add("3")
    election.end("1")
    election.pass_ms(PATIENCE.take_after_ms + STEP_MS)
    assert election.standing.vacant() == []
    assert len(election.standing.led_by("2")) == 8


def test_what_is_given_up_in_vain_is_given_up_ever_more_seldom_until_somebody_takes_it() -> None:
    election = Election(4)
    election.start("1")
    election.pass_ms(500)
    election.start("2")
    election.hanging.add("2")
    election.pass_ms(60_000)
    # a resignation and a claim a time, after 1, 2, 4, 8, 8 ... s and 2 s until it is taken back
    assert election.moves - 4 <= 2 * 8
    election.hanging.clear()
    election.pass_ms(20_000)
    assert election.shares() == [2, 2]


def test_a_hanging_candidate_without_shards_is_no_reason_to_give_up_a_single_one() -> None:
    election = Election(1)
    election.start("1")
    election.pass_ms(500)
    election.start("2")
    moves = election.moves
    election.pass_ms(60_000)
    assert election.moves == moves


def test_a_candidate_steps_when_something_moves_when_it_may_take_over_or_give_up() -> None:
    election = Election(4)
    election.start("1")
    candidacy = election.running["1"]
    assert candidacy.deadline_ms(0) is None
    election.pass_ms(STEP_MS)
    candidacy.step(election.standing, election.now_ms)
    assert candidacy.deadline_ms(election.now_ms) is None
    election.start("2")
    assert candidacy.step(election.standing, 1_000) == Moves()
    assert candidacy.deadline_ms(1_000) == 1_000 + PATIENCE.give_after_ms
    election.put(shard_key(0), None)
    assert candidacy.step(election.standing, 1_500) == Moves()
    assert candidacy.deadline_ms(1_500) == 1_000 + PATIENCE.give_after_ms
    assert candidacy.deadline_ms(9_000) == 9_000


def test_a_surplus_that_is_gone_is_forgotten() -> None:
    election = Election(4)
    election.start("1")
    election.pass_ms(STEP_MS)
    election.start("2")
    candidacy = election.running["1"]
    candidacy.step(election.standing, 1_000)
    election.end("2")
    candidacy.step(election.standing, 1_500)
    assert candidacy.deadline_ms(1_500) is None


@pytest.mark.parametrize("seed", range(40))
def test_whoever_comes_goes_or_hangs_all_is_led_and_shared_in_the_end(seed: int) -> None:
    dice = Random(seed)
    election = Election(dice.randint(1, 32))
    names = iter(str(number) for number in range(1, 1_000))
    election.start(next(names))
    for _ in range(dice.randint(5, 30)):
        election.pass_ms(dice.choice([100, 300, 3_000]))
        act = dice.choice(["start", "end", "hang", "go on"])
        if act == "start" and len(election.running) < 6:
            election.start(next(names))
        elif act == "end" and len(election.running) > 1:
            election.end(dice.choice(sorted(election.running)))
        elif act == "hang" and len(election.running) - len(election.hanging) > 1:
            election.hanging.add(dice.choice(sorted(election.running)))
        elif act == "go on":
            election.hanging.clear()
        assert election.vacant_max_ms <= PATIENCE.take_after_ms
    election.hanging.clear()
    election.pass_ms(300_000)
    shares = election.shares()
    assert sum(shares) == election.standing.shards
    assert max(shares) - min(shares) <= 1
    moves = election.moves
    election.pass_ms(60_000)
    assert election.moves == moves

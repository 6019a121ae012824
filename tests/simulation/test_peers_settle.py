"""The fixed points of the peers beside their loops, pass by pass and address by address."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from addrcast.simulation.policies.aws import PREFIX, settled_interfaces, settled_prefixes
from addrcast.simulation.policies.azure import settled_v1, watermarks
from addrcast.simulation.policies.cilium import Watermarks, settle

PASSES_MAX = 1_000


class Ipamd:
    """ipamd's pool pass in interface mode; pods fill the interfaces from the first on."""

    def __init__(self, *, slots: int, warm_eni: int, warm_ip: int, min_ip: int) -> None:
        self.slots, self.warm_eni, self.warm_ip, self.min_ip = slots, warm_eni, warm_ip, min_ip
        self.attached = [0]
        self.pods = 0

    @property
    def total(self) -> int:
        return sum(self.attached)

    def settle(self) -> tuple[int, int]:
        for _ in range(PASSES_MAX):
            before = list(self.attached)
            self.pool_pass()
            if self.attached == before:
                return len(self.attached), self.total
        raise AssertionError("the pool never rests")

    def pool_pass(self) -> None:
        available = self.total - self.pods
        if self.warm_ip or self.min_ip:
            short = max(self.warm_ip - available, 0, self.min_ip - self.total)
            over = max(min(max(available - self.warm_ip, 0), self.total - self.min_ip), 0)
            if short > 0:
                self.increase(short)
            else:
                self.decrease(over)
        elif available < self.slots * self.warm_eni:
            self.increase(self.slots)
        elif available >= (self.warm_eni + 1) * self.slots and len(self.attached) > 1:
            self.attached.pop()

    def increase(self, want: int) -> None:
        for index, held in enumerate(self.attached):
            if held < self.slots:
                self.attached[index] += min(self.slots - held, want)
                return
        self.attached.append(min(want, self.slots))

    def decrease(self, over: int) -> None:
        while over:
            given = min(over, self.attached[-1])
            self.attached[-1] -= given
            over -= given
            if not self.attached[-1] and len(self.attached) > 1:
                self.attached.pop()


@given(
    slots=st.integers(1, 30),
    warm_eni=st.integers(1, 4),
    targets=st.sampled_from([(0, 0), (1, 0), (5, 0), (0, 7), (3, 40)]),
    walk=st.lists(st.integers(0, 60), min_size=1, max_size=8),
)
def test_ipamd_rests_where_the_formula_says(
    slots: int, warm_eni: int, targets: tuple[int, int], walk: list[int]
) -> None:
    warm_ip, min_ip = targets
    pool = Ipamd(slots=slots, warm_eni=warm_eni, warm_ip=warm_ip, min_ip=min_ip)
    for pods in walk:
        pool.pods = pods
        settled = settled_interfaces(pods, slots=slots, warm_eni=warm_eni, warm_ip=warm_ip, min_ip=min_ip)
        assert pool.settle() == tuple(float(figure) for figure in settled)


@given(
    walk=st.lists(st.integers(0, 100), min_size=1, max_size=8), warm_ip=st.integers(0, 40), low=st.integers(0, 60)
)
def test_ipamd_rests_on_these_prefixes(walk: list[int], warm_ip: int, low: int) -> None:
    prefixes = 0
    for pods in walk:
        for _ in range(PASSES_MAX):
            available, total = prefixes * PREFIX - pods, prefixes * PREFIX
            free = prefixes - math.ceil(pods / PREFIX)
            if warm_ip or low:
                short = math.ceil(max(warm_ip - available, 0, low - total) / PREFIX)
                over = max(min(free, prefixes - math.ceil((pods + warm_ip) / PREFIX)), 0)
                over = max(min(over, prefixes - math.ceil(low / PREFIX)), 0)
            else:
                short, over = int(available < PREFIX), max(free - 1, 0)
            prefixes += short or -over
            if not short and not over:
                break
        setting = {"warm_ip": warm_ip, "min_ip": low} if warm_ip or low else {"warm_prefix": 1}
        assert prefixes == settled_prefixes(pods, **setting)


def azure_v1_walk(requested: int, assigned: int, *, batch: int, low: int, high: int) -> int:
    for _ in range(PASSES_MAX):
        if requested - assigned < low:
            requested += batch - requested % batch
        elif requested - assigned >= high:
            requested -= requested % batch or batch
        else:
            return requested
    raise AssertionError("the walk never ends")


@given(
    requested=st.integers(0, 300),
    assigned=st.integers(0, 300),
    batch=st.integers(1, 40),
    percent=st.sampled_from([25, 50, 100, 800]),
)
def test_azure_v1_jumps_to_where_its_walk_ends(requested: int, assigned: int, batch: int, percent: int) -> None:
    low, high = watermarks(batch, request_percent=percent, release_percent=percent + 100)
    marks = {"batch": batch, "low": low, "high": max(high, low + batch)}
    assert settled_v1(requested, assigned, **marks) == azure_v1_walk(requested, assigned, **marks)


@given(
    walk=st.lists(st.integers(0, 80), min_size=1, max_size=8),
    pre=st.integers(1, 20),
    minimum=st.sampled_from([0, 16]),
    above=st.integers(0, 20),
    releases=st.booleans(),
)
def test_a_cilium_node_at_rest_serves_its_pods_and_keeps_its_watermarks(
    walk: list[int], pre: int, minimum: int, above: int, releases: bool
) -> None:
    marks = Watermarks(pre, minimum, above, releases)
    attached = np.zeros(1)
    for pods in walk:
        before = attached
        attached, _ = settle(attached, np.array([float(pods)]), marks)
        again, calls = settle(attached, np.array([float(pods)]), marks)
        assert again == attached
        assert calls == 0
        assert attached >= max(pods + pre, minimum)
        if releases:
            assert attached <= max(pods + pre + above, minimum + above)
        else:
            assert attached >= before

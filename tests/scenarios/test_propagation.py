"""Reads the scenario files beside it: what a cluster is told, line by line, and what is then to be seen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from addrcast.core.controller.cooling import CoolingJudge
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.dataplane.table import TableKey
from addrcast.core.propagation.audience import account_audience
from addrcast.core.propagation.ready import readiness
from addrcast.core.propagation.stamps import FutureStamps
from addrcast.simulation.cluster import ModelCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.propagation.audience import Wait

FILES = sorted((Path(__file__).parent / "propagation").glob("*.txt"))
NAMES = r"[\w.\- ]+"


def waiting(waits: tuple[Wait, ...]) -> str:
    return f"waits for {' '.join(wait.host for wait in waits)}"


class Scenario:
    """A cluster with a controller; each `do_` takes the words of a command, each `see_` answers an expectation."""

    def __init__(self) -> None:
        self.cluster = ModelCluster()
        self.control = self.cluster.controller()

    def run(self, line: str) -> None:
        asked = re.fullmatch(rf"expect (\w+)({NAMES})?: (.*)", line)
        if asked is not None:
            what, names, expected = asked.groups()
            assert getattr(self, f"see_{what}")(*(names or "").split()) == expected, line
            return
        words = line.split()
        for size in (2, 1):
            command = getattr(self, f"do_{'_'.join(words[:size])}", None)
            if command is not None:
                command(*words[size:])
                return
        raise AssertionError(f"no such command: {line}")

    def do_host(self, *names: str) -> None:
        for name in names:
            self.cluster.add_host(name)

    def do_account(self, name: str, vni: str) -> None:
        self.cluster.add_account(name, vni=int(vni))

    def do_mirror(self, account: str, *hosts: str) -> None:
        for host in hosts:
            assert self.cluster.subscribe(host, account)

    def do_leave(self, account: str, host: str) -> None:
        assert self.cluster.leave(host, account)

    def do_start(self, *hosts: str) -> None:
        for host in hosts:
            self.cluster.hosts[host].start(self.cluster.now_ms)

    def do_kill(self, host: str) -> None:
        self.cluster.hosts[host].kill()

    def do_cut_off(self, host: str) -> None:
        self.cluster.hosts[host].is_cut_off = True

    def do_reconnect(self, host: str) -> None:
        self.cluster.hosts[host].is_cut_off = False

    def do_refuse(self, *words: str) -> None:
        refused = self.cluster.hosts[words[-1]].table.refused
        refused.clear()
        if len(words) == 3:
            refused.add(TableKey(int(words[0]), words[1]))

    def do_drain(self, name: str) -> None:
        host = self.cluster.ledger().host(name)
        self.cluster.put(host.key, replace(host.required, is_draining=True))

    def do_silence(self, host: str) -> None:
        self.cluster.set_silent(host)

    def do_alive(self, host: str) -> None:
        self.cluster.set_alive(host)

    def do_restore(self) -> None:
        self.cluster.restore()

    def do_compact(self) -> None:
        self.control.catch_up()
        self.cluster.store.compact(self.cluster.store.revision)

    def do_reserve(self, account: str, host: str, _as: str, logical: str) -> None:
        assert self.cluster.reserve(account, host) == logical

    def do_create(self, account: str, instance: str, host: str, logical: str | None = None) -> None:
        assert self.cluster.create(account, instance, host, logical=logical)

    def do_delete(self, account: str, instance: str) -> None:
        assert self.cluster.delete(account, instance)

    def do_end_hold(self, account: str, logical: str) -> None:
        assert self.cluster.end_hold(account, logical)

    def do_preempt(self, account: str, logical: str) -> None:
        assert self.cluster.cool(account, logical)

    def do_settle(self, *hosts: str) -> None:
        for host in hosts:
            self.cluster.hosts[host].settle(self.cluster.now_ms)

    def do_step(self, name: str) -> None:
        host = self.cluster.hosts[name]
        host.carry_out()
        host.answer(self.cluster.now_ms)

    def do_pass(self, text: str) -> None:
        for _ in range(int(text.removesuffix("s"))):
            self.do_settle(*self.cluster.hosts)
            self.control.settle(self.cluster.now_ms)
            self.do_settle(*self.cluster.hosts)
            self.cluster.now_ms += 1_000

    def see_table(self, host: str) -> str:
        entries = self.cluster.hosts[host].table.entries()
        return ", ".join(f"{entry.logical} -> {entry.physical}" for entry in entries) or "empty"

    def see_record(self, account: str, logical: str) -> str:
        record = self.cluster.ledger().record(account, logical).value
        return "free" if record is None else record.state.value

    def see_physical(self, physical: str) -> str:
        hold = self.cluster.ledger().physical(physical).value
        return "free" if hold is None else hold.state.value

    def see_cooling(self, address: str) -> str:
        judge = CoolingJudge(
            self.cluster.ledger(), ControllerSettings(), FutureStamps(skew_max_ms=0), now_ms=self.cluster.now_ms
        )
        (judged,) = [judged for judged in judge.judged() if judged.entry.key.endswith(f".{address}")]
        return waiting(judged.verdict.waits)

    def see_ready(self, account: str, logical: str) -> str:
        ledger = self.cluster.ledger()
        found = readiness(ledger.record(account, logical), account_audience(ledger, account))
        return "yes" if found.is_ready else waiting(found.waits)

    def see_host(self, host: str) -> str:
        value = self.cluster.ledger().host(host).required
        return f"{value.state.value}{', draining' if value.is_draining else ''}"

    def see_offers(self, host: str) -> str:
        return self.cluster.ledger().free_physical(host) or "nothing"

    def see_incarnation(self, host: str) -> str:
        return str(self.cluster.ledger().host(host).required.incarnation)

    def see_mirrors(self, account: str) -> str:
        return " ".join(sorted(self.cluster.ledger().subscriptions(account)))

    def see_epoch(self, number: str) -> str:
        epoch = self.cluster.ledger().epoch.required
        assert epoch.epoch == int(number)
        return epoch.state.value


def lines_of(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        command = line.partition("#")[0].strip()
        if command:
            yield command


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_cluster_does_what_the_scenario_says(path: Path) -> None:
    scenario = Scenario()
    for line in lines_of(path):
        scenario.run(line)

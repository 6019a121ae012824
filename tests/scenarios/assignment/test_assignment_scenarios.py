"""Scenarios that a person can read: what is done, and after `->` what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.assignment.world import DEADLINE, NOW, Replica, World

from addrcast.core.assignment.answer import Created, Deleted
from addrcast.core.assignment.assigner import Pending
from addrcast.core.assignment.request import CreateRequest, DeleteRequest, Request, Want
from addrcast.core.domain.address import Family
from addrcast.core.domain.errors import AddrcastError
from addrcast.core.domain.record import HostState
from addrcast.core.domain.resource import PoolKind

SCENARIOS = sorted(Path(__file__).parent.glob("*.txt"))


class Stage:
    """A world with one replica that follows the store unless a line says `behind`."""

    def __init__(self) -> None:
        self.world = World()
        self.world.pool("substrate", "192.0.2.0/24", kind=PoolKind.PHYSICAL)
        self._replica: Replica | None = None
        self._names: dict[int, str] = {}
        self._kept: list[Pending] = []

    @property
    def replica(self) -> Replica:
        if self._replica is None:
            self._replica = Replica(self.world)
        return self._replica

    def play(self, line: str) -> list[str]:
        """Carry out one line; what comes of it, a line each."""
        word, *rest = line.split()
        found: list[str] = getattr(self, f"_{word}")(*rest)
        return found

    def _pool(self, name: str, *prefixes: str) -> list[str]:
        is_shared = prefixes[-1] == "shared"
        self.world.pool(name, *(prefixes[:-1] if is_shared else prefixes), is_shared=is_shared)
        return []

    def _account(self, name: str, tier: str, *pools: str) -> list[str]:
        self.world.account(name, tier=tier, pools=pools)
        return []

    def _host(self, name: str, *blocks: str) -> list[str]:
        state = HostState.LOST if blocks[-1] == "lost" else HostState.UP
        self.world.host(name, *(block for block in blocks if "/" in block), state=state)
        return []

    def _reserve(self, account: str, host: str) -> list[str]:
        return [self.world.reserve(account, host)]

    def _freed(self) -> list[str]:
        """Every host has acknowledged what cools, and the time is over."""
        return [f"{self.world.free_cooled()} came free"]

    def _create(self, account: str, instance: str, *rest: str) -> list[str]:
        host, attempt, wants = "", 0, []
        for word in rest:
            if word in self.world.ledger().hosts():
                host = word
            elif word.startswith("attempt="):
                attempt = int(word[8:])
            elif word in {"ipv4", "ipv6"}:
                wants.append(Want(family=Family(int(word[3]))))
            else:
                wants.append(Want(logical=word))
        return self._ask(
            CreateRequest(
                account=account,
                instance=instance,
                host=host,
                attempt=attempt,
                wants=tuple(wants) or (Want(),),
                deadline_ms=DEADLINE,
            )
        )

    def _delete(self, account: str, instance: str, attempt: str = "") -> list[str]:
        number = int(attempt[8:]) if attempt else None
        return self._ask(DeleteRequest(account=account, instance=instance, attempt=number, deadline_ms=DEADLINE))

    def _look(self) -> list[str]:
        """The replica hears of what happened; creates that wait may go on."""
        self.replica.sync()
        return self._replies()

    def _deadline(self) -> list[str]:
        return [self._told(reply.answer) for reply in self.replica.assigner.expire(DEADLINE)]

    def _show(self, account: str) -> list[str]:
        ledger = self.world.ledger()
        moved = [f"{entry.key.split('.', 1)[1]} cooling by itself" for entry in ledger.cooling_physicals()]
        records = [
            f"{logical} {entry.required.state.value} at {entry.required.physical} on {entry.required.host}"
            for logical, entry in sorted(ledger.records(account).items())
        ]
        return records + moved

    def _ask(self, request: Request) -> list[str]:
        self.replica.sync()
        self.replica.submit(request)
        return self._replies() or ["waits"]

    def _replies(self) -> list[str]:
        return [self._told(reply.answer) for reply in self.replica.run(NOW)]

    def _told(self, answer: Created | Deleted | AddrcastError) -> str:
        if isinstance(answer, AddrcastError):
            return f"{type(answer).__name__}: {answer}"
        if isinstance(answer, Deleted):
            return f"deleted {answer.instance} attempt {answer.attempt}, released {len(answer.addresses)}"
        places = [
            f"{one.outcome.value} {one.logical} on {one.host}{self._when(one.placed_revision, answer.revision)}"
            for one in answer.addresses
        ]
        return f"{answer.instance} " + ", ".join(places) + (" (again)" if answer.is_repeat else "")

    @staticmethod
    def _when(placed_revision: int, revision: int) -> str:
        return " placed now" if placed_revision == revision else " placed before"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_goes_as_it_is_written(path: Path) -> None:
    stage = Stage()
    played: list[str] = []
    for line in path.read_text().splitlines():
        if not line.startswith("->"):
            played.append(line)
            if line and not line.startswith("#"):
                played += [f"-> {told}" for told in stage.play(line)]
    assert "\n".join(played) + "\n" == path.read_text()
    stage.world.check()

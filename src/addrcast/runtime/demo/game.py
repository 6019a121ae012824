"""Plays the last days of the fleets through forecast, plan, assignment and propagation, and checks it all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.adapters.demand.fleet_traces import FLEETS
from addrcast.core.assignment.answer import Created
from addrcast.core.assignment.request import CreateRequest, DeleteRequest
from addrcast.core.dataplane.table import TableEntry
from addrcast.core.domain.adoption import AddressInUse, adopt
from addrcast.core.domain.errors import AddrcastError
from addrcast.core.domain.finding import Finding
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import RECORDS
from addrcast.core.domain.record import AddressState
from addrcast.runtime.demo.fleet import Fleet
from addrcast.runtime.demo.site import CONTROLLER, HOSTS, POOL, STEP_MS, Site
from addrcast.runtime.demo.tally import AccountTally

if TYPE_CHECKING:
    from addrcast.core.assignment.answer import Answer
    from addrcast.core.assignment.request import Request
    from addrcast.core.domain.demand import CountHistory
    from addrcast.runtime.planning import NeedPlanner

Progress = Callable[[int, int], None]

_DEADLINE_MS = 20_000
_COOLED_AFTER_MS = 60_000
_ASKED_AFTER_MS = 150_000


@dataclass(frozen=True, slots=True)
class EndState:
    """What the checks found when all had come to rest."""

    records: int
    revision: int
    violations: tuple[Finding, ...]
    wrong_tables: tuple[str, ...]


class Game:
    """One run; `counts` is what the autoscalers want at each step, `planner` is told of it step by step."""

    def __init__(self, site: Site, counts: CountHistory, planner: NeedPlanner) -> None:
        self._site = site
        self._counts = counts
        self._planner = planner
        self._fleets = {account: Fleet(account) for account in counts.accounts}
        tiers = {fleet.account: fleet.tier for fleet in FLEETS}
        self.tallies = {account: AccountTally(tiers[account]) for account in counts.accounts}

    async def adopt(self, column: int) -> None:
        """Bring in the instances that are there when the play begins, as addresses already in use."""
        ledger = self._site.view.ledger
        physicals = {host: iter(ledger.free_physicals(host)) for host in HOSTS}
        rows: list[AddressInUse] = []
        logicals = iter(ledger.free_logicals(self._counts.accounts[0], POOL))
        for row, fleet in enumerate(self._fleets.values()):
            names = fleet.names(int(self._counts.counts[row, column]))
            for name, host in zip(names, fleet.hosts_for(len(names)), strict=True):
                place = len(rows) + 1
                rows.append(
                    AddressInUse(
                        line=place,
                        account=fleet.account,
                        logical=next(logicals),
                        physical=next(physicals[host]),
                        host=host,
                        instance=name,
                    )
                )
                fleet.live[name] = host
        adoption = adopt(ledger, rows, now_ms=self._site.clock.now_ms())
        for drafts in (adoption.subscriptions, adoption.bindings):
            await self._site.store.commit([draft.transaction() for draft in drafts])
            await self._site.settle()

    async def play(self, first: int, on_progress: Progress) -> None:
        """Play every step from column `first` on."""
        last = self._counts.steps - 1
        for column in range(first, last):
            await self._step(column)
            on_progress(column - first + 1, last - first)

    async def rest(self) -> EndState:
        """Let everything come to rest, then check store and tables."""
        for _ in range(5):
            await self._site.advance(self._site.clock.now_ms() + 2_000)
        ledger = self._site.view.ledger
        records = sum(1 for _ in ledger.items(RECORDS))
        return EndState(records, ledger.revision, tuple(violations(ledger)), tuple(self._wrong_tables()))

    async def _step(self, column: int) -> None:
        begin_ms = (self._counts.start_s + column * self._counts.step_s) * 1_000
        self._planner.column = column
        self._planner.recent_creates = {account: fleet.recent_creates() for account, fleet in self._fleets.items()}
        await self._site.advance(begin_ms)
        for account, tally in self.tallies.items():
            cooling_ms = self._site.view.ledger.tier_of(account).cooldown_ms + CONTROLLER.skew_max_ms
            tally.sample(self._site.view.ledger, account, step_ms=STEP_MS, cooling_ms=cooling_ms)
        # agents acknowledge after the first look, so cooling ends with the second
        await self._site.advance(begin_ms + _COOLED_AFTER_MS)
        await self._site.advance(begin_ms + _COOLED_AFTER_MS + 1_000)
        await self._site.advance(begin_ms + _ASKED_AFTER_MS)
        await self._change(column + 1)

    async def _change(self, column: int) -> None:
        """Create and delete instances so that each account comes to its count."""
        requests: list[Request] = []
        deadline_ms = self._site.clock.now_ms() + _DEADLINE_MS
        for row, fleet in enumerate(self._fleets.values()):
            change = int(self._counts.counts[row, column]) - len(fleet.live)
            fleet.recent.append(Counter())
            requests += [
                DeleteRequest(account=fleet.account, instance=name, deadline_ms=deadline_ms)
                for name in fleet.leaving(max(-change, 0))
            ]
            names = fleet.names(max(change, 0))
            requests += [
                CreateRequest(account=fleet.account, instance=name, deadline_ms=deadline_ms, host=host)
                for name, host in zip(names, fleet.hosts_for(len(names)), strict=True)
            ]
        asking = asyncio.gather(*map(self._asked, requests))
        await self._site.settle()
        while not asking.done():  # some wait for addresses to come back
            await self._site.advance(self._site.clock.now_ms() + 1_000)
        for request, (answer, is_ready) in zip(requests, asking.result(), strict=True):
            self._count(request, answer, is_ready=is_ready)

    async def _asked(self, request: Request) -> tuple[Answer | AddrcastError, bool]:
        """The answer, and whether every host had its addresses in the moment it was given."""
        try:
            if isinstance(request, DeleteRequest):
                return await self._site.assignment.delete(request), False
            created = await self._site.assignment.create(request)
        except AddrcastError as error:
            return error, False
        return created, self._site.assignment.readiness(created).is_ready

    def _count(self, request: Request, answer: Answer | AddrcastError, *, is_ready: bool) -> None:
        fleet = self._fleets[request.account]
        tally = self.tallies[request.account]
        if isinstance(answer, AddrcastError):  # what could not be deleted lives on
            tally.refused += isinstance(request, CreateRequest)
        elif isinstance(answer, Created):
            host = answer.addresses[0].host
            tally.outcomes[answer.addresses[0].outcome] += 1
            tally.ready_at_once += is_ready
            fleet.live[request.instance] = host
            fleet.recent[-1][host] += 1
        else:
            tally.deletes += 1
            del fleet.live[request.instance]

    def _wrong_tables(self) -> list[str]:
        """The hosts whose table is not what the records of their accounts say."""
        ledger = self._site.view.ledger
        wrong = []
        for host, kernel in self._site.kernels.items():
            desired = sorted(
                TableEntry(ledger.account(account).required.vni, logical, entry.required.physical)
                for account in ledger.accounts()
                if host in ledger.subscriptions(account)
                for logical, entry in ledger.records(account).items()
                if entry.required.state is not AddressState.COOLING
            )
            if kernel.table.entries() != desired:
                wrong.append(host)
        return wrong

"""Checks that nobody is refused, and no idle address taken back, while there is another way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.core.domain.address import parse_address
from addrcast.core.domain.record import AddressState, HostState, InstanceState, Record
from addrcast.simulation.checkers import Broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addrcast.core.assignment.request import CreateRequest
    from addrcast.core.domain.resource import Account
    from addrcast.simulation.checkers import Name, Truth

_READY = (AddressState.RESERVED, AddressState.PRESERVED)


@dataclass(slots=True)
class _Asked:
    """A create since its arrival: whether there was a moment without a usable address, and one without hope."""

    request: CreateRequest
    was_short: bool = False
    was_hopeless: bool = False


class ScarcityChecker:
    """Follows every create that asks for one address of any pool, from its arrival on.

    `logicals` and `physicals` are the addresses of every pool and of every host; pools are small here.
    """

    def __init__(
        self,
        truth: Truth,
        accounts: Mapping[str, Account],
        logicals: Mapping[str, frozenset[str]],
        physicals: Mapping[str, frozenset[str]],
        shared: frozenset[str],
    ) -> None:
        self._truth = truth
        self._accounts = accounts
        self._logicals = logicals
        self._physicals = physicals
        self._shared = shared
        self._asked: dict[str, _Asked] = {}
        self._open: dict[str, _Asked] = {}
        truth.on_record.append(self._taken_back)

    def restored(self) -> None:
        """What is under way is decided on two histories: nothing can be said of it."""
        self._asked.clear()
        self._open.clear()

    def arrived(self, request: CreateRequest) -> None:
        """A create has come to a replica."""
        want = request.wants[0]
        if len(request.wants) == 1 and not (want.family or want.pool or want.logical):
            asked = self._asked.setdefault(request.request, _Asked(request))
            self._open[request.request] = asked
            self._look(asked)

    def moved(self, now_ms: int) -> None:
        """The store has changed."""
        for name, asked in list(self._open.items()):
            if asked.was_hopeless or now_ms > asked.request.deadline_ms + 2_000:
                del self._open[name]
            else:
                self._look(asked)

    def refused(self, request: CreateRequest) -> None:
        """A create is told that everything is exhausted. Raises Broken."""
        asked = self._asked.get(request.request)
        if asked is not None and not asked.was_hopeless:
            raise Broken("refused too soon", f"{request.request} for {request.account} on {request.host or 'any'}")

    def _taken_back(self, name: Name, before: Record | None, record: Record | None) -> None:
        if record is None or before is None or record.state is not AddressState.COOLING:
            return
        asked = self._asked.get(record.request)
        if asked is not None and before.state in _READY and not asked.was_short:
            raise Broken("taken back too soon", f"{name} for {record.request}, which had no need of it")

    def _look(self, asked: _Asked) -> None:
        truth, request = self._truth, asked.request
        bound = truth.instances.get((request.account, request.instance))
        if bound is not None and bound.state is InstanceState.BOUND:
            asked.was_short = asked.was_hopeless = True  # it keeps its address, and may lack one to move to
            return
        account = self._accounts[request.account]
        hosts = {host for host, value in truth.hosts.items() if value.state is HostState.UP}
        if request.host:
            hosts &= {request.host}
        own = [record for name, record in truth.records.items() if name[0] == request.account]
        spares = any(physical not in truth.holds for host in hosts for physical in self._physicals[host])
        is_ready = any(each.state in _READY and (each.host in hosts or spares) for each in own)
        is_free = any(self._is_free(request.account, pool) for pool in account.pools)
        if is_ready or (is_free and spares):
            return
        asked.was_short = True
        coming = {host for host, value in truth.hosts.items() if value.state is HostState.REJOINING} | hosts
        if request.host:
            coming &= {request.host}
        asked.was_hopeless = asked.was_hopeless or not (
            (spares or self._comes_to(coming)) and (is_free or self._comes_into(request.account, account))
        )

    def _is_free(self, account: str, pool: str) -> bool:
        truth = self._truth
        if pool in self._shared:
            return any((pool, logical) not in truth.claims for logical in self._logicals[pool])
        return any((account, logical) not in truth.records for logical in self._logicals[pool])

    def _comes_to(self, hosts: set[str]) -> bool:
        """Whether a physical address of some hosts is anything but bound."""
        bound = {each.physical for each in self._truth.records.values() if each.state is AddressState.BOUND}
        return any(not self._physicals[host] <= bound for host in hosts)

    def _comes_into(self, account: str, declared: Account) -> bool:
        """Whether a logical address of an account's pools cools or lies idle."""
        return any(
            record.state is not AddressState.BOUND
            and record.pool in declared.pools
            and (record.is_shared or name[0] == account)
            for name, record in self._truth.records.items()
        )


def addresses_of(first: str, count: int) -> frozenset[str]:
    """So many IPv4 addresses in a row."""
    head, _, tail = first.rpartition(".")
    parse_address(first)
    return frozenset(f"{head}.{int(tail) + number}" for number in range(count))

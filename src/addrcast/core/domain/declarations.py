"""Resources that are about to be declared, each judged against what stands and what was accepted before it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from itertools import islice, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from addrcast.core.domain.address import Address, Prefix, parse_address, parse_prefix
from addrcast.core.domain.address_set import AddressSet
from addrcast.core.domain.declaration import check_account, check_host, check_pool, check_tier
from addrcast.core.domain.errors import Invalid, Stale
from addrcast.core.domain.keyspace import PHYSICALS
from addrcast.core.domain.pool_use import SHOWN_MAX, listed, use_of
from addrcast.core.domain.record import Host, Value
from addrcast.core.domain.resource import Account, Pool, PoolKind, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry, PhysicalHold

Resource = Tier | Pool | Host | Account
V = TypeVar("V", bound=Value)


class Declarations:
    """What is declared: as a ledger has it, changed by what was accepted since.

    Whoever writes what was accepted compares the ledger's `declared` key, so that all of this was true together.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._pools = _values(ledger.pools())
        self._hosts = _values(ledger.hosts())
        self._accounts = _values(ledger.accounts())
        self._tiers = dict(ledger.tiers())
        self._vnis = {account.vni: name for name, account in self._accounts.items()}
        self._blocks = sorted(
            (parse_prefix(text), name) for name, host in self._hosts.items() for text in host.blocks
        )
        self._holds: list[tuple[Address, PhysicalHold]] | None = None

    def accept(self, name: str, resource: Resource) -> tuple[Entry[Any], Resource]:
        """The entry that a resource goes to, and what is to be written there.

        Of a host that is known only the blocks are declared, and whether it drains: its state and incarnation are
        its own. Raises Invalid where it breaks a rule, Stale where the ledger is too old to tell.
        """
        if isinstance(resource, Tier):
            check_tier(name, resource)
            self._tiers[name] = resource
            return self.ledger.tier(name), resource
        if isinstance(resource, Pool):
            return self.ledger.pool(name), self._accept_pool(name, resource)
        if isinstance(resource, Host):
            return self.ledger.host(name), self._accept_host(name, resource)
        return self.ledger.account(name), self._accept_account(name, resource)

    def lost_blocks(self, name: str, host: Host) -> tuple[str, ...]:
        """The blocks that a host has in the ledger and not in this declaration."""
        before = self.ledger.host(name).value
        return () if before is None else tuple(block for block in before.blocks if block not in host.blocks)

    def _accept_pool(self, name: str, pool: Pool) -> Pool:
        before = self._pools.get(name)
        if before is not None:
            pool = self._with_leaving(name, pool)
            for field in ("kind", "is_shared"):
                if getattr(before, field) != getattr(pool, field):
                    raise Invalid(field, str(getattr(pool, field)), f"pool {name} is otherwise; make another pool")
        check_pool(name, pool, self._pools)
        if before is not None and before.prefixes != pool.prefixes:
            self._check_shrunk(name, before, pool)
            self._check_users(name, pool)
        self._pools[name] = pool
        return pool

    def _with_leaving(self, name: str, pool: Pool) -> Pool:
        """A prefix that is being removed stands on until nothing of it is left, whether it is declared or not."""
        removal = self.ledger.removal("pool", name).value
        if removal is None:
            return pool
        if not removal.prefixes:
            raise Invalid("pool", name, "it is being removed; wait until it is gone")
        for prefix in removal.prefixes:
            if prefix in pool.prefixes:
                raise Invalid("prefixes", prefix, f"it is being removed from pool {name}; wait until it is gone")
        return replace(
            pool,
            prefixes=(*pool.prefixes, *removal.prefixes),
            draining=(*pool.draining, *removal.prefixes),
        )

    def _check_shrunk(self, name: str, before: Pool, pool: Pool) -> None:
        """What was decided before a prefix began to drain fails its compare: from then on its use only shrinks."""
        kept = [parse_prefix(text) for text in pool.prefixes]
        for text in before.prefixes:
            if is_covered(parse_prefix(text), kept):
                continue
            if text not in before.draining:
                rule = f"it must drain before it can go; `addrcast remove pool {name} --prefix {text}` sees to both"
                raise Invalid("prefixes", text, rule)
            if self.ledger.pool(name).revision > self.ledger.revision:
                raise Stale(f"pool {name} was changed just now: look at what is in use of it")
            use = use_of(self.ledger, name, [parse_prefix(text)])
            if use:
                raise Invalid("prefixes", text, f"it cannot go yet: {use}")

    def _check_users(self, name: str, pool: Pool) -> None:
        pools = {**self._pools, name: pool}
        for account_id, account in self._accounts.items():
            if name in account.pools and (len(account.pools) > 1 or account.preferences.prefixes):
                try:
                    check_account(account_id, account, accounts={}, pools=pools, tiers=self._tiers)
                except Invalid as fault:
                    raise Invalid(
                        "prefixes", fault.value, f"account {account_id} has pool {name}: {fault}"
                    ) from None

    def _accept_host(self, name: str, host: Host) -> Host:
        before = self._hosts.get(name)
        if self.ledger.removal("host", name):
            raise Invalid("host", name, "it is being removed; wait until it is gone")
        near = {other: self._hosts[other] for other in self._near(host.blocks)}
        check_host(name, host, hosts=near, pools=self._lasting_pools())
        known = () if before is None else before.blocks
        gained = [parse_prefix(text) for text in host.blocks if text not in known]
        if gained:
            self._check_free_of_others(name, gained)
        lost = self.lost_blocks(name, host)
        if lost:
            if self.ledger.host(name).revision > self.ledger.revision:
                raise Stale(f"host {name} was changed just now: look at what is in use of it")
            self.check_unused(name, lost, kept=host.blocks)
        if before is not None:
            host = replace(before, blocks=host.blocks, is_draining=host.is_draining)
        for text in known:
            self._blocks.remove((parse_prefix(text), name))
        for text in host.blocks:
            insort(self._blocks, (parse_prefix(text), name))
        self._hosts[name] = host
        return host

    def _near(self, blocks: Iterable[str]) -> set[str]:
        """The hosts with a block that shares addresses with some; blocks that stand share none with each other."""
        found: set[str] = set()
        for prefix in map(parse_prefix, blocks):
            at = bisect_left(self._blocks, (prefix, ""))
            for other, host in self._blocks[max(at - 1, 0) :]:
                if other.overlaps(prefix):
                    found.add(host)
                elif other > prefix:
                    break
        return found

    def _lasting_pools(self) -> dict[str, Pool]:
        """The pools as new blocks may rely on them: without what is being removed."""
        lasting = dict(self._pools)
        for name, pool in self._pools.items():
            removal = self.ledger.removal("pool", name).value
            if removal is not None and pool.kind is PoolKind.PHYSICAL:
                left = tuple(text for text in pool.prefixes if removal.prefixes and text not in removal.prefixes)
                lasting[name] = replace(pool, prefixes=left)
        return lasting

    def _check_free_of_others(self, name: str, gained: list[Prefix]) -> None:
        """A physical address that is held or cools for another host may be in tables: its block is not free yet."""
        for prefix in gained:
            holders = Counter(hold.host for _, hold in self._holds_in(prefix) if hold.host != name)
            if holders:
                rule = f"{holders.total():,} addresses are kept for {listed(holders)}; wait until they are free"
                raise Invalid("blocks", str(prefix), rule)

    def check_unused(self, name: str, blocks: Iterable[str], *, kept: Iterable[str]) -> None:
        """Raise Invalid where a host has addresses in use in some blocks that lie in no `kept` one."""
        staying = [parse_prefix(text) for text in kept]
        for text in blocks:
            users = Counter(
                hold.account
                for address, hold in self._holds_in(parse_prefix(text))
                if hold.host == name and not any(each.holds(address) for each in staying)
            )
            if users:
                rule = f"{users.total():,} addresses of it are in use, of {listed(users)}; drain host {name} first"
                raise Invalid("blocks", text, rule)

    def _holds_in(self, prefix: Prefix) -> Iterator[tuple[Address, PhysicalHold]]:
        if self._holds is None:
            found = ((parse_address(text), entry.required) for text, entry in self.ledger.items(PHYSICALS))
            self._holds = sorted(found, key=itemgetter(0))
        at = bisect_left(self._holds, Address(prefix.family, prefix.first), key=itemgetter(0))
        yield from takewhile(lambda hold: prefix.holds(hold[0]), islice(self._holds, at, None))

    def _accept_account(self, name: str, account: Account) -> Account:
        before = self._accounts.get(name)
        if self.ledger.removal("account", name):
            raise Invalid("account", name, "it is being removed; wait until it is gone")
        if before is not None and before.vni != account.vni:
            rule = f"account {name} has {before.vni}, for as long as it lives: hosts may deliver by it"
            raise Invalid("vni", account.vni, rule)
        for pool in account.pools:
            leaving = self.ledger.removal("pool", pool).value
            if leaving is not None and not leaving.prefixes:
                raise Invalid("pools", pool, "it is being removed; name another")
        owner = self._vnis.get(account.vni, name)
        if owner != name:
            raise Invalid("vni", account.vni, f"{self._holder(owner)}; choose one that is free")
        check_account(name, account, accounts={}, pools=self._pools, tiers=self._tiers)
        self._accounts[name] = account
        self._vnis[account.vni] = name
        return account

    def _holder(self, account: str) -> str:
        """Who has a VNI, and why still where it is on its way out."""
        if not self.ledger.removal("account", account):
            return f"account {account} has it"
        hosts = sorted(self.ledger.subscriptions(account))
        waits = f"hosts {', '.join(hosts[:SHOWN_MAX])}" if hosts else "its last addresses"
        return f"account {account}, which is being removed, has it until {waits} have left"


def is_covered(prefix: Prefix, others: Iterable[Prefix]) -> bool:
    """Whether every address of a prefix lies in one of the others."""
    left = AddressSet()
    left.add_range(prefix.first, prefix.last)
    for other in others:
        if other.family is prefix.family:
            left.discard_range(other.first, other.last)
    return not left.size


def _values(entries: Mapping[str, Entry[V]]) -> dict[str, V]:
    return {name: entry.required for name, entry in entries.items()}

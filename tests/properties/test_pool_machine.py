"""Pools that grow, drain and shrink while accounts use them, beside a naive twin."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from addrcast.core.domain.address import parse_prefix
from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import record_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.pool import drain, grow, remove
from addrcast.core.domain.pool_use import in_use
from addrcast.core.domain.record import AddressState, Record
from addrcast.core.domain.resource import Pool, PoolKind
from addrcast.core.domain.transaction import Change, Event

PREFIXES = ("10.0.0.0/30", "10.0.0.4/31", "10.0.0.6/31", "10.0.0.0/29", "10.0.0.8/32", "10.0.0.2/31")
ACCOUNTS = ("a", "b")
RECORD = Record(state=AddressState.BOUND, physical="100.64.0.1", host="h1", pool="p", since_ms=1)


class PoolMachine(RuleBasedStateMachine):
    @initialize(first=st.sampled_from(PREFIXES))
    def declare(self, first: str) -> None:
        self.ledger = Ledger()
        self.prefixes, self.draining = {first}, set[str]()
        self.used: dict[str, set[str]] = {account: set() for account in ACCOUNTS}
        self.pool = Pool(kind=PoolKind.LOGICAL, prefixes=(first,))
        self.put("pool.p", encode(self.pool))

    def put(self, key: str, value: bytes | None) -> None:
        revision = self.ledger.revision + 1
        self.ledger.apply(Change(revision, (Event(key, value, revision if value else 0, revision),)))

    def change(self, pool: Pool) -> None:
        self.pool = pool
        self.put("pool.p", encode(pool))

    @rule(prefix=st.sampled_from(PREFIXES))
    def grow(self, prefix: str) -> None:
        if any(ip_network(prefix).overlaps(ip_network(other)) for other in self.prefixes):
            with pytest.raises(Invalid):
                grow(self.pool, prefix)
        else:
            self.change(grow(self.pool, prefix))
            self.prefixes.add(prefix)

    @rule(prefix=st.sampled_from(PREFIXES))
    def drain(self, prefix: str) -> None:
        if prefix in self.prefixes:
            self.change(drain(self.pool, prefix))
            self.draining.add(prefix)
        else:
            with pytest.raises(Invalid):
                drain(self.pool, prefix)

    @rule(prefix=st.sampled_from(PREFIXES))
    def remove(self, prefix: str) -> None:
        used = sum(ip_address(one) in ip_network(prefix) for of in self.used.values() for one in of)
        assert in_use(self.ledger, "p", parse_prefix(prefix)) == used
        if prefix in self.draining and not used and len(self.prefixes) > 1:
            self.change(remove(self.pool, prefix, in_use=used))
            self.prefixes.remove(prefix)
            self.draining.remove(prefix)
        else:
            with pytest.raises(Invalid):
                remove(self.pool, prefix, in_use=used)

    @rule(account=st.sampled_from(ACCOUNTS), offset=st.integers(0, 9))
    def use(self, account: str, offset: int) -> None:
        logical = self.ledger.free_logical(account, "p", offset=offset)
        free = self.addresses(self.prefixes - self.draining) - self.used[account]
        assert (logical is None) == (not free)
        if logical is not None:
            assert logical in free
            self.used[account].add(logical)
            self.put(record_key(account, logical), encode(RECORD))

    @rule(data=st.data(), account=st.sampled_from(ACCOUNTS))
    def give_back(self, data: st.DataObject, account: str) -> None:
        logical = data.draw(st.sampled_from([None, *sorted(self.used[account])]))
        if logical is not None:
            self.used[account].remove(logical)
            self.put(record_key(account, logical), None)

    def addresses(self, prefixes: set[str]) -> set[str]:
        return {str(one) for prefix in prefixes for one in ip_network(prefix)}

    @invariant()
    def every_address_is_free_or_used(self) -> None:
        for account in ACCOUNTS:
            counts = self.ledger.counts("p", account)
            assert counts.is_balanced
            assert counts.total == len(self.addresses(self.prefixes))
            assert counts.bound == len(self.used[account])
            open_to_use = self.addresses(self.prefixes - self.draining) - self.used[account]
            assert counts.usable == len(open_to_use)
            assert set(self.ledger.free_logicals(account, "p")) == open_to_use


PoolMachine.TestCase.settings = settings(stateful_step_count=25)
TestPool = PoolMachine.TestCase

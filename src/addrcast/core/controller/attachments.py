"""What hosts have attached after a restore: whom to rely on, and what has to change before the store opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from addrcast.core.domain.address import parse_address, parse_prefix
from addrcast.core.domain.blocks import BlockIndex
from addrcast.core.domain.identity import unescape_instance
from addrcast.core.domain.keyspace import INSTANCES
from addrcast.core.domain.record import AddressState, HostState, InstanceState, Outcome
from addrcast.core.domain.transitions import Draft, FreeAddress, preempt
from addrcast.core.domain.transitions_create import (
    Claim,
    Move,
    Step,
    bind,
    create,
    dynamic,
    early_return,
    rebind,
    repeat,
)
from addrcast.core.domain.transitions_epoch import disown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Attached, Entry, Host, HostReport, InstanceEntry, PhysicalHold, Record
    from addrcast.core.domain.transaction import Compare

_IDLE = (AddressState.RESERVED, AddressState.PRESERVED)


class Pending(NamedTuple):
    """An attachment that the store cannot take over as it stands, and why not."""

    host: str
    account: str
    instance: str
    why: str


class Heard:
    """The reports of all hosts in the present epoch.

    `silent` hosts have said nothing, or not all of it; `unknowing` ones say that they do not know. Both keep the
    store closed unless they are accepted. `attached` has, by account and instance, what each host has of it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.silent: list[str] = []
        self.unknowing: list[str] = []
        self.known: set[str] = set()
        self.accepted: set[str] = set()
        self.attached: dict[tuple[str, str], dict[str, list[Attached]]] = {}
        lists = self._lists(ledger)
        for host, entry in sorted(ledger.hosts().items()):
            self._hear(ledger, host, entry.required, lists.get(host, {}))

    def _lists(self, ledger: Ledger) -> dict[str, dict[str, tuple[Attached, ...]]]:
        """What was said in this epoch by each host in its present incarnation, by account."""
        lists: dict[str, dict[str, tuple[Attached, ...]]] = {}
        epoch = ledger.epoch.required.epoch
        for rest, entry in ledger.attachments().items():
            host, _, account = rest.partition(".")
            said, state = entry.required, ledger.host(host).value
            is_present = state is not None and (said.epoch, said.incarnation) == (epoch, state.incarnation)
            if is_present and said.attached:
                lists.setdefault(host, {})[account] = said.attached
        return lists

    def _hear(self, ledger: Ledger, host: str, state: Host, lists: Mapping[str, tuple[Attached, ...]]) -> None:
        report = ledger.host_report(host).value
        epoch = ledger.epoch.required.epoch
        is_accepted = report is not None and report.epoch == epoch and report.is_accepted
        if is_accepted:
            self.accepted.add(host)
        if state.state is HostState.LOST:
            return  # what is bound on it stays bound
        if report is None or not _is_whole(report, epoch, state, len(lists)):
            self.silent += [] if is_accepted else [host]
        elif not report.is_known:
            self.unknowing += [] if is_accepted else [host]
        else:
            self.known.add(host)
            for account, attached in lists.items():
                for each in attached:
                    self.attached.setdefault((account, each.instance), {}).setdefault(host, []).append(each)


def _is_whole(report: HostReport, epoch: int, host: Host, accounts: int) -> bool:
    return (report.epoch, report.incarnation, report.accounts) == (epoch, host.incarnation, accounts)


class Settling:
    """Makes the records what hosts have attached. `pending` is known once all `drafts` were taken.

    A bound instance that its host does not have cools. One that hosts have with other addresses, elsewhere, or only
    since the backup is bound as it is there, at its own physical address if that is free.
    """

    def __init__(self, ledger: Ledger, heard: Heard, *, fence: Compare, now_ms: int) -> None:
        self.pending: list[Pending] = []
        self._ledger = ledger
        self._heard = heard
        self._fence = fence
        self._now_ms = now_ms
        self._taken: set[str] = set()
        self._blocks: BlockIndex | None = None

    def drafts(self) -> Iterator[Draft]:
        """What can be done at this moment; look again when it is done."""
        bound: set[tuple[str, str]] = set()
        for rest, entry in self._ledger.items(INSTANCES):
            if entry.required.state is InstanceState.BOUND:
                account, _, escaped = rest.partition(".")
                name = (account, str(unescape_instance(escaped)))
                bound.add(name)
                yield from self._confirm(name, entry)
        for name, by_host in self._heard.attached.items():
            if name not in bound:
                yield from self._take_over(name, by_host)

    def _confirm(self, name: tuple[str, str], entry: Entry[InstanceEntry]) -> Iterator[Draft]:
        ledger, value = self._ledger, entry.required
        records = [ledger.record(name[0], logical) for logical in value.addresses]
        if any(not r or r.required.state is not AddressState.BOUND for r in records):
            return  # broken, or seen ahead of the watch
        by_host = self._heard.attached.get(name, {})
        for host, attached in by_host.items():
            places = {each.logical for each in attached}
            if places <= set(value.addresses) and all(r.required.host == host for r in records):
                attempt = max(each.attempt for each in attached)
                if attempt > value.attempt:
                    claim = self._claim(name, attempt)
                    steps = [repeat(record, claim, Outcome.DYNAMIC) for record in records]
                    yield self._fenced(create(ledger.epoch, entry, claim, steps))
                return
        if by_host or all(record.required.host in self._heard.known for record in records):
            yield disown(ledger.epoch, entry, records, fence=self._fence, now_ms=self._now_ms)

    def _take_over(self, name: tuple[str, str], by_host: Mapping[str, list[Attached]]) -> Iterator[Draft]:
        """Of several hosts that have it, the one with its latest attempt is right."""
        ledger = self._ledger
        host = max(sorted(by_host), key=lambda host: max(each.attempt for each in by_host[host]))
        attached = {each.logical: each for each in by_host[host]}
        attempt = max(each.attempt for each in attached.values())
        instance = ledger.instance(*name)
        if instance.value is not None and instance.value.attempt >= attempt:
            return  # it was deleted since, and its host is about to learn that
        claim = self._claim(name, attempt)
        steps: list[Step] = []
        for each in attached.values():
            found = self._step(host, each, claim)
            if isinstance(found, Step):
                steps.append(found)
            elif isinstance(found, Draft):
                yield found
            elif host not in self._heard.accepted:
                self.pending.append(Pending(host, *name, found))
        if len(steps) == len(attached):
            subscription = ledger.subscription(host, name[0])
            yield self._fenced(create(ledger.epoch, instance, claim, steps, subscription=subscription))

    def _step(self, host: str, attached: Attached, claim: Claim) -> Step | Draft | str:
        """The address's share of the binding, or what has to happen before, or why it cannot be."""
        record = self._ledger.record(claim.account, attached.logical)
        value = record.value
        if value is None:
            return self._from_free(host, attached, claim)
        if value.state is AddressState.BOUND:
            return f"{attached.logical} is bound to {value.instance}"
        is_idle = value.state in _IDLE
        if value.host == host:
            take = bind if is_idle else early_return
            return take(record, claim, Outcome.DYNAMIC)
        new = self._physical(host, attached)
        if new is None:
            return f"no physical address of host {host} is free"
        move = Move(old=self._ledger.physical(value.physical), new=new, host=self._ledger.host(host))
        if is_idle:
            return rebind(record, move, claim, Outcome.DYNAMIC)
        return early_return(record, claim, Outcome.DYNAMIC, move)

    def _from_free(self, host: str, attached: Attached, claim: Claim) -> Step | Draft | str:
        ledger = self._ledger
        account = ledger.account(claim.account)
        if account.value is None:
            return f"account {claim.account} is not declared"
        pool = self._pool_of(account.value.pools, attached.logical)
        if pool is None:
            return f"{attached.logical} lies in no pool of account {claim.account}"
        owner = ledger.pool_address(pool, attached.logical) if ledger.pool(pool).required.is_shared else None
        if owner is not None and owner.value is not None:
            other: Entry[Record] = ledger.record(owner.value.account, attached.logical)
            if other.value is not None and other.value.state in _IDLE:
                return self._fenced(preempt(ledger.epoch, other, now_ms=self._now_ms))
            return f"{attached.logical} is still account {owner.value.account}'s in pool {pool}"
        new = self._physical(host, attached)
        if new is None:
            return f"no physical address of host {host} is free"
        record = ledger.record(claim.account, attached.logical)
        free = FreeAddress(
            record=record,
            hold=new,
            pool=ledger.pool(pool),
            host=ledger.host(host),
            account=account,
            owner=owner,
        )
        return dynamic(free, claim)

    def _pool_of(self, pools: tuple[str, ...], logical: str) -> str | None:
        address = parse_address(logical)
        for name in pools:
            pool = self._ledger.pool(name).value
            if pool is not None and any(parse_prefix(prefix).holds(address) for prefix in pool.prefixes):
                return name
        return None

    def _physical(self, host: str, attached: Attached) -> Entry[PhysicalHold] | None:
        """Where the address is delivered: as the host has it if that is free and its own, else anywhere there."""
        if self._blocks is None:
            self._blocks = BlockIndex({name: entry.required for name, entry in self._ledger.hosts().items()})
        family = parse_address(attached.logical).family
        own = attached.physical and self._blocks.owner(parse_address(attached.physical)) == host
        wanted = [attached.physical] if own else []
        for physical in (*wanted, *self._ledger.free_physicals(host, family=family)):
            hold = self._ledger.physical(physical)
            if not hold and physical not in self._taken:
                self._taken.add(physical)
                return hold
        return None

    def _claim(self, name: tuple[str, str], attempt: int) -> Claim:
        return Claim(name[0], name[1], attempt, self._now_ms)

    def _fenced(self, draft: Draft) -> Draft:
        return Draft(draft.compares, draft.writes, self._fence)

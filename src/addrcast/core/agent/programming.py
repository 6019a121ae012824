"""The kernel's side of an agent: one batch at a time, what failed again later, audits against what is there."""

from __future__ import annotations

from addrcast.core.agent.account import UNKNOWN_REVISION, ServedAccount
from addrcast.core.agent.messages import DumpTable, Program, Programmed
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.dataplane.reconcile import reconcile
from addrcast.core.dataplane.table import Table, TableEntry, TableKey


class Programming:
    """Brings the kernel table to what the served accounts desire.

    `found` is what the agent found in the kernel when it started, until an account of that VNI takes it over.
    `removals` are VNIs on their way out, each with the account that leaves with it.

    Invariants: one batch is in flight; in it, upserts go before deletes, deletes before removed accounts; a
    VNI that is to be removed takes no entries until it is gone; nothing is removed for being a stray before every
    account was read, nor at first sight.
    """

    __slots__ = (
        "_audit_ms",
        "_behind",
        "_failures",
        "_flying",
        "_is_dumping",
        "_retry_ms",
        "_suspects",
        "accounts",
        "found",
        "removals",
        "settings",
    )

    def __init__(self, settings: AgentSettings) -> None:
        self.accounts: dict[str, ServedAccount] = {}
        self.settings = settings
        self.found: dict[int, dict[str, str]] = {}
        self._behind: dict[str, None] = {}
        self._flying: dict[int, ServedAccount] | None = None
        self._retry_ms = 0
        self._failures = 0
        self._audit_ms: int | None = None
        self._is_dumping = False
        self._suspects: frozenset[TableKey | int] = frozenset()
        self.removals: dict[int, str] = {}

    def start(self, table: Table) -> None:
        """The table as the agent finds it."""
        self._is_dumping = False
        self.found = {vni: dict(entries) for vni, entries in table.items()}

    def touch(self, name: str) -> None:
        """An account may have something to program."""
        self._behind[name] = None

    def remove(self, vni: int, *, leaving: str = "") -> None:
        """Take an account out of the kernel, in the name of the account that is `leaving`, if any."""
        self.removals[vni] = leaving or self.removals.get(vni, "")
        self.found.pop(vni, None)

    def is_flying(self, vni: int) -> bool:
        """Whether the batch in flight changes an account."""
        return vni in (self._flying or ())

    def has_strays(self, now_ms: int) -> bool:
        """Whether the kernel has virtual networks that no account claims; an audit then removes them."""
        if self.found and self._audit_ms is None and not self._is_dumping:
            self.audit(now_ms)
        return bool(self.found or self.removals)

    def audit(self, at_ms: int) -> None:
        """Compare the whole table at that time, or earlier."""
        self._audit_ms = at_ms if self._audit_ms is None else min(at_ms, self._audit_ms)

    def next(self, now_ms: int) -> Program | None:
        """The next batch; None while one is in flight, or where there is nothing to do."""
        if self._flying is not None:
            return None
        is_retry_due = now_ms >= self._retry_ms
        flying: dict[int, ServedAccount] = {}
        ensured: list[int] = []
        upserts: list[TableEntry] = []
        deletes: list[TableKey] = []
        for name in list(self._behind):
            account = self.accounts.get(name)
            if account is None or account.is_leaving:
                del self._behind[name]
                continue
            vni = account.vni
            if vni is None or vni in self.removals or vni in flying:
                continue
            if not account.is_ensured:
                if not (account.is_scanned and is_retry_due):
                    continue
                ensured.append(vni)
            flying[vni] = account
            room = self.settings.batch_max - len(upserts) - len(deletes)
            for logical in account.unapplied.take(room, now_ms):
                physical = account.mirror.kept.get(logical)
                if physical is None:
                    deletes.append(TableKey(vni, logical))
                else:
                    upserts.append(TableEntry(vni, logical, physical))
        removed = tuple(sorted(self.removals)) if is_retry_due else ()
        program = Program(tuple(ensured), tuple(upserts), tuple(deletes), removed)
        if not program:
            return None
        self._flying = flying
        return program

    def settle(self, done: Programmed, now_ms: int) -> tuple[list[ServedAccount], list[str]]:
        """The batch came back; answers with its accounts, and with those that are gone from the kernel now."""
        rejected: dict[int, set[str]] = {}
        for (vni, logical), _ in done.rejected:
            rejected.setdefault(vni, set()).add(logical)
        accounts = list((self._flying or {}).values())
        for vni, account in (self._flying or {}).items():
            if vni in done.cause.ensured and vni not in self.removals:
                account.is_ensured = vni not in done.failed
            account.unapplied.settle(rejected.get(vni, set()), now_ms)
            if account.is_ensured and not account.unapplied:
                self._behind.pop(account.name, None)
        self._flying = None
        self._failures = self._failures + 1 if done.failed else 0
        self._retry_ms = now_ms + self.settings.backoff.pause_ms(self._failures) if self._failures else 0
        left = [self.removals.pop(vni, "") for vni in done.cause.removed if vni not in done.failed]
        return accounts, [name for name in left if name]

    def next_dump(self, now_ms: int) -> DumpTable | None:
        """Read the table back, when an audit is due."""
        if self._is_dumping or self._audit_ms is None or now_ms < self._audit_ms:
            return None
        self._is_dumping = True
        self._audit_ms = None
        return DumpTable()

    def dumped(self, table: Table | None, now_ms: int) -> int:
        """Judge the table that was read; answers with how many entries were not there. None is read again."""
        self._is_dumping = False
        if table is None:
            self.audit(now_ms + self.settings.confirm_after_ms)
            return 0
        by_vni = {account.vni: account for account in self.accounts.values() if account.vni is not None}
        desired = {vni: account.mirror.kept for vni, account in by_vni.items() if account.is_settled}
        found = reconcile(desired, {vni: entries for vni, entries in table.items() if self._is_judged(vni, by_vni)})
        for vni in desired.keys() - table.keys():
            by_vni[vni].is_ensured = False
            self.touch(by_vni[vni].name)
        for entry in found.upserts:
            self._again(by_vni[entry.vni], entry.logical)
        for key in found.deletes:
            if key in self._suspects:
                self._again(by_vni[key.vni], key.logical)
        for vni in found.strays:
            if vni in self._suspects:
                self.remove(vni)
        seen: frozenset[TableKey | int] = frozenset([*found.deletes, *found.strays])
        self._suspects = doubted = seen - self._suspects
        self.audit(now_ms + (self.settings.confirm_after_ms if doubted else self.settings.audit_every_ms))
        return len(found.upserts)

    def deadline_ms(self, now_ms: int) -> int | None:
        """When `next` or `next_dump` has something to answer, as far as is known."""
        due = [] if self._is_dumping or self._audit_ms is None else [self._audit_ms]
        if self._flying is None:
            if self.removals:
                due.append(max(now_ms, self._retry_ms))
            for name in self._behind:
                account = self.accounts.get(name)
                if account is None or account.vni is None or account.vni in self.removals:
                    continue
                if account.is_ensured:
                    due += [at for at in (account.unapplied.deadline_ms(now_ms),) if at is not None]
                elif account.is_scanned:
                    due.append(max(now_ms, self._retry_ms))
        return min(due, default=None)

    def _is_judged(self, vni: int, by_vni: dict[int, ServedAccount]) -> bool:
        if vni in self.removals:
            return False
        account = by_vni.get(vni)
        if account is not None:
            return account.is_settled
        return all(account.is_scanned for account in self.accounts.values())

    def _again(self, account: ServedAccount, logical: str) -> None:
        account.unapplied.mark(logical, UNKNOWN_REVISION)
        self.touch(account.name)

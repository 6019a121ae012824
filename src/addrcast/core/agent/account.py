"""One account as its host serves it: the mirror, what the kernel lacks of it, how far it is complete."""

from __future__ import annotations

from addrcast.core.dataplane.compile import mapped_physical
from addrcast.core.dataplane.unapplied import Backoff, Unapplied
from addrcast.core.domain.record import Entry, Record, Subscription
from addrcast.core.propagation.mirror import AccountMirror, Snapshot


class ServedAccount:
    """An account that this host is subscribed to.

    `vni` is None until its declaration was seen. `scan` numbers the snapshot that is waited for. `is_ensured` is
    whether the kernel has what the entries hang on. `is_urgent` is whether somebody waits for the next
    acknowledgement.
    """

    __slots__ = (
        "is_ensured",
        "is_scanned",
        "is_urgent",
        "mirror",
        "name",
        "scan",
        "subscription",
        "unapplied",
        "unreadable",
        "vni",
    )

    def __init__(self, name: str, *, backoff: Backoff, removal_max: int) -> None:
        self.name = name
        self.subscription: Entry[Subscription] = Entry("")
        self.vni: int | None = None
        self.mirror: AccountMirror[str] = AccountMirror(mapped_physical, removal_max=removal_max)
        self.unapplied = Unapplied(backoff)
        self.unreadable: dict[str, int] = {}
        self.scan = 0
        self.is_scanned = False
        self.is_ensured = False
        self.is_urgent = True

    @property
    def is_leaving(self) -> bool:
        """The host clears its tables of this account."""
        return self.subscription.value is not None and self.subscription.value.is_leaving

    def begin(self, scan: int, epoch: int) -> None:
        """A snapshot is asked for."""
        self.scan = scan
        self.is_scanned = False
        self.mirror.begin(epoch)

    def adopt(self, snapshot: Snapshot, unreadable: dict[str, int], *, present: dict[str, str] | None) -> None:
        """Take a snapshot; what it changes is yet to be programmed. Raises Stale."""
        for logical in self.mirror.adopt(snapshot, present=present):
            self.unapplied.mark(logical, snapshot.revision)
        self.unreadable = unreadable
        self.is_scanned = True

    def change(self, logical: str, record: Record | None, revision: int) -> None:
        """Take one change of a record."""
        self.unreadable.pop(logical, None)
        if self.mirror.change(logical, record, revision):
            self.unapplied.mark(logical, revision)

    def mark_all(self, revision: int) -> None:
        """Every entry is yet to be programmed, since the virtual network is another."""
        for logical in self.mirror.kept:
            self.unapplied.mark(logical, revision)

    def applied_revision(self, cursor: int) -> int | None:
        """Up to which revision the account is complete in the kernel; None while that cannot be said.

        `cursor` is how far the watch has come. An account without a declaration is complete while nothing of it is
        to be translated.
        """
        if not self.mirror.is_synced or not (self.is_ensured or (self.vni is None and not self.mirror.kept)):
            return None
        floors = [self.unapplied.floor() if self.is_ensured else None, *self.unreadable.values()]
        revisions = [floor - 1 for floor in floors if floor is not None]
        return min([max(cursor, self.mirror.revision), *revisions])

    @property
    def is_settled(self) -> bool:
        """What is desired is known, and the kernel has been told where to keep it."""
        return self.is_ensured and self.mirror.is_synced and not self.is_leaving

    @property
    def is_tried(self) -> bool:
        """Every entry is in the kernel or was refused by it; what is undeclared has nothing to try."""
        return self.is_scanned and (self.vni is None or (self.is_ensured and not self.unapplied.is_untried))

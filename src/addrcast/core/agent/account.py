"""One account as its host serves it: the mirror, what the kernel lacks of it, how far it is complete."""

from __future__ import annotations

from addrcast.core.agent.settings import AgentSettings
from addrcast.core.dataplane.compile import mapped_physical
from addrcast.core.dataplane.unapplied import Unapplied
from addrcast.core.domain.record import Entry, Record, Subscription
from addrcast.core.propagation.mirror import AccountMirror, Snapshot

UNKNOWN_REVISION = 0
"""Stands for the revision of a change that a snapshot or an audit showed: it is older, who knows how much."""


class ServedAccount:
    """An account that this host is subscribed to.

    `vni` is None until its declaration was seen. `denials` counts how often it could not be read for want of
    rights, since it last could. `scan` numbers the snapshot that is waited for. `is_ensured` is whether the kernel
    has what the entries hang on. `unreadable` are records that a newer version wrote, by the revision at which they
    were met. `awaited` are revisions that somebody waits to see acknowledged, ascending.
    """

    __slots__ = (
        "_settings",
        "awaited",
        "denials",
        "is_ensured",
        "is_scanned",
        "mirror",
        "name",
        "scan",
        "subscription",
        "unapplied",
        "unreadable",
        "vni",
    )

    def __init__(self, name: str, settings: AgentSettings) -> None:
        self.name = name
        self.subscription: Entry[Subscription] = Entry("")
        self.vni: int | None = None
        self.denials = 0
        self._settings = settings
        self.forget()

    def forget(self) -> None:
        """The kernel has, or is about to have, nothing of the account."""
        self.mirror: AccountMirror[str] = AccountMirror(mapped_physical, removal_max=self._settings.removal_max)
        self.unapplied = Unapplied(self._settings.backoff)
        self.unreadable: dict[str, int] = {}
        self.scan = 0
        self.is_scanned = False
        self.is_ensured = False
        self.awaited: list[int] = [UNKNOWN_REVISION]

    @property
    def is_leaving(self) -> bool:
        """The host clears its tables of this account."""
        return self.subscription.value is not None and self.subscription.value.is_leaving

    @property
    def is_settled(self) -> bool:
        """What is desired is known, and the kernel has been told where to keep it."""
        return self.is_ensured and self.mirror.is_synced and not self.is_leaving

    @property
    def is_tried(self) -> bool:
        """No entry is doubted; each is in the kernel or was refused by it, and what is undeclared has none.

        Never so while the account is being left: its entries are about to go.
        """
        return (
            self.is_scanned
            and not self.is_leaving
            and self.mirror.is_synced
            and (self.vni is None or (self.is_ensured and not self.unapplied.is_untried))
        )

    def begin(self, scan: int, epoch: int) -> None:
        """A snapshot is asked for, or will be (`scan` 0): until it comes, nothing can be said of the account."""
        self.scan = scan
        self.is_scanned = False
        self.awaited = [UNKNOWN_REVISION]
        self.mirror.begin(epoch)

    def adopt(self, snapshot: Snapshot, *, present: dict[str, str] | None) -> None:
        """Take a snapshot; what it changes is yet to be programmed. Raises Stale.

        A snapshot does not say since when an entry is wrong: until it is right, nothing is complete.
        """
        for logical in self.mirror.adopt(snapshot, present=present):
            self.unapplied.mark(logical, UNKNOWN_REVISION)
        self.is_scanned = True

    def change(self, logical: str, record: Record | None, revision: int) -> None:
        """Take one change of a record."""
        self.unreadable.pop(logical, None)
        if self.mirror.change(logical, record, revision):
            self.unapplied.mark(logical, revision)

    def answers(self, revision: int) -> bool:
        """Whether somebody waited for an acknowledgement of `revision` or an earlier one; then they do no more."""
        still = [awaited for awaited in self.awaited if awaited > revision]
        is_answer, self.awaited = len(still) < len(self.awaited), still
        return is_answer

    def mark_all(self) -> None:
        """Every entry is yet to be programmed, since the virtual network is another."""
        for logical in self.mirror.kept:
            self.unapplied.mark(logical, UNKNOWN_REVISION)

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

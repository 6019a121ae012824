"""The kernel port: what every translation table of a host must promise, and the contract suite checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from addrcast.core.dataplane.table import Rejected, Table, TableEntry, TableKey


class Kernel(Protocol):
    """The translation table of this host: (VNI, logical) -> physical.

    Only entries that bear our mark are seen and touched. They outlive the process: a restarted agent finds them by
    `dump`. Any method may raise Unavailable; then what it was to change may be changed in part, and every change
    may be repeated.
    """

    async def ensure_account(self, vni: int) -> None:
        """Make what an account's entries hang on (a namespace, a map key); nothing where it is there."""
        ...

    async def remove_account(self, vni: int) -> None:
        """Remove an account with all of its entries; nothing where it is not there."""
        ...

    async def upsert(self, entries: Sequence[TableEntry]) -> tuple[Rejected, ...]:
        """Write entries in the order given, each replacing what its key had without a moment of absence.

        Answers with the entries that were not written; the others are. An account that was not ensured has its
        entries rejected.
        """
        ...

    async def delete(self, keys: Sequence[TableKey]) -> tuple[Rejected, ...]:
        """Remove entries; one that is not there counts as removed, one without our mark is left alone.

        Answers with the keys that are still there though they bear our mark.
        """
        ...

    async def dump(self) -> Table:
        """Every account that was ensured, with its entries as the kernel has them now."""
        ...

    def disturbances(self) -> AsyncGenerator[str, None]:
        """What else than this process has changed our entries (a link that went down), as it is noticed.

        Each is a reason to compare the whole table again. Ends only by being closed.
        """
        ...

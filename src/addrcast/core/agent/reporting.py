"""What a host says of its attachments while a restored store is closed: by account, and that this is all."""

from __future__ import annotations

from collections.abc import Mapping

from addrcast.core.domain.keyspace import attachments_key, host_report_key
from addrcast.core.domain.record import Attached, Attachments, Entry, Host, HostReport, StoreEpoch
from addrcast.core.domain.transaction import Transaction
from addrcast.core.domain.transitions_epoch import report_attachments, report_host


class Reporting:
    """The report of one host; `attached` is None while nobody has said what it has."""

    __slots__ = ("_accounts", "_host", "_incarnation", "attached", "report")

    def __init__(self, host: str) -> None:
        self._host = host
        self._incarnation = 0
        self._accounts: set[str] = set()
        self.attached: Mapping[str, tuple[Attached, ...]] | None = None
        self.report: Entry[HostReport] = Entry(host_report_key(host))

    def transactions(self, epoch: Entry[StoreEpoch], host: Entry[Host]) -> tuple[Transaction, ...]:
        """What to write, in this order: a report that stands says that all lists do."""
        number, incarnation = epoch.required.epoch, host.required.incarnation
        if incarnation != self._incarnation:  # what was said before is void
            self._incarnation = incarnation
            self._accounts.clear()
        present = self._present
        self._accounts |= present.keys()
        drafts = [
            report_attachments(
                epoch,
                host,
                Entry(attachments_key(self._host, account)),
                Attachments(epoch=number, incarnation=incarnation, attached=present.get(account, ())),
            )
            for account in sorted(self._accounts)
        ]
        drafts.append(report_host(epoch, host, self.report, self._report(number, incarnation)))
        return tuple(draft.transaction() for draft in drafts)

    def written(self, epoch: Entry[StoreEpoch], host: Entry[Host], revision: int) -> None:
        """The report stands at a revision."""
        value = self._report(epoch.required.epoch, host.required.incarnation)
        self.report = Entry(self.report.key, value, revision, self.report.created or revision)

    @property
    def _present(self) -> dict[str, tuple[Attached, ...]]:
        return {account: attached for account, attached in (self.attached or {}).items() if attached}

    def _report(self, epoch: int, incarnation: int) -> HostReport:
        before = self.report.value
        return HostReport(
            epoch=epoch,
            incarnation=incarnation,
            is_known=self.attached is not None,
            accounts=len(self._present),
            # an operator's word is for the epoch, however often the agent starts anew in it
            is_accepted=before is not None and before.epoch == epoch and before.is_accepted,
        )

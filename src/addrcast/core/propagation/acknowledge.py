"""Which revision of each account this host has in its tables, and when to say so."""

from __future__ import annotations


class Acknowledgements:
    """Applied revisions on their way to the store.

    One write serves all revisions of an account since the last: they wait for `after_ms`, unless somebody waits
    for this one (an instance that was just placed, an address that cools), when the newest goes at once.
    """

    __slots__ = ("_after_ms", "_due_ms", "_pending", "_reassure_ms", "_written")

    def __init__(self, *, after_ms: int) -> None:
        self._after_ms = after_ms
        self._written: dict[str, int] = {}
        self._pending: dict[str, int] = {}
        self._due_ms: dict[str, int] = {}
        self._reassure_ms: dict[str, int] = {}

    def applied(self, account: str, revision: int, now_ms: int, *, is_urgent: bool) -> None:
        """The account is complete in the tables up to `revision`."""
        if revision > self._written.get(account, -1):
            self._offer(account, revision, now_ms if is_urgent else now_ms + self._after_ms)

    def take(self, now_ms: int) -> list[tuple[str, int]]:
        """What is due: accounts in ascending order, each with its revision; then it is on its way."""
        for account in [account for account, due_ms in self._reassure_ms.items() if due_ms <= now_ms]:
            del self._reassure_ms[account]
            if account in self._written:
                self._offer(account, self._written[account], now_ms)
        due = sorted(account for account, due_ms in self._due_ms.items() if due_ms <= now_ms)
        for account in due:
            del self._due_ms[account]
        return [(account, self._pending.pop(account)) for account in due]

    def written(self, account: str, revision: int) -> None:
        """The store has it."""
        self._written[account] = max(revision, self._written.get(account, revision))

    def failed(self, account: str, revision: int, *, due_ms: int) -> None:
        """The store did not take it; say it again, or what is newer by then."""
        self._offer(account, revision, due_ms)

    def reassure(self, account: str, *, due_ms: int) -> None:
        """A write without an answer may still land and put an older revision over a newer one: repeat it later."""
        self._reassure_ms[account] = due_ms

    def void(self) -> None:
        """A new epoch or incarnation: what was written before says nothing any more, what is pending is void."""
        for revisions in (self._written, self._pending, self._due_ms, self._reassure_ms):
            revisions.clear()

    def forget(self, account: str) -> None:
        """The host serves the account no more."""
        for revisions in (self._written, self._pending, self._due_ms, self._reassure_ms):
            revisions.pop(account, None)

    def deadline_ms(self) -> int | None:
        """When the next one is due."""
        return min([*self._due_ms.values(), *self._reassure_ms.values()], default=None)

    def _offer(self, account: str, revision: int, due_ms: int) -> None:
        self._pending[account] = max(revision, self._pending.get(account, revision))
        self._due_ms[account] = min(due_ms, self._due_ms.get(account, due_ms))

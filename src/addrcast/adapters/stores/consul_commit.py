"""Committing to Consul: transactions packed into few of its own, losers found and judged alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.adapters.stores.consul_compile import Compiler, blind_deletes, check_sizes, mark, packs
from addrcast.core.domain.errors import AddrcastError, OutcomeUnknown, Stale, Unavailable
from addrcast.core.domain.transaction import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from addrcast.adapters.stores.consul_compile import Compiled
    from addrcast.adapters.stores.consul_http import ConsulHttp
    from addrcast.adapters.stores.consul_read import Reader, Snapshot
    from addrcast.adapters.stores.consul_wire import Answer, Layout
    from addrcast.core.domain.transaction import Transaction

_TRIES = 200
_RETRY_MS = 100
# Source: kvsCheckSessionTxn in Consul's agent/consul/state/kvs.go
_LEASE_IS_OVER = ("failed to check session", "failed session check")


class Committer:
    """Commits transactions.

    What Consul refused it did not carry out, so that may be repeated; what got no answer is never repeated.
    """

    def __init__(self, http: ConsulHttp, layout: Layout, reader: Reader) -> None:
        self._http = http
        self._layout = layout
        self._reader = reader

    async def commit(self, transactions: Sequence[Transaction], sessions: Mapping[int, str]) -> list[Result]:
        """See Store.commit; `sessions` are those of the leases that are put under."""
        compiler = Compiler(self._layout, sessions)
        compiled = [compiler.largest(transaction) for transaction in transactions]
        check_sizes(transactions, compiled)
        results: list[Result] = []
        for run in packs(transactions, compiled):
            pack = _Pack(compiler, transactions[run.start : run.stop], compiled[run.start : run.stop])
            try:
                results += await self._carry_out(pack)
            except AddrcastError as error:
                if isinstance(error, OutcomeUnknown) or not any(result.is_success for result in results):
                    raise
                what = f"some transactions of the call were carried out, then: {error}"
                raise OutcomeUnknown(what, retry_after_ms=_RETRY_MS) from None
        return results

    async def _carry_out(self, pack: _Pack) -> list[Result]:
        for _ in range(_TRIES):
            refused = await self._try(pack)
            if refused:
                compared = {compare.key for each in refused for compare in pack.open[each].compares}
                blind = blind_deletes(pack.open[each] for each in refused)
                pack.judge(refused, await self._reader.keys(compared | blind))
            if not pack.open:
                return pack.results()
        raise Unavailable("other writers are faster again and again", retry_after_ms=_RETRY_MS)

    async def _try(self, pack: _Pack) -> set[int]:
        """Carry out all that is open, or nothing; then, which transactions stood in the way, or change nothing."""
        blind = blind_deletes(pack.open.values())
        there = (await self._reader.keys(blind)).items if blind else ()
        operations, owners = pack.operations({item.key: item.mod_revision for item in there})
        if not operations:
            return set(pack.open)
        answer = await self._http.write([*operations, mark(self._layout)])
        if answer.errors:
            return _refused(answer, owners)
        pack.succeed(answer.entries()[-1].modify_index)
        return set()


class _Pack:
    """Transactions that go to Consul together, and what became of them. `open` are those still to be decided."""

    def __init__(
        self, compiler: Compiler, transactions: Sequence[Transaction], compiled: Sequence[Compiled]
    ) -> None:
        self.open = dict(enumerate(transactions))
        self._compiled = compiled
        self._compiler = compiler
        self._results: dict[int, Result] = {}

    def operations(self, present: Mapping[str, int]) -> tuple[list[bytes], list[list[int]]]:
        """The operations, checks first, and whose each is; none where nothing would be changed."""
        checks: dict[bytes, list[int]] = {}
        writes: list[tuple[bytes, list[int]]] = []
        for number, transaction in self.open.items():
            compiled = self._compiled[number]
            if blind_deletes([transaction]):
                compiled = self._compiler.compile(transaction, present)
            for check in compiled.checks:
                checks.setdefault(check, []).append(number)
            writes += [(write, [number]) for write in compiled.writes]
        if not writes:
            return [], []
        everything = [*checks.items(), *writes]
        return [operation for operation, _ in everything], [owners for _, owners in everything]

    def succeed(self, revision: int) -> None:
        """All that was open was carried out."""
        for number in self.open:
            self._results[number] = Result(is_success=True, revision=revision)
        self.open.clear()

    def judge(self, numbers: set[int], snapshot: Snapshot) -> None:
        """Decide the transactions that fail at a state, or that succeed at it without changing anything."""
        found = {item.key: item for item in snapshot.items}
        present = {item.key: item.mod_revision for item in snapshot.items}
        for number in numbers:
            transaction = self.open[number]
            current = tuple(found.get(compare.key) for compare in transaction.compares)
            is_met = all(present.get(compare.key, 0) == compare.revision for compare in transaction.compares)
            if not is_met:
                self._results[number] = Result(is_success=False, revision=snapshot.revision, current=current)
            elif not self._compiler.compile(transaction, present).writes:
                self._results[number] = Result(is_success=True, revision=snapshot.revision)
            else:
                continue  # what stood in the way is gone: to be tried again
            del self.open[number]

    def results(self) -> list[Result]:
        """The results in the order of the transactions."""
        return [self._results[number] for number in sorted(self._results)]


def _refused(answer: Answer, owners: list[list[int]]) -> set[int]:
    """The transactions with an operation that failed. Raises Stale where it was for a lease that is over."""
    refused: set[int] = set()
    for error in answer.errors or ():
        if error.what.startswith(_LEASE_IS_OVER):
            raise Stale(f"a lease is over; ask for a new one: {error.what}")
        refused.update(owners[error.op_index] if error.op_index < len(owners) else ())
    if not refused:
        raise Unavailable(f"Consul refuses: {answer.errors}", retry_after_ms=_RETRY_MS)
    return refused

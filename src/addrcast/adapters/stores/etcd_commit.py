"""Commits to etcd: concurrent calls grouped, a few groups on their way, each call answered by itself."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from grpc import aio

from addrcast.adapters.stores.etcd_encode import encode_flat
from addrcast.adapters.stores.etcd_failure import Failure, failure_of, raised_for, words_of
from addrcast.adapters.stores.etcd_group import Call, Group, Part
from addrcast.adapters.stores.etcd_judge import compared_keys, flat_results, nested_request, nested_results
from addrcast.adapters.stores.etcd_keys import item_reader
from addrcast.adapters.stores.etcd_read import Reader
from addrcast.core.domain.errors import AddrcastError, OutcomeUnknown, Stale, Unavailable
from addrcast.core.domain.transaction import Put

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from addrcast.adapters.stores.etcd_cluster import Cluster
    from addrcast.adapters.stores.etcd_lease import Leases
    from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
    from addrcast.core.domain.transaction import KeyValue, Result, Transaction

GROUPS_MAX = 4
# how long a watch lets the answers to commits pass it
ANSWERED_S = 0.02
_LOGINS_MAX = 2
_NAMED_MAX = 3
# refusals that one call may have brought on all calls of its group
_FOR_ONE_CALL = (Failure.NO_SPACE, Failure.DENIED, Failure.NO_LEASE, Failure.REFUSED)


class Refused(Exception):
    """etcd has certainly not carried out a group."""

    def __init__(self, failure: Failure, what: str) -> None:
        super().__init__(what)
        self.failure = failure


class Committer:
    """Carries out calls of `commit`. What comes in while GROUPS_MAX groups are on their way forms the next ones.

    The transactions of a call that cannot be in one group are in groups that follow each other, so that they are
    judged in order. A call that puts under leases has its groups for itself. `revision` is the highest one seen.
    """

    def __init__(self, cluster: Cluster, leases: Leases, root: bytes) -> None:
        self.revision = 0
        self._cluster = cluster
        self._leases = leases
        self._root = root
        self._item_of = item_reader(root)
        self._reader = Reader(cluster, root)
        self._waiting: deque[Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_awake = False
        self._is_stopped = False

    def submit(self, transactions: Sequence[Transaction], leases: Sequence[int]) -> asyncio.Future[list[Result]]:
        """The results of a call, once they are there."""
        call = Call(transactions, leases, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._wake()
        return call.future

    async def answered(self, revision: int) -> None:
        """Wait, if not for long, until the callers of what was written up to a revision have their answers.

        A caller that knows what it wrote need not decode what a watch shows of it.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + ANSWERED_S
        while self._tasks and self.revision < revision and (left_s := end - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(3):  # the group settles, its callers wake up, they note what they wrote
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Wait for the groups that are on their way; the rest is told that the store is closed."""
        self._is_stopped = True
        for call in self._waiting:
            _fail(call, Unavailable("the etcd store is closed", retry_after_ms=1_000))
        self._waiting.clear()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _wake(self) -> None:
        """Form groups once whatever is ready to run now has run, so that they fill."""
        if not self._is_awake:
            self._is_awake = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_awake = False
        while self._waiting and len(self._tasks) < GROUPS_MAX:
            parts = self._next_parts()
            if parts:
                task = asyncio.get_running_loop().create_task(self._carry_out(parts))
                self._tasks.add(task)
                task.add_done_callback(self._finished)

    def _next_parts(self) -> list[Part]:
        group = Group(self._root, is_nested=self._cluster.nests)
        passed: list[Call] = []
        while self._waiting and not group.is_full:
            call = self._waiting.popleft()
            if call.future.done():  # the caller has gone
                continue
            if not call.transactions:
                call.future.set_result([])
            elif (call.leases and group.parts) or not group.take(call):
                passed.append(call)
            elif call.leases:
                break
        self._waiting.extendleft(reversed(passed))
        return group.parts

    async def _carry_out(self, parts: list[Part]) -> None:
        before, is_alone = self.revision, len(parts) == 1
        try:
            for part in parts:
                if part.call.leases and not part.call.results:
                    await self._leases.check(part.call.leases)
            results = await self._judged(parts)
        except Refused as refusal:
            if refusal.failure is Failure.NO_SPACE:
                parts = await self._not_done(parts, refusal, before)
            if not is_alone and refusal.failure in _FOR_ONE_CALL:
                for part in parts:
                    await self._carry_out([part])
                return
            self._give_up(parts, _error_of(refusal, parts))
        except Exception as error:  # a bug too is told to those who wait
            self._give_up(parts, error)
        else:
            self._settle(parts, results)

    async def _not_done(self, parts: list[Part], refusal: Refused, before: int) -> list[Part]:
        """The parts of a group refused for want of space that were not carried out; the rest is told of the doubt.

        The request that crosses the quota is carried out, and refused all the same. `before` is a revision from
        before it was sent. Source: quotaApplierV3.Txn in server/etcdserver/apply.go of etcd 3.5.
        """
        keys = {write.key for part in parts for each in part.transactions for write in each.writes}
        try:
            now = {item.key: item for item in (await self._reader.read(sorted(keys))).items}
        except AddrcastError:
            self._give_up(parts, raised_for(Failure.LOST, str(refusal), wrote=True))
            return []
        clear = []
        for part in parts:
            if all(_is_undone(each, now, before) for each in part.transactions):
                clear.append(part)
            else:
                self._give_up([part], raised_for(Failure.LOST, str(refusal), wrote=True))
        return clear

    def _settle(self, parts: list[Part], results: list[Result]) -> None:
        begin = 0
        for part in reversed(parts):  # those that go on stand in front, in their order
            call, count = part.call, len(part.transactions)
            begin -= count
            mine = results[begin : begin + count or None]
            call.results += mine
            if call.future.done():
                continue
            if len(call.results) == len(call.transactions):
                call.future.set_result(call.results)
                continue
            call.has_written |= any(
                result.is_success and each.writes for result, each in zip(mine, part.transactions, strict=True)
            )
            if self._is_stopped:
                _fail(call, Unavailable("the etcd store is closed", retry_after_ms=1_000))
            else:
                self._waiting.appendleft(call)

    def _give_up(self, parts: list[Part], error: Exception) -> None:
        for part in parts:
            _fail(part.call, error)

    async def _judged(self, parts: list[Part]) -> list[Result]:
        """The results of all transactions of a group. Raises Refused, OutcomeUnknown, Unavailable."""
        bodies = [body for part in parts for body in part.bodies]
        if self._cluster.nests or len(bodies) == 1:
            grouped = (each for part in parts for each in part.transactions)
            answer = await self._send(nested_request(bodies, grouped, self._root))
            return nested_results(len(bodies), answer, self._item_of)
        left = dict(enumerate(each for part in parts for each in part.transactions))
        results: dict[int, Result] = {}
        while left:
            transactions = list(left.values())
            keys = compared_keys(transactions)
            answer = await self._send(encode_flat(transactions, keys, self._root))
            judged = flat_results(transactions, keys, answer, self._item_of)
            results |= {number: result for number, result in zip(left, judged, strict=True) if result is not None}
            left = {number: each for number, each in left.items() if number not in results}
        return [results[number] for number in range(len(bodies))]

    async def _send(self, request: bytes) -> wire.TxnResponse:
        """The answer to a transaction, which is sent again only where it was certainly not carried out."""
        logins = tries = 0
        while True:
            member = await self._cluster.ready()
            used = self._cluster.login.metadata
            try:
                answer = await member.txn(request, timeout=self._cluster.deadline_s, metadata=used)
            except aio.AioRpcError as error:
                failure = failure_of(error)
                if failure in (Failure.LOST, Failure.AWAY):
                    self._cluster.leave(member)
                if failure is Failure.TOKEN and logins < _LOGINS_MAX:
                    logins += 1
                    await self._cluster.login.renew(member, used=used)
                elif failure is Failure.AWAY and tries < len(self._cluster.members):
                    tries += 1
                else:
                    raise Refused(failure, f"{member.endpoint}: {words_of(error)}") from None
            else:
                self.revision = max(self.revision, answer.header.revision)
                return answer

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting:
            self._wake()


def _is_undone(transaction: Transaction, now: Mapping[str, KeyValue], before: int) -> bool:
    """Whether a transaction was certainly not carried out: something that it writes stands as it did before."""
    if not transaction.writes:
        return True
    compared = {compare.key: compare.revision for compare in transaction.compares}
    for write in transaction.writes:
        item = now.get(write.key)
        revision = 0 if item is None else item.mod_revision
        # a key that is gone says nothing of its removal
        if (item is not None or type(write) is Put) and (revision <= before or compared.get(write.key) == revision):
            return True
    return False


def _error_of(refusal: Refused, parts: list[Part]) -> AddrcastError:
    if refusal.failure is Failure.NO_LEASE:
        return Stale("a lease that is put under is over; ask for a new one")
    what = str(refusal)
    if refusal.failure in _FOR_ONE_CALL:
        written = (write.key for part in parts for each in part.transactions for write in each.writes)
        what = f"commit of {', '.join(islice(written, _NAMED_MAX)) or 'no key'}: {what}"
    return raised_for(refusal.failure, what, wrote=True)


def _fail(call: Call, error: Exception) -> None:
    if call.future.done():
        return
    if call.has_written and isinstance(error, AddrcastError) and not isinstance(error, OutcomeUnknown):
        what = f"{len(call.results)} of {len(call.transactions)} transactions were carried out, then: {error}"
        error = OutcomeUnknown(what, retry_after_ms=getattr(error, "retry_after_ms", 1_000))
    call.future.set_exception(error)

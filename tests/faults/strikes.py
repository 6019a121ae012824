"""How each fault is struck and mended, on a cluster, its proxies and the processes of a run."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING, TypeVar

from tests.faults.gateway import Refused
from tests.faults.history import Struck, now_ns
from tests.faults.schedule import MEMBER_FAULTS
from tests.faults.site import HOSTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tests.faults.cluster import Cluster, Member
    from tests.faults.processes import Process
    from tests.faults.proxy import Losses
    from tests.faults.schedule import Strike
    from tests.faults.witness import Witness

T = TypeVar("T")

BALLAST = "ballast."
BALLAST_BYTES = 1_000_000
PUTS = 4
BACK_S = 30.0
SEEN_S = 15.0
INSIST = 20


class Strikes:
    """Carries out a schedule: what befalls members one after the other, the rest beside it."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        losses: Losses,
        processes: Mapping[str, Process],
        witness: Witness,
        strike_log: Callable[[Struck], None],
    ) -> None:
        self._cluster = cluster
        self._losses = losses
        self._processes = processes
        self._witness = witness
        self._log = strike_log
        self._acts: dict[str, Callable[[Strike, Random], Awaitable[str]]] = {
            "kill-leader": self._kill_leader,
            "kill-follower": self._kill_follower,
            "cut-leader-from-peers": self._cut_leader_from_peers,
            "cut-leader-from-all": self._cut_leader_from_all,
            "stop-leader": self._stop_leader,
            "disk-full": self._fill_disk,
            "no-space": self._use_up_quota,
            "rolling-restart": self._restart_all,
            "lost-replies": self._lose_replies,
            "compaction": self._compact,
            "paused-process": self._pause_process,
            "slow-watcher": self._slow_down,
            "restarted-agent": self._restart_agent,
        }

    async def carry_out(self, schedule: Sequence[Strike]) -> None:
        """Strike, each in its time, and mend everything."""
        lanes = (
            [strike for strike in schedule if strike.kind in MEMBER_FAULTS],
            [strike for strike in schedule if strike.kind not in MEMBER_FAULTS],
        )
        begin = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(self._lane(lane, begin))
        finally:
            await asyncio.to_thread(self._cluster.mend)
        await self._all_back()

    async def _lane(self, lane: Sequence[Strike], begin: float) -> None:
        loop = asyncio.get_running_loop()
        for strike in lane:
            await asyncio.sleep(max(0.3, begin + strike.at_s - loop.time()))
            begun_ns = now_ns()
            what = await self._acts[strike.kind](strike, Random(strike.seed))
            self._log(Struck(kind=strike.kind, begun_ns=begun_ns, ended_ns=now_ns(), what=what))

    async def _all_back(self) -> None:
        await asyncio.to_thread(self._cluster.await_serving, within_s=BACK_S)

    async def _leader(self) -> Member:
        return await asyncio.to_thread(self._cluster.leader)

    async def _kill(self, member: Member, for_s: float) -> str:
        await asyncio.to_thread(member.server.kill)
        await asyncio.sleep(for_s)
        member.server.start()
        await self._all_back()
        return member.name

    async def _kill_leader(self, strike: Strike, _dice: Random) -> str:
        return await self._kill(await self._leader(), strike.for_s)

    async def _kill_follower(self, strike: Strike, dice: Random) -> str:
        leader = await self._leader()
        return await self._kill(
            dice.choice([each for each in self._cluster.members if each is not leader]), strike.for_s
        )

    async def _cut_leader_from_peers(self, strike: Strike, _dice: Random) -> str:
        leader = await self._leader()
        return await self._cut(leader, leader.cabin.cut_peers, strike.for_s)

    async def _cut_leader_from_all(self, strike: Strike, _dice: Random) -> str:
        leader = await self._leader()
        return await self._cut(leader, leader.cabin.cut_all, strike.for_s)

    async def _cut(self, leader: Member, cut: Callable[[], None], for_s: float) -> str:
        cut()
        await asyncio.sleep(for_s)
        leader.cabin.mend()
        await self._all_back()
        return leader.name

    async def _stop_leader(self, strike: Strike, _dice: Random) -> str:
        leader = await self._leader()
        leader.pause()
        await asyncio.sleep(strike.for_s)
        leader.proceed()
        await self._all_back()
        return leader.name

    async def _fill_disk(self, strike: Strike, dice: Random) -> str:
        """A member's disk fills up; what is written meanwhile makes it end, and it comes back on a freed one."""
        member = dice.choice(self._cluster.members)
        other = next(each for each in self._cluster.members if each is not member)
        member.fill_disk()
        loop = asyncio.get_running_loop()
        end = loop.time() + strike.for_s
        number = 0
        while loop.time() < end and member.server.is_running:
            number += 1
            await asyncio.to_thread(self._put, other, number % PUTS)
            await asyncio.sleep(0.05)
        has_ended = not member.server.is_running
        await asyncio.sleep(max(0.0, end - loop.time()))
        member.free_disk()
        member.ensure_running()
        await self._all_back()
        await self._throw_out_ballast()
        return f"{member.name} {'ended' if has_ended else 'went on'} after {number} writes"

    async def _use_up_quota(self, strike: Strike, _dice: Random) -> str:
        """Fill the database to its quota, until every member refuses writes; then make room as operators do."""
        leader = await self._leader()
        number = 0
        while not await _insist(leader.gateway.alarms):
            number += PUTS
            puts = (asyncio.to_thread(self._put, leader, place) for place in range(PUTS))
            await asyncio.gather(*puts)
        await asyncio.sleep(strike.for_s)
        await self._throw_out_ballast()
        await self._forget(await self._seen())
        for member in self._cluster.members:
            await _insist(member.gateway.defragment)
        while alarms := await _insist(leader.gateway.alarms):
            for alarm in alarms:
                await _insist(partial(leader.gateway.disarm, alarm))
        await self._all_back()
        return f"after {number} writes of {BALLAST_BYTES} bytes"

    def _put(self, member: Member, number: int) -> None:
        with suppress(Refused):
            member.gateway.put(f"{BALLAST}{number}", b"-" * BALLAST_BYTES)

    async def _throw_out_ballast(self) -> None:
        leader = await self._leader()
        await _insist(partial(leader.gateway.delete_prefix, BALLAST))

    async def _restart_all(self, strike: Strike, dice: Random) -> str:
        """One after the other ends and starts anew; etcd waits 7 s for open streams, a supervisor perhaps less."""
        members = dice.sample(self._cluster.members, len(self._cluster.members))
        for member in members:
            await asyncio.to_thread(member.server.stop, within_s=strike.for_s)
            member.server.start()
            await self._all_back()
            await asyncio.sleep(0.2)
        return " ".join(member.name for member in members)

    async def _lose_replies(self, strike: Strike, dice: Random) -> str:
        loop = asyncio.get_running_loop()
        end = loop.time() + strike.for_s
        before = self._losses.lost
        while loop.time() < end:
            self._losses.armed = 1
            await asyncio.sleep(dice.uniform(0.05, 0.3))
        self._losses.armed = 0
        return f"{self._losses.lost - before} connections"

    async def _compact(self, _strike: Strike, dice: Random) -> str:
        seen = await self._seen()
        await asyncio.sleep(dice.choice((0.0, 0.2)))
        return await self._forget(seen)

    async def _pause_process(self, strike: Strike, dice: Random) -> str:
        """A process stands still, as in a long pause for garbage or a move to another machine."""
        process = self._processes[dice.choice(("a", "b", "cloud"))]
        process.pause()
        await asyncio.sleep(strike.for_s)
        what = await self._forget(await self._seen()) if dice.random() < 0.7 else "nothing is forgotten"
        process.proceed()
        return f"{process.name}, {what}"

    async def _slow_down(self, strike: Strike, dice: Random) -> str:
        observer = self._processes["observer"]
        await observer.tell("hold")
        await asyncio.sleep(strike.for_s)
        what = await self._forget(await self._seen()) if dice.random() < 0.5 else "nothing is forgotten"
        await observer.tell("release")
        return what

    async def _restart_agent(self, strike: Strike, dice: Random) -> str:
        host = dice.choice(HOSTS)
        await self._processes["cloud"].tell(f"stop-agent {host}")
        await asyncio.sleep(strike.for_s)
        await self._processes["cloud"].tell(f"start-agent {host}")
        return host

    async def _seen(self) -> int:
        """A revision up to which the witness and the whole watchers have been told everything."""
        loop = asyncio.get_running_loop()
        end = loop.time() + SEEN_S
        revision, ours = self._witness.revision, self._witness.ours
        while loop.time() < end:
            if int(await self._processes["observer"].tell("seen")) >= ours:
                return revision
            await asyncio.sleep(0.05)
        raise RuntimeError(f"the watchers have not come to {ours} within {SEEN_S} s")

    async def _forget(self, revision: int) -> str:
        for member in self._cluster.members:
            with suppress(Refused):
                await asyncio.to_thread(member.gateway.compact, revision)
                return f"up to {revision}"
        return "no member would forget"


async def _insist(ask: Callable[[], T]) -> T:
    """Have a member do something that it may be too busy for at first. Raises Refused."""
    for _ in range(INSIST):
        with suppress(Refused):
            return await asyncio.to_thread(ask)
        await asyncio.sleep(0.2)
    return await asyncio.to_thread(ask)

"""Leases on Consul: a session each, and the removal of the keys of those that are over."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from secrets import randbelow
from typing import TYPE_CHECKING

import msgspec

from addrcast.adapters.stores.consul_compile import mark, removal
from addrcast.adapters.stores.consul_http import Denied
from addrcast.adapters.stores.consul_wire import LEASE_BITS, OPERATIONS_MAX, Operation, encode
from addrcast.core.domain.errors import AddrcastError, Invalid, Stale, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from addrcast.adapters.stores.consul_http import ConsulHttp
    from addrcast.adapters.stores.consul_read import Reader
    from addrcast.adapters.stores.consul_wire import Layout

log = logging.getLogger(__name__)

SESSION_MS_MIN = 10_000  # Consul's default `session_ttl_min`
_SESSION_MS_MAX = 86_400_000
_SWEEP_MS = 60_000
_RETRY_S = 1.0
_RETRY_MS = 500
_KEYS_AT_ONCE = (OPERATIONS_MAX - 2) // 4  # a check, a removal and its note, and the note of the lease


class Leases:
    """Leases are numbers drawn at random. Its session holds `lease/<number>`, which goes when the session ends.

    Keys put under it are then removed by a transaction of ours, like any others: so their removal has a revision,
    and watches see it. Consul would remove them itself, but nothing would tell when.
    """

    def __init__(self, http: ConsulHttp, layout: Layout, reader: Reader, *, session_ms_min: int) -> None:
        self._http = http
        self._layout = layout
        self._reader = reader
        self._session_ms_min = session_ms_min
        self._sessions: dict[int, str] = {}

    async def grant(self, *, ttl_ms: int) -> int:
        """See Store.grant; shorter times than Consul's least one are made longer."""
        if not 0 < ttl_ms <= _SESSION_MS_MAX:
            raise Invalid("ttl_ms", ttl_ms, f"a lease lasts 1 to {_SESSION_MS_MAX} ms")
        asked = {
            "Name": f"{self._layout.root}lease",
            "TTL": f"{max(ttl_ms, self._session_ms_min)}ms",
            "Behavior": "delete",
            "LockDelay": "0s",
            "Checks": [],  # the life of the agent that was asked says nothing of ours
        }
        response = await self._http.put("/v1/session/create", msgspec.json.encode(asked))
        session = str(msgspec.json.decode(response.body)["ID"])
        while True:
            lease = 1 + randbelow((1 << LEASE_BITS) - 1)
            place = self._layout.lease(lease)
            answer = await self._http.write(
                [
                    encode(Operation("check-not-exists", place)),
                    encode(Operation("lock", place, session.encode(), session=session)),
                ]
            )
            if not answer.errors:
                self._sessions[lease] = session
                return lease
            if all(error.op_index for error in answer.errors):
                raise Unavailable(f"the session ended at once: {answer.errors}", retry_after_ms=_RETRY_MS)

    async def keep_alive(self, lease: int) -> None:
        """See Store.keep_alive."""
        session = self._sessions.get(lease) or (await self.sessions([lease]))[lease]
        response = await self._http.put(f"/v1/session/renew/{session}")
        if response.status == HTTPStatus.NOT_FOUND:
            self._sessions.pop(lease, None)
            raise Stale(f"lease {lease} is over; ask for a new one")

    async def revoke(self, lease: int) -> None:
        """See Store.revoke."""
        try:
            session = (await self.sessions([lease]))[lease]
        except Stale:
            session = ""
        await self._end(lease)
        self._sessions.pop(lease, None)
        if session:
            await self._http.put(f"/v1/session/destroy/{session}")

    async def sessions(self, leases: Iterable[int]) -> dict[int, str]:
        """The sessions of leases, all of which last. Raises Stale."""
        places = {self._layout.lease(lease): lease for lease in leases}
        sessions: dict[int, str] = {}
        for begin in range(0, len(places), OPERATIONS_MAX):
            some = list(places)[begin : begin + OPERATIONS_MAX]
            entries = [entry for found in await self._reader.entries(*some) for entry in found]
            sessions |= {places[each.key]: (each.value or b"").decode() for each in entries if each.key in places}
        for lease in places.values():
            if lease not in sessions:
                self._sessions.pop(lease, None)
                raise Stale(f"lease {lease} is over; ask for a new one")
        self._sessions |= sessions
        return sessions

    async def sweep(self) -> None:
        """For ever: remove the keys of leases that are over, at once when one ends."""
        layout = self._layout
        index = 0
        foreign: set[int] = set()  # that the token may not end: whoever put under them may
        while True:
            try:
                index = await self._http.wait(layout.leases, index=index, wait_ms=_SWEEP_MS)
                alive, noted = await self._reader.entries(layout.leases, layout.leased)
                lasting = {entry.key for entry in alive}
                over = {layout.leased_pair(entry)[0] for entry in noted} - foreign
                for lease in over:
                    if layout.lease(lease) not in lasting:
                        foreign |= await self._end_if_allowed(lease)
            except AddrcastError as error:
                log.info("leases that are over are not removed: %s", error)
                index = 0
                await asyncio.sleep(_RETRY_S)

    async def _end_if_allowed(self, lease: int) -> set[int]:
        try:
            await self._end(lease)
        except Denied as denied:
            log.info("lease %s is over, and is for others to end: %s", lease, denied)
            return {lease}
        return set()

    async def _end(self, lease: int) -> None:
        """Remove the lease, so that nothing can be put under it any more, and what hangs on it."""
        layout = self._layout
        prefix = layout.leased_key(lease, "")
        while True:
            alive, noted = await self._reader.entries(layout.lease(lease), prefix)
            is_there = any(entry.key == layout.lease(lease) for entry in alive)
            keys = [layout.leased_pair(entry)[1] for entry in noted]
            if not keys and not is_there:
                return
            some = keys[:_KEYS_AT_ONCE]
            found = await self._reader.keys(some) if some else None
            operations = [encode(Operation("delete", layout.leased_key(lease, key))) for key in some]
            if is_there:
                operations.append(encode(Operation("delete", layout.lease(lease))))
            checks = []
            for item in found.items if found else ():
                if item.lease == lease:
                    checks.append(encode(Operation("check-index", layout.key(item.key), index=item.mod_revision)))
                    operations += removal(layout, item.key)
            if checks:
                operations.append(mark(layout))
            await self._http.write(checks + operations)  # where it is refused, a key has changed: look again

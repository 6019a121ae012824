"""Calls over a unix socket: errors as values, bounds, order, lost connections, and what may be asked again."""

from __future__ import annotations

import asyncio
import struct
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.core.assignment.answer import Created, Deleted, Placed
from addrcast.core.assignment.request import CreateRequest, DeleteRequest
from addrcast.core.domain.errors import (
    AddrcastError,
    Conflict,
    Exhausted,
    Invalid,
    OutcomeUnknown,
    Stale,
    Unavailable,
)
from addrcast.core.domain.record import Outcome
from addrcast.runtime.local_call import (
    ANSWERS,
    Answer,
    Ask,
    CreateCall,
    CreatedAnswer,
    DeleteCall,
    DeletedAnswer,
    Failure,
    ReadyAnswer,
    ReadyCall,
    StatusAnswer,
    StatusCall,
    failure_of,
    frame,
    read_frame,
)
from addrcast.runtime.local_call_client import LocalClient
from addrcast.runtime.local_call_server import LocalServer
from addrcast.runtime.local_call_socket import SocketFile
from addrcast.runtime.role_status import Status, StoreStatus
from addrcast.runtime.settings import SocketSection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from addrcast.runtime.local_call import Call

PLACED = Placed("10.0.0.1", "172.16.0.1", "h1", Outcome.SHADOW, 7)
STATUS = Status(
    role="api",
    version="1",
    pid=1,
    started_ms=1,
    is_ready=True,
    is_stopping=False,
    waits_for=(),
    store=StoreStatus(address="x", is_reached=True),
)


class Counter:
    """A desk of known behaviour: instances named `hold…` are answered once `open` is set, others at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.seen: list[Call] = []
        self.most = self._now = 0
        self.error: Exception | None = None

    async def answer(self, call: Call) -> CreatedAnswer | DeletedAnswer | ReadyAnswer | StatusAnswer:
        self.seen.append(call)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            if self.error is not None:
                raise self.error
            match call:
                case CreateCall(request):
                    if request.instance.startswith("hold"):
                        await self.open.wait()
                    return CreatedAnswer(Created(request.account, request.instance, request.attempt, (PLACED,), 9))
                case DeleteCall(gone):
                    if gone.instance.startswith("hold"):
                        await self.open.wait()
                    return DeletedAnswer(Deleted(gone.account, gone.instance, 0, ("10.0.0.1",), 10, is_change=True))
                case ReadyCall():
                    return ReadyAnswer(is_ready=True)
                case StatusCall():
                    return StatusAnswer(STATUS)
        finally:
            self._now -= 1


@asynccontextmanager
async def served(folder: Path, desk: Counter, **bounds: int) -> AsyncIterator[LocalServer]:
    section = msgspec.structs.replace(SocketSection(), **bounds)
    file = SocketFile(folder / "s", section)
    server = LocalServer(file, section, desk)
    running = asyncio.create_task(server.run())
    await asyncio.sleep(0)
    try:
        yield server
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        file.close()


def deadline(seconds: float = 10.0) -> int:
    return int((time.time() + seconds) * 1_000)


def create(instance: str, seconds: float = 10.0) -> CreateRequest:
    return CreateRequest(account="a", instance=instance, deadline_ms=deadline(seconds))


async def raw(folder: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(folder / "s"))


async def answered(reader: asyncio.StreamReader) -> Answer | None:
    body = await read_frame(reader, bytes_max=1 << 20)
    return None if body is None else ANSWERS.decode(body)


async def test_every_call_has_its_answer(tmp_path: Path) -> None:
    async with served(tmp_path, Counter()), LocalClient(tmp_path / "s") as client:
        created = await client.create(create("i"))
        assert created == Created("a", "i", 0, (PLACED,), 9)
        assert (await client.ready(created, deadline_ms=deadline())).is_ready
        deleted = await client.delete(DeleteRequest(account="a", instance="i", deadline_ms=deadline()))
        assert deleted.addresses == ("10.0.0.1",)
        assert await client.status() == STATUS


async def test_answers_come_as_they_are_ready_not_in_the_order_of_the_calls(tmp_path: Path) -> None:
    desk = Counter()
    async with served(tmp_path, desk), LocalClient(tmp_path / "s") as client:
        held = asyncio.create_task(client.create(create("hold")))
        quick = await asyncio.gather(*(client.create(create(f"i{number}")) for number in range(500)))
        assert [one.instance for one in quick] == [f"i{number}" for number in range(500)]
        assert not held.done()
        desk.open.set()
        assert (await held).instance == "hold"


ERRORS: list[AddrcastError] = [
    Invalid("field", "value", "rule"),
    Invalid("field", 7, "rule"),
    Exhausted("pool", asked=3, free=2, way_out="grow it"),
    Conflict("lost"),
    Stale("old"),
    Unavailable("away", retry_after_ms=77),
    OutcomeUnknown("perhaps", retry_after_ms=78),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_an_error_of_the_domain_arrives_with_its_fields(tmp_path: Path, error: AddrcastError) -> None:
    desk = Counter()
    desk.error = error
    async with served(tmp_path, desk), LocalClient(tmp_path / "s") as client:
        with pytest.raises(type(error)) as told:
            await client.create(create("i"))
    assert type(told.value) is type(error)
    assert (str(told.value), vars(told.value)) == (str(error), vars(error))


@given(
    st.text(), st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.binary(), st.lists(st.text())), st.text()
)
def test_any_invalid_can_be_sent(field: str, value: object, rule: str) -> None:
    sent = frame(Answer(1, failure_of(Invalid(field, value, rule))))
    failure = ANSWERS.decode(sent[4:]).answer
    assert isinstance(failure, Failure)
    assert isinstance(failure.raised(), Invalid)


async def test_a_caller_that_asks_for_too_much_at_once_is_read_no_further(tmp_path: Path) -> None:
    desk = Counter()
    bounds = {"requests_max": 6, "pipeline_max": 4}
    async with (
        served(tmp_path, desk, **bounds),
        LocalClient(tmp_path / "s") as one,
        LocalClient(tmp_path / "s") as two,
    ):
        calls = [
            asyncio.create_task(client.create(create(f"hold{number}")))
            for number in range(9)
            for client in (one, two)
        ]
        while desk.most < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(desk.seen) == 6
        desk.open.set()
        await asyncio.gather(*calls)
        assert desk.most == 6


async def test_too_many_connections_are_told_so(tmp_path: Path) -> None:
    async with served(tmp_path, Counter(), connections_max=1), LocalClient(tmp_path / "s") as first:
        await first.create(create("i"))
        async with LocalClient(tmp_path / "s") as second:
            with pytest.raises(Unavailable, match="there are 1 connections, as many as are allowed"):
                await second.create(create("j"))
        await first.create(create("k"))


LONG = struct.pack(">I", 1 << 30)


@pytest.mark.parametrize(
    ("sent", "rule"),
    [
        (LONG, "bytes are announced, at most 65536 are read"),
        (struct.pack(">I", 3) + b"abc", "unreadable"),
        (frame(Ask(0, StatusCall())), "numbers from 1"),
        (frame(Ask(1, StatusCall(), protocol=2)), "protocol 1"),
    ],
    ids=["long", "garbage", "number", "protocol"],
)
async def test_what_cannot_be_a_call_is_told_and_ends_its_connection_alone(
    tmp_path: Path, sent: bytes, rule: str
) -> None:
    async with served(tmp_path, Counter()), LocalClient(tmp_path / "s") as other:
        await other.create(create("i"))
        reader, writer = await raw(tmp_path)
        writer.write(sent)
        told = await answered(reader)
        assert told is not None
        assert told.number == 0
        assert isinstance(told.answer, Failure)
        assert rule in str(told.answer.raised())
        assert await answered(reader) is None
        writer.close()
        await other.create(create("j"))


async def test_a_caller_that_closes_its_side_still_gets_its_answers(tmp_path: Path) -> None:
    desk = Counter()
    async with served(tmp_path, desk):
        reader, writer = await raw(tmp_path)
        writer.write(frame(Ask(1, CreateCall(create("hold")))) + frame(Ask(2, StatusCall())))
        writer.write_eof()
        first = await answered(reader)
        assert first is not None
        assert first.number == 2
        desk.open.set()
        second = await answered(reader)
        assert second is not None
        assert second.number == 1
        assert await answered(reader) is None
        writer.close()


async def test_a_frame_that_ends_early_is_the_end_of_its_connection(tmp_path: Path) -> None:
    desk = Counter()
    async with served(tmp_path, desk) as server:
        _, writer = await raw(tmp_path)
        writer.write(frame(Ask(1, StatusCall()))[:-1])
        writer.close()
        while server.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert desk.seen == []


async def test_a_create_whose_connection_is_lost_is_asked_for_again_and_a_blind_delete_is_not(
    tmp_path: Path,
) -> None:
    desk = Counter()
    async with LocalClient(tmp_path / "s") as client:
        async with served(tmp_path, desk):
            created = asyncio.create_task(client.create(create("hold-1")))
            named = DeleteRequest(account="a", instance="hold-2", attempt=0, deadline_ms=deadline())
            exact = asyncio.create_task(client.delete(named))
            blind = asyncio.create_task(
                client.delete(DeleteRequest(account="a", instance="hold-3", deadline_ms=deadline()))
            )
            while len(desk.seen) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        with pytest.raises(OutcomeUnknown, match="look at what is bound"):
            await blind
        desk.open.set()
        async with served(tmp_path, desk):
            assert (await created).instance == "hold-1"
            assert (await exact).instance == "hold-2"
    asked = [call.request.instance for call in desk.seen if isinstance(call, CreateCall | DeleteCall)]
    assert sorted(asked) == ["hold-1", "hold-1", "hold-2", "hold-2", "hold-3"]


async def test_a_first_connection_that_nobody_takes_fails_at_once_with_the_way_out(tmp_path: Path) -> None:
    async with LocalClient(tmp_path / "s") as client:
        with pytest.raises(Unavailable, match=r"nobody answers at .*: start `addrcast serve`"):
            await client.create(create("i", seconds=3_600))


async def test_a_silent_server_is_waited_for_no_longer_than_the_deadline_and_some_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addrcast.runtime.local_call_client.GRACE_MS", 100)
    async with served(tmp_path, Counter()), LocalClient(tmp_path / "s") as client:
        with pytest.raises(OutcomeUnknown, match="did not answer in time"):
            await client.create(create("hold", seconds=0.1))


async def test_a_draining_server_answers_what_it_has_and_refuses_the_rest(tmp_path: Path) -> None:
    desk = Counter()
    async with served(tmp_path, desk) as server, LocalClient(tmp_path / "s") as client:
        held = asyncio.create_task(client.create(create("hold")))
        while not desk.seen:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        server.refuse()
        assert not (tmp_path / "s").exists()
        with pytest.raises(Unavailable, match="this process stops"):
            await client.create(create("i"))
        assert (await client.status()).role == "api"
        assert await server.settle(seconds=0.01) == 1
        desk.open.set()
        assert await server.settle(seconds=10) == 0
        await server.hang_up()
        assert (await held).instance == "hold"


async def test_a_bug_of_the_desk_ends_the_server(tmp_path: Path) -> None:
    desk = Counter()
    desk.error = ZeroDivisionError("a bug")
    section = SocketSection()
    file = SocketFile(tmp_path / "s", section)
    running = asyncio.create_task(LocalServer(file, section, desk).run())
    await asyncio.sleep(0)
    async with LocalClient(tmp_path / "s") as client:
        with pytest.raises((OutcomeUnknown, Unavailable)):
            await client.delete(DeleteRequest(account="a", instance="i", deadline_ms=deadline()))
        with pytest.raises(ExceptionGroup) as ended:
            await running
    file.close()
    assert ended.group_contains(ZeroDivisionError)


def test_a_socket_is_private_unless_it_is_told_otherwise_and_never_replaces_a_file(tmp_path: Path) -> None:
    file = SocketFile(tmp_path / "deep" / "s", SocketSection())
    assert file.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Invalid, match="another process serves there"):
        SocketFile(file.path, SocketSection())
    file.close()
    assert not file.path.exists()
    (tmp_path / "t").write_text("precious")
    with pytest.raises(Invalid, match="a file that is no socket is there"):
        SocketFile(tmp_path / "t", SocketSection())
    assert (tmp_path / "t").read_text() == "precious"

"""Roles as processes on the embedded store: start, calls, readiness, signals, takeover, and ends that are told."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.roles import ADDRCAST, Role, clean_environment, create, deadline_ms, declared, seen

from addrcast.core.assignment.answer import Created
from addrcast.core.assignment.request import DeleteRequest
from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import AddrcastError, Invalid, Unavailable
from addrcast.core.domain.keyspace import EPOCH, account_key
from addrcast.core.domain.record import AddressState, EpochState, Host, HostState, Outcome, StoreEpoch
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.runtime.local_call_client import LocalClient
from addrcast.runtime.open_store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Start = "Callable[..., Role]"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Role]]:
    """Starts a role on the embedded store of the test; whatever still runs at the end is killed."""
    started: list[Role] = []

    def begin(role: str, *flags: str, name: str = "", **environment: str) -> Role:
        process = Role(role, tmp_path, f"{tmp_path}/store", *flags, name=name)
        started.append(process)
        process.start(**environment)
        return process

    yield begin
    for process in started:
        process.kill()


async def put(folder: Path, key: str, value: bytes) -> None:
    store = await open_store(f"{folder}/store")
    await store.commit([Transaction((), (Put(key, value),))])
    await store.close()


async def bound(folder: Path, account: str) -> dict[str, str]:
    """The bound instances of an account and the address of each."""
    ledger = await seen(f"{folder}/store")
    return {
        entry.required.instance: logical
        for logical, entry in ledger.records(account).items()
        if entry.required.state is AddressState.BOUND
    }


async def test_serve_sets_its_store_up_and_answers_creates_and_deletes(
    tmp_path: Path, start: Callable[..., Role]
) -> None:
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(f"{tmp_path}/notify")
    notified.setblocking(False)
    role = start(
        "serve", "--host", "h1", "--process-ready-file", f"{tmp_path}/ready", NOTIFY_SOCKET=f"{tmp_path}/notify"
    )
    status = await role.status_when(lambda status: any("declare the host" in what for what in status.waits_for))
    assert not status.is_ready
    assert not (tmp_path / "ready").exists()
    await declared(f"{tmp_path}/store")
    status = await role.ready()
    assert status.controller is not None
    assert "reorder point" in status.controller.plans
    assert (tmp_path / "ready").exists()
    async with LocalClient(role.socket) as client:
        created = await client.create(create("web", "vm-1", host="h1"))
        assert created.addresses[0].outcome is Outcome.DYNAMIC
        ready = await client.ready(created, deadline_ms=deadline_ms(10))
        assert (ready.is_ready, ready.waits) == (True, ())
        again = await client.create(create("web", "vm-1", host="h1"))
        assert (again.is_repeat, again.addresses) == (True, created.addresses)
        with pytest.raises(Invalid, match="account: 'nobody' is not valid: no account of this name is declared"):
            await client.create(create("nobody", "vm-1"))
        deleted = await client.delete(
            DeleteRequest(account="web", instance="vm-1", attempt=0, deadline_ms=deadline_ms(10))
        )
        assert (deleted.is_change, deleted.addresses) == (True, (created.addresses[0].logical,))
    role.signal(signal.SIGTERM)
    assert await role.ended() == 0
    assert not role.socket.exists()
    assert not (tmp_path / "ready").exists()
    told = []
    while True:
        try:
            told.append(notified.recv(4_096).decode())
        except BlockingIOError:
            break
    notified.close()
    assert sum("READY=1" in one for one in told) == 1
    assert "STATUS=ready" in told
    assert "STOPPING=1" in told[-1]


async def test_commands_call_a_running_process(tmp_path: Path, start: Callable[..., Role]) -> None:
    role = start("api")
    await role.status_when(lambda status: any("addrcast apply" in what for what in status.waits_for))
    with pytest.raises(Unavailable, match="addrcast apply"):
        async with LocalClient(role.socket) as client:
            await client.create(create("web", "vm-1"))
    # one that nobody runs an agent on
    silent = Host(state=HostState.UP, incarnation=1, blocks=("172.16.64.0/18",))
    await declared(f"{tmp_path}/store", ("h2", silent))
    await role.ready()

    async def call(*args: str) -> subprocess.CompletedProcess[str]:
        words = [str(ADDRCAST), *args, "--socket", str(role.socket)]
        environment = clean_environment()
        return await asyncio.to_thread(
            subprocess.run, words, capture_output=True, text=True, check=False, env=environment
        )

    made, gone, unknown, state = await asyncio.gather(
        call("create", "web", "a", "--count", "2", "--wait-ready", "--timeout", "300"),
        call("delete", "web", "never"),
        call("create", "web", "b", "--pool", "nowhere", "--json"),
        call("status"),
    )
    assert made.stdout.count(" on h2: dynamic") == 2, made.stderr
    assert made.stdout.endswith("not ready yet on h2\n")
    assert made.returncode == 1
    assert (gone.returncode, gone.stdout) == (0, "nothing to release\n")
    assert unknown.returncode == 1
    assert '"error":"invalid"' in unknown.stdout
    assert state.returncode == 0
    assert "api is ready" in state.stdout


async def test_an_agent_of_its_own_acknowledges_what_another_process_creates(
    tmp_path: Path, start: Callable[..., Role]
) -> None:
    await declared(f"{tmp_path}/store")
    api, agent = start("api"), start("agent", "--host", "h1")
    await asyncio.gather(api.ready(), agent.ready())
    async with LocalClient(api.socket) as client:
        created = await client.create(create("web", "vm-1", host="h1"))
        ready = await client.ready(created, deadline_ms=deadline_ms(10))
    assert ready.is_ready
    status = await agent.ready()
    assert status.agent is not None
    assert (status.agent.phase, status.agent.accounts, status.store.revision) == ("up", 1, None)
    with pytest.raises(Invalid, match="of the role agent"):
        async with LocalClient(agent.socket) as client:
            await client.create(create("web", "vm-2"))
    agent.signal(signal.SIGTERM)
    assert await agent.ended() == 0


async def test_sigterm_answers_what_is_under_way_and_loses_no_answered_binding(
    tmp_path: Path, start: Callable[..., Role]
) -> None:
    await declared(f"{tmp_path}/store")
    role = start("serve", "--host", "h1")
    await role.ready()
    answers: dict[str, Created] = {}
    refused: list[AddrcastError] = []
    has_begun = asyncio.Event()

    async def call(client: LocalClient, caller: int) -> None:
        for number in range(1_000):
            try:
                created = await client.create(create("web", f"{caller}-{number}", seconds=1.0))
            except AddrcastError as error:
                refused.append(error)
                return
            answers[created.instance] = created
            has_begun.set()

    async with LocalClient(role.socket) as client:
        callers = [asyncio.create_task(call(client, caller)) for caller in range(32)]
        await has_begun.wait()
        role.signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*callers), timeout=20)
    assert await role.ended() == 0
    assert len(refused) == len(callers)
    assert all(isinstance(error, Unavailable) for error in refused)
    standing = await bound(tmp_path, "web")
    assert {name: created.addresses[0].logical for name, created in answers.items()}.items() <= standing.items()


async def test_a_drain_is_bounded_and_a_second_signal_ends_at_once(
    tmp_path: Path, start: Callable[..., Role]
) -> None:
    await declared(f"{tmp_path}/store")
    agent = start("agent", "--host", "h1")
    bounded = start("api", "--process-drain-ms", "100", name="bounded")
    endless = start("api", "--process-drain-ms", "600000", name="endless")
    await asyncio.gather(agent.ready(), bounded.ready(), endless.ready())
    async with LocalClient(bounded.socket) as first, LocalClient(endless.socket) as second:
        await first.create(create("one", "vm-1"))
        await first.delete(DeleteRequest(account="one", instance="vm-1", deadline_ms=deadline_ms(10)))
        # the only address cools for half a minute, so both wait for it
        waiting = [
            asyncio.create_task(client.create(create("two", f"vm-{number}", seconds=50)))
            for number, client in enumerate((first, second))
        ]
        for role in (bounded, endless):
            await role.status_when(lambda status: status.api is not None and status.api.under_way == 1)
            role.signal(signal.SIGTERM)
        with pytest.raises(Unavailable, match="this replica stops"):
            await waiting[0]
        assert await bounded.ended() == 0
        assert not waiting[1].done()
        endless.signal(signal.SIGTERM)
        assert await endless.ended() == 128 + signal.SIGTERM
        waiting[1].cancel()


async def test_the_next_controller_leads_at_once_after_sigterm_and_within_the_lease_after_a_kill(
    tmp_path: Path, start: Callable[..., Role]
) -> None:
    await declared(f"{tmp_path}/store")
    names = ("a", "b", "c")

    def leads(status: Any) -> bool:
        return status.controller is not None and len(status.controller.leads) == status.controller.shards > 0

    def stood(name: str, lease_ms: int) -> Role:
        flags = ("--controller-name", name, "--controller-lease-ms", str(lease_ms))
        return start("controller", *flags, name=name)

    roles = {"a": stood("a", 60_000)}
    await roles["a"].status_when(leads)
    roles["b"] = stood("b", 1_000)
    await roles["b"].ready()
    roles["a"].signal(signal.SIGTERM)
    # a lease of a minute that was not given back would outlast the patience of this test
    await roles["b"].status_when(leads)
    assert await roles["a"].ended() == 0
    roles["c"] = stood("c", 1_000)
    await roles["c"].ready()
    roles["b"].signal(signal.SIGKILL)
    await roles["c"].status_when(leads)
    assert set(roles) == set(names)


async def test_two_replicas_never_give_one_address_twice_and_know_of_each_others_answers(
    tmp_path: Path, start: Callable[..., Role]
) -> None:
    await declared(f"{tmp_path}/store")
    agent = start("agent", "--host", "h1")
    replicas = [start("api", "--replica", name, name=name) for name in ("left", "right")]
    await asyncio.gather(agent.ready(), *(replica.ready() for replica in replicas))
    async with LocalClient(replicas[0].socket) as left, LocalClient(replicas[1].socket) as right:
        calls = [
            client.create(create("web", f"{side}-{number}"))
            for number in range(40)
            for side, client in (("l", left), ("r", right))
        ]
        created = await asyncio.gather(*calls)
        logical = [answer.addresses[0].logical for answer in created]
        assert len(set(logical)) == len(logical)
        crossed = [right.ready(answer, deadline_ms=deadline_ms(10)) for answer in created[::2]]
        assert all(answer.is_ready for answer in await asyncio.gather(*crossed))


async def test_a_restored_store_is_told_and_reported(tmp_path: Path, start: Callable[..., Role]) -> None:
    await declared(f"{tmp_path}/store")
    role = start("api")
    await role.ready()
    await put(tmp_path, EPOCH, encode(StoreEpoch(epoch=2, state=EpochState.CLOSED)))
    status = await role.status_when(lambda status: bool(status.waits_for))
    assert status.waits_for[0].startswith("the store is closed, in epoch 2: it was restored")
    assert (status.store.epoch, status.store.state) == (2, "closed")
    await put(tmp_path, EPOCH, encode(StoreEpoch(epoch=2)))
    await role.ready()
    assert any("the store is open, in epoch 2" in line for line in role.lines())


async def test_a_value_of_a_newer_version_ends_a_role_with_what_to_do(
    tmp_path: Path, start: Callable[..., Role]
) -> None:
    await declared(f"{tmp_path}/store")
    role = start("api")
    await role.ready()
    await put(tmp_path, account_key("new"), b'{"v": 99}')
    assert await role.ended() == 1
    assert "upgrade this process" in role.lines()[-1] + role.lines()[-2]
    later = start("api", name="later")
    assert await later.ended() == 1
    assert any("upgrade this process" in line and "level=error" in line for line in later.lines())


async def test_a_socket_has_one_owner_and_what_a_killed_one_left_is_replaced(
    tmp_path: Path, start: Callable[..., Role]
) -> None:
    await declared(f"{tmp_path}/store")
    first = start("api")
    await first.ready()
    assert first.socket.stat().st_mode & 0o777 == 0o600
    second = Role("api", tmp_path, f"{tmp_path}/store")
    second.log = tmp_path / "second.log"
    second.start()
    assert await second.ended() == 1
    assert "another process serves there" in second.lines()[-1]
    first.signal(signal.SIGKILL)
    await first.ended()
    assert first.socket.exists()
    third = start("api", "--socket-mode", "0660")
    await third.ready()
    assert third.socket.stat().st_mode & 0o777 == 0o660


BUGGY = """
import sys
from addrcast.runtime.roles.start import _run
from addrcast.runtime.settings import RoleSettings
from addrcast.runtime.settings_sources import load

class Buggy:
    async def run(self):
        raise ZeroDivisionError("a bug with hunter2 in it")
    async def drain(self): ...

flags = {"store.address": sys.argv[1] + "/store", "socket.path": sys.argv[1] + "/buggy.sock"}
loaded = load(RoleSettings, environ={"ADDRCAST_STORE_PASSWORD": "hunter2"}, flags=flags)
sys.exit(_run("buggy", loaded, socket_name="x", make_parts=lambda site: [Buggy()], sets_up=True))
"""


def test_a_bug_ends_the_process_with_its_own_status_and_without_secrets(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BUGGY, str(tmp_path)], capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 70
    (line,) = [line for line in ended.stderr.splitlines() if "level=critical" in line]
    assert "an error of this program: a bug with *** in it" in line
    assert "ZeroDivisionError" in line
    assert "hunter2" not in ended.stderr


BAD = [
    (("serve",), {}, 1, "store.address: '' is not valid: it is needed; give --store, ADDRCAST_STORE_ADDRESS"),
    (("agent", "--store", "{}"), {}, 1, "agent.host: '' is not valid: it is needed; give --host"),
    (("agent", "--store", "{}", "--host", "a.b"), {}, 1, "agent.host, from flag --host: 'a.b' is not valid"),
    (("api", "--store", "etcdd://x"), {}, 1, "did you mean etcd://"),
    (("api", "--store", "{}", "--process-drain-ms", "soon"), {}, 1, "from flag --process-drain-ms: 'soon'"),
    (("api", "--store", "{}"), {"ADDRCAST_LOG_LEVEL": "loud"}, 1, "from variable ADDRCAST_LOG_LEVEL: 'loud'"),
    (("api", "--store", "{}"), {"ADDRCAST_STORE_ADRESS": "x"}, 1, "did you mean ADDRCAST_STORE_ADDRESS?"),
    (("api", "--store", "{}", "--socket-group", "no-such-group"), {}, 1, "there is no such group"),
    (("api", "--store", "{}", "--socket", "/dev/shm/" + 120 * "x"), {}, 1, "at most 107 bytes"),  # noqa: S108
    (("api", "--settings", "{}/none.toml"), {}, 1, "it cannot be read: No such file"),
    (("api", "--store", "/dev/null/store"), {}, 1, "/dev/null/store"),
    (("controller", "--store", "{}", "--planning-history-file", "{}/none.csv"), {}, 1, "there is no such file"),
    (("api", "--store-password", "hunter2"), {}, 2, "No such option '--store-password'"),
]


@pytest.mark.parametrize(("args", "environment", "code", "message"), BAD, ids=[one[3][:30] for one in BAD])
def test_what_cannot_be_is_told_in_one_line(
    tmp_path: Path, args: tuple[str, ...], environment: dict[str, str], code: int, message: str
) -> None:
    words = [word.replace("{}", str(tmp_path)) for word in args]
    if "--socket" not in words:
        environment = {"ADDRCAST_SOCKET_PATH": f"{tmp_path}/x.sock"} | environment
    ended = subprocess.run(
        [str(ADDRCAST), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=clean_environment() | environment,
    )
    assert ended.returncode == code, ended.stderr
    faults = [line for line in ended.stderr.splitlines() if "error" in line]
    assert len(faults) == 1, ended.stderr
    assert message in faults[0].replace('\\"', '"')
    assert "Traceback" not in ended.stderr

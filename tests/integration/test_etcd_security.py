"""TLS, certificates of clients, users and tokens on a real etcd."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.contracts.words import get, put
from tests.servers.certificates import Authority
from tests.servers.etcd import QUICK, ServerTls, etcd_cluster, etcd_node
from tests.servers.process import binary

from addrcast.adapters.stores.etcd_store import EtcdStore, Tls
from addrcast.core.domain.errors import Denied, Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.etcd import Etcd

MEMORY_FILES = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
PATIENT_MS = 10_000
TOKEN_S = 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[Etcd]:
    """A node that wants a certificate of every client."""
    signed = authority.sign("server")
    tls = ServerTls(signed.certificate, signed.key, client_ca=authority.certificate)
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_node(Path(files), tls=tls) as node:
        yield node


@pytest.fixture(scope="module")
def guarded() -> Iterator[Etcd]:
    """A node with the users root and reader, whose tokens last a second."""
    flags = (*QUICK, f"--auth-token-ttl={TOKEN_S}", "--bcrypt-cost=4")
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_node(Path(files), flags=flags) as node:
        for words in (
            "user add root:secret",
            "user grant-role root root",
            "user add reader:secret",
            "role add reads",
            "role grant-permission reads read k. k/",
            "user grant-role reader reads",
            "auth enable",
        ):
            etcdctl(node, *words.split())
        yield node


def etcdctl(node: Etcd, *words: str) -> None:
    command = [str(binary("etcdctl")), f"--endpoints={node.endpoint}", *words]
    subprocess.run(command, check=True, capture_output=True)


def files_of(authority: Authority, name: str) -> dict[str, str]:
    signed = authority.sign(name)
    return {"cert_file": str(signed.certificate), "key_file": str(signed.key)}


async def test_a_certificate_of_the_right_authority_opens_the_store(secured: Etcd, authority: Authority) -> None:
    tls = Tls(ca_file=str(authority.certificate), **files_of(authority, "client"))
    store = await EtcdStore.open([secured.endpoint], tls=tls, deadline_ms=PATIENT_MS)
    await put(store, "a", b"1")
    assert await get(store, "a") is not None
    await store.close()


async def test_a_server_of_another_authority_is_not_trusted(
    secured: Etcd, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    tls = Tls(ca_file=str(stranger.certificate), **files_of(authority, "client"))
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        await EtcdStore.open([secured.endpoint], tls=tls)


@pytest.mark.parametrize("kind", ["no certificate", "one of another authority", "no TLS at all"])
async def test_a_client_without_the_right_certificate_is_told_that_it_cannot_connect(
    secured: Etcd, authority: Authority, tmp_path: Path, kind: str
) -> None:
    tls: Tls | None = Tls(ca_file=str(authority.certificate))
    if kind == "one of another authority":
        tls = Tls(ca_file=str(authority.certificate), **files_of(Authority(tmp_path / "stranger"), "client"))
    elif kind == "no TLS at all":
        tls = None
    with pytest.raises(Unavailable, match=secured.endpoint):
        await EtcdStore.open([secured.endpoint], tls=tls)


async def test_files_that_are_missing_or_incomplete_are_refused(authority: Authority) -> None:
    with pytest.raises(Invalid, match="ca_file"):
        await EtcdStore.open(["127.0.0.1:1"], tls=Tls(ca_file="/no/such/file"))
    with pytest.raises(Invalid, match="go together"):
        await EtcdStore.open(["127.0.0.1:1"], tls=Tls(cert_file=str(authority.certificate)))
    with pytest.raises(Invalid, match="host:port"):
        await EtcdStore.open(["nowhere"])


async def test_a_token_that_has_run_out_is_renewed_by_every_kind_of_call(guarded: Etcd) -> None:
    async def opened() -> EtcdStore:
        return await EtcdStore.open([guarded.endpoint], credentials=("root", "secret"), deadline_ms=PATIENT_MS)

    stores = [await opened() for _ in range(5)]
    begin = await put(stores[0], "a", b"1")
    lease = await stores[0].grant(ttl_ms=60_000)
    await asyncio.sleep(2.2 * TOKEN_S)  # etcd looks for tokens that are over once a second
    changes = stores[0].watch(["a"], after_revision=begin - 1)
    assert (await anext(changes)).revision == begin
    await put(stores[1], "a", b"2")
    await get(stores[2], "a")
    await stores[3].keep_alive(lease)
    await stores[4].scan("a")
    await changes.aclose()
    for store in stores:
        await store.close()


async def test_users_and_roles_that_change_meanwhile_stop_nobody(guarded: Etcd) -> None:
    store = await EtcdStore.open([guarded.endpoint], credentials=("root", "secret"), deadline_ms=PATIENT_MS)
    await put(store, "a", b"1")
    root = ("--user=root:secret",)
    await asyncio.to_thread(etcdctl, guarded, *root, "role", "add", "another")
    await put(store, "a", b"2")
    await asyncio.to_thread(etcdctl, guarded, *root, "role", "delete", "another")
    assert (await get(store, "a")) is not None
    await store.close()


async def test_a_wrong_password_and_no_password_are_refused_at_once(guarded: Etcd) -> None:
    with pytest.raises(Invalid, match="does not know this user with this password"):
        await EtcdStore.open([guarded.endpoint], credentials=("root", "wrong"))
    with pytest.raises(Invalid, match="wants a user and a password"):
        await EtcdStore.open([guarded.endpoint])


async def test_what_a_user_may_not_do_is_denied_by_name(guarded: Etcd) -> None:
    store = await EtcdStore.open([guarded.endpoint], credentials=("reader", "secret"), deadline_ms=PATIENT_MS)
    assert (await store.scan("k.")).items == ()
    with pytest.raises(Denied, match=r"k\.a"):
        await put(store, "k.a")
    with pytest.raises(Denied, match=r"other\."):
        await store.scan("other.")
    with pytest.raises(Denied, match=r"other\."):
        await anext(store.watch(["other."], after_revision=0))
    await store.close()


async def test_an_endpoint_of_another_cluster_is_refused() -> None:
    with ExitStack() as running:
        nodes = [
            running.enter_context(
                etcd_node(Path(running.enter_context(tempfile.TemporaryDirectory(dir=MEMORY_FILES))))
            )
            for _ in range(2)
        ]
        with pytest.raises(Invalid, match="another cluster"):
            await EtcdStore.open([node.endpoint for node in nodes])


async def test_a_member_that_is_down_when_the_store_is_opened_is_not_needed() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_cluster(Path(files)) as members:
        members[0].server.kill()
        for member in members[1:]:  # a request that is passed on to the dead leader would be lost
            await asyncio.to_thread(member.server.wait_until, member.is_healthy)
        store = await EtcdStore.open([member.endpoint for member in members], deadline_ms=PATIENT_MS)
        await put(store, "a")
        await store.close()

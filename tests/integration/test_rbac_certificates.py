"""Users without passwords: the common name of a client's certificate is the user, and its role counts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from tests.integration.guarded import ROOT, resources
from tests.servers.certificates import Authority
from tests.servers.etcd import ServerTls, etcd_node

from addrcast.adapters.stores.etcd_auth import EtcdAuth
from addrcast.adapters.stores.etcd_member import Tls
from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import Denied
from addrcast.core.domain.keyspace import host_alive_key, subscription_key
from addrcast.core.domain.record import Subscription
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.runtime.access import AccessKeeper
from addrcast.runtime.declare import declare, set_up

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_host_is_known_by_its_certificate_and_held_to_its_role(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    signed = authority.sign("server")
    server = ServerTls(signed.certificate, signed.key, client_ca=authority.certificate)

    def tls(name: str) -> Tls:
        own = authority.sign(name)
        return Tls(str(authority.certificate), str(own.certificate), str(own.key))

    with etcd_node(tmp_path / "etcd", tls=server) as node:
        async with AsyncExitStack() as stack:
            auth = await EtcdAuth.open([node.endpoint], tls=tls(ROOT))
            stack.push_async_callback(auth.close)
            await auth.add_role(ROOT)
            await auth.add_user(ROOT, [ROOT])
            await auth.enable()
            admin = await EtcdStore.open([node.endpoint], tls=tls(ROOT))
            stack.push_async_callback(admin.close)
            await set_up(admin)
            await declare(admin, resources())
            await admin.commit([Transaction((), (Put(subscription_key("h1", "a"), encode(Subscription())),))])
            keeper = AccessKeeper(admin, auth, with_users=True)
            await keeper.set_up()
            _, changed = await keeper.keep()
            assert "user h1: made, without a password" in changed
            agent = await EtcdStore.open([node.endpoint], tls=tls("h1"))
            stack.push_async_callback(agent.close)
            assert (await agent.scan("network_address.a.")).items == ()
            (result,) = await agent.commit([Transaction((), (Put(host_alive_key("h1"), b""),))])
            assert result.is_success
            with pytest.raises(Denied):
                await agent.scan("network_address.b.")
            with pytest.raises(Denied):
                await agent.commit([Transaction((), (Put(host_alive_key("h10"), b""),))])

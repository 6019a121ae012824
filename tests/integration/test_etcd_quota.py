"""etcd carries out the very transaction with which its quota is reached, and refuses it: nobody may be misled."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.servers.etcd import QUICK, etcd_node

from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.domain.errors import OutcomeUnknown, Unavailable
from addrcast.core.domain.transaction import Compare, Put, Transaction

WRITERS = 8
ROUNDS = 60


async def write(store: EtcdStore, key: str) -> str:
    """Put a key that is absent; what is known of it then."""
    try:
        (result,) = await store.commit([Transaction((Compare(key, 0),), (Put(key, bytes(60_000)),))])
    except OutcomeUnknown:
        return "in doubt"
    except Unavailable:
        return "refused"
    return "written" if result.is_success else "lost its compare"


async def test_what_is_refused_for_want_of_space_was_not_written_and_what_was_written_is_not_refused() -> None:
    flags = (*QUICK, f"--quota-backend-bytes={6 << 20}")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as files, etcd_node(Path(files), flags=flags) as node:
        stores = [await EtcdStore.open([node.endpoint]) for _ in range(WRITERS)]
        told: dict[str, str] = {}
        for number in range(ROUNDS):
            keys = [f"k.{number}.{writer}" for writer in range(WRITERS)]
            answers = await asyncio.gather(*map(write, stores, keys))
            told |= dict(zip(keys, answers, strict=True))
            if set(answers) == {"refused"}:
                break
        there = {item.key for item in (await stores[0].scan("k.")).items}
        for store in stores:
            await store.close()
    assert "lost its compare" not in told.values()
    assert {key for key, answer in told.items() if answer == "written"} <= there
    assert not {key for key, answer in told.items() if answer == "refused"} & there

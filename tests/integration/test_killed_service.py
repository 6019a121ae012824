"""Two assignment replicas on one embedded store, killed again and again: nothing promised is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.record import AddressState, Host, HostState
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.entrypoints.cli.store import ledger_of
from addrcast.runtime.declare import Resource, declare, set_up

PROCESS = Path(__file__).with_name("service_process.py")
KILLS = int(os.environ.get("ADDRCAST_KILLS", "4"))
ROUND_S = 0.6
# wide enough for all rounds, since nothing here ends the cooling
RESOURCES: list[tuple[str, Resource]] = [
    ("net", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/8",), is_shared=True)),
    ("substrate", Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/12",))),
    ("h1", Host(state=HostState.UP, incarnation=1, blocks=("172.16.0.0/13",))),
    ("bulk", Account(tier="basic", vni=1, pools=("net",))),
    ("gold", Account(tier="premium", vni=2, pools=("net",))),
    ("new", Account(tier="standard", vni=3, pools=("net",))),
]


async def founded(directory: Path) -> None:
    store = await LmdbStore.open(directory)
    await set_up(store)
    await declare(store, RESOURCES)
    await store.close()


async def bound(directory: Path) -> dict[str, str]:
    """The bound instances, and the address of each."""
    store = await LmdbStore.open(directory)
    ledger = await ledger_of(store)
    await store.close()
    return {
        f"{account}/{entry.required.instance}": logical
        for account in ledger.accounts()
        for logical, entry in ledger.records(account).items()
        if entry.required.state is AddressState.BOUND
    }


def killed_round(directory: Path, number: int) -> list[str]:
    """What two replicas were promised until both were killed in the middle of their work."""
    replicas = [
        subprocess.Popen(
            [sys.executable, str(PROCESS), str(directory), f"r{number}-{replica}"], stdout=subprocess.PIPE
        )
        for replica in range(2)
    ]
    outputs = []
    for replica in replicas:
        assert replica.stdout is not None
        outputs.append(replica.stdout.readline())  # both are at work
    time.sleep(ROUND_S)
    for replica in replicas:
        replica.send_signal(signal.SIGKILL)
    outputs += [replica.communicate()[0] for replica in replicas]
    return b"".join(outputs).decode().splitlines()


def check(directory: Path) -> dict[str, object]:
    told = subprocess.run(
        [Path(sys.executable).with_name("addrcast"), "check", "--store", str(directory), "--json"],
        capture_output=True,
        check=True,
    )
    found: dict[str, object] = json.loads(told.stdout)
    return found


def test_a_store_is_sound_and_keeps_every_promise_whenever_its_replicas_are_killed(tmp_path: Path) -> None:
    asyncio.run(founded(tmp_path))
    promised: dict[str, str] = {}
    deleting: set[str] = set()
    creates = 0
    for number in range(KILLS):
        for line in killed_round(tmp_path, number):
            word, instance, *logical = line.split()
            if word == "created":
                creates += 1
                promised[instance] = logical[0]
            else:
                deleting.add(instance)
        found = check(tmp_path)
        assert found["violations"] == []
        standing = asyncio.run(bound(tmp_path))
        kept = {instance: logical for instance, logical in promised.items() if instance not in deleting}
        assert kept.items() <= standing.items()
    assert creates > 20 * KILLS

"""Groups of transactions on etcd, nested and flat, beside the model; and the limits of what fits in one."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.words import change, commit, keys, put, watched
from tests.servers.etcd import etcd_node

from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.domain.errors import Invalid, OutcomeUnknown, Stale
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction
from addrcast.simulation.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from addrcast.core.domain.transaction import Page, Result

MEMORY_FILES = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_node(Path(files)) as node:
        yield node.endpoint


@pytest.fixture(params=["nested", "flat"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As on a server that nests, and on one that does not."""
    name: str = request.param
    monkeypatch.setattr("addrcast.adapters.stores.etcd_cluster.can_nest", lambda _: name == "nested")
    return name


@pytest.fixture
async def store(endpoint: str, form: str) -> AsyncIterator[EtcdStore]:
    store = await EtcdStore.open([endpoint], root=f"{uuid4().hex}/")
    try:
        yield store
    finally:
        await store.close()


# what a transaction compares: a key as it stands before the call, as it stood once, or as absent
Drawn = list[tuple[list[tuple[str, str]], list[tuple[str, bytes | None]]]]
CALLS = st.lists(
    st.lists(
        st.tuples(
            st.lists(
                st.tuples(st.sampled_from(NAMES), st.sampled_from(["now", "now", "stale", "absent"])), max_size=2
            ),
            st.lists(
                st.tuples(st.sampled_from(NAMES), st.one_of(st.binary(max_size=2), st.none())),
                max_size=2,
                unique_by=lambda write: write[0],
            ),
        ),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=3,
)


def transactions(drawn: Drawn, page: Page) -> list[Transaction]:
    present = {item.key: item.mod_revision for item in page.items}
    fixed = {"stale": 1 << 40, "absent": 0}
    return [
        Transaction(
            tuple(Compare(key, fixed.get(which, present.get(key, 0))) for key, which in compares),
            tuple(Delete(key) if value is None else Put(key, value) for key, value in writes),
        )
        for compares, writes in drawn
    ]


def outline(results: Sequence[Result]) -> list[object]:
    """What results say but for their revisions, which differ."""
    return [
        (result.is_success, [None if item is None else (item.key, item.value) for item in result.current])
        for result in results
    ]


@settings(max_examples=40, deadline=None)
@given(calls=CALLS)
def test_calls_one_after_the_other_do_what_they_do_to_the_model(endpoint: str, calls: list[Drawn]) -> None:
    async def run(store: EtcdStore) -> None:
        model = ModelStore()
        for drawn in calls:
            expected = model.commit(transactions(drawn, model.scan("")))
            results = await store.commit(transactions(drawn, await store.scan("")))
            assert outline(results) == outline(expected)
            state = [(item.key, item.value) for item in (await store.scan("")).items]
            assert state == [(item.key, item.value) for item in model.scan("").items]

    async def both() -> None:
        for nests in (True, False):
            store = await EtcdStore.open([endpoint], root=f"{uuid4().hex}/")
            store._cluster.nests = nests  # fixtures do not go with drawn examples
            await run(store)
            await store.close()

    asyncio.run(both())


async def test_a_root_keeps_stores_of_one_cluster_apart(store: EtcdStore, endpoint: str) -> None:
    other = await EtcdStore.open([endpoint], root=f"{uuid4().hex}/")
    first = await put(store, "k.a", b"mine")
    await put(other, "k.b", b"other")
    last = await put(store, "k.c", b"mine")
    assert await keys(store) == ["k.a", "k.c"]
    assert await keys(store, "k.", revision=first) == ["k.a"]
    seen = await watched(store, "", after=first - 1, until=last)
    assert [event.key for each in seen for event in each.events] == ["k.a", "k.c"]
    await other.close()


async def test_more_transactions_than_fit_into_one_are_carried_out_in_order(store: EtcdStore) -> None:
    pairs = [change(Put(f"k.{n}", b""), Put(f"l.{n}", b""), when=[Compare(f"k.{n}", 0)]) for n in range(300)]
    results = await store.commit(pairs)
    revisions = [result.revision for result in results]
    assert all(result.is_success for result in results)
    assert revisions == sorted(revisions)
    assert 3 <= len(set(revisions)) <= 6
    assert not any(result.is_success for result in await store.commit(pairs))
    assert len(await keys(store)) == 600


async def test_transactions_of_all_sizes_keep_to_etcds_limit(store: EtcdStore) -> None:
    sizes = [1, 127, 1, 128, 100, 30, 2, 1, 64, 64]
    calls = [
        store.commit([change(*(Put(f"k.{call}.{n}", b"") for n in range(size)), when=[Compare(f"k.{call}.0", 0)])])
        for call, size in enumerate(sizes)
    ]
    for (result,) in await asyncio.gather(*calls):
        assert result.is_success
    assert len(await keys(store)) == sum(sizes)
    with pytest.raises(Invalid, match="too many operations"):
        await store.commit([change(*(Put(f"m.{n}", b"") for n in range(129)))])
    assert await keys(store, "m.") == []


async def test_a_call_that_etcd_refuses_spoils_no_other_in_its_group(store: EtcdStore) -> None:
    large = change(*(Put(f"large.{n}", b"x" * 700_000) for n in range(3)))
    calls = [store.commit([change(Put(f"k.{n}", b""))]) for n in range(5)]
    refused = store.commit([change(Put("small", b"")), large])
    outcomes = await asyncio.gather(*calls[:2], refused, *calls[2:], return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(errors) == 1
    # its first part fits a group and is carried out, the second never is: the caller has to look
    assert isinstance(errors[0], OutcomeUnknown | Invalid)
    assert len(await keys(store, "k.")) == 5
    assert await keys(store, "large.") == []


async def test_a_lease_that_is_over_spoils_its_own_call_only(store: EtcdStore) -> None:
    lease = await store.grant(ttl_ms=60_000)
    await store.revoke(lease)
    good = [store.commit([change(Put(f"k.{n}", b""))]) for n in range(4)]
    bad = store.commit([change(Put("other", b"")), change(Put("leased", b"", lease))])
    outcomes = await asyncio.gather(*good[:2], bad, *good[2:], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, list, Stale, list, list]
    assert await keys(store) == ["k.0", "k.1", "k.2", "k.3"]


async def test_concurrent_calls_share_revisions_and_a_watch_shows_them_whole(store: EtcdStore) -> None:
    begin = await put(store, "begin")
    calls = [commit(store, change(Put(f"k.{n}", b""))) for n in range(100)]
    revisions = {(await call).revision for call in [asyncio.ensure_future(call) for call in calls]}
    assert len(revisions) < 50
    seen = await watched(store, "k.", after=begin, until=max(revisions))
    assert {each.revision for each in seen} == revisions
    assert sorted(event.key for each in seen for event in each.events) == sorted(f"k.{n}" for n in range(100))

"""What a role may do as the rules of a Consul policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.adapters.stores.consul_wire import Layout
from addrcast.core.domain.access import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.domain.access import Rights


def policy_of(rights: Rights, *, root: str) -> str:
    """The rules of a policy for a store that lies under `root`, one a line, in order.

    They allow more than `rights` says where Consul and its store leave no choice: a name takes in longer ones that
    begin with it, who may write may read, and every writer shares the store's revision and its leases.

    Source: "key" and "session" in the ACL rules reference of Consul's documentation.
    """
    return "\n".join(_rules(rights, Layout(root))) + "\n"


def _rules(rights: Rights, layout: Layout) -> Iterator[str]:
    for where, mode in sorted(rights.items()):
        may_write = Mode.WRITE in mode
        for place in (layout.keys, layout.removed):
            yield _rule(f"{place}{where.key}", may_write=may_write)
    for place in (layout.meta, layout.leases, layout.leased):
        yield _rule(place, may_write=True)
    yield 'session_prefix "" { policy = "write" }'


def _rule(prefix: str, *, may_write: bool) -> str:
    return f'key_prefix "{prefix}" {{ policy = "{"write" if may_write else "read"}" }}'

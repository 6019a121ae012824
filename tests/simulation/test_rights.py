"""Whatever the services and agents of whole worlds write and compare is within the rights of their roles."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from addrcast.core.domain.access import Mode, Rights, agent_rights, allows, api_rights, controller_rights
from addrcast.core.domain.keyspace import parts_of
from addrcast.simulation.world.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from addrcast.core.domain.transaction import Transaction
    from addrcast.simulation.world.link import Link

# what no duty in these worlds writes: they remove, restore attachments of, and show plans of nothing
UNUSED = {
    "api": set[str](),
    "controller": {
        *("account.", "pool.", "removal.", "plan.", "host_report.", "host_attached.", "election."),
        "host_applied.",  # goes with a subscription that was being left, or whose host was removed
    },
}


class Witness:
    """Holds every transaction of a world against the rights of who sends it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.written: dict[str, set[str]] = {"api": set(), "controller": set(), "agent": set()}
        for api in world.apis:
            self.watch(api.link, "api", api_rights)
        for controller in world.controllers:
            self.watch(controller.link, "controller", controller_rights)
        for name, host in world.hosts.items():
            self.watch(host.link, "agent", partial(self.rights_of, name))

    def rights_of(self, host: str) -> Rights:
        # rights follow subscriptions: what it was subscribed to a moment ago may still be granted
        return agent_rights(host, self.world.accounts)

    def watch(self, link: Link, role: str, rights: Callable[[], Rights]) -> None:
        sent = link.rewrite

        def rewrite(transaction: Transaction) -> Transaction:
            for compare in transaction.compares:
                assert allows(rights(), compare.key, Mode.READ), (role, compare.key)
            for write in transaction.writes:
                assert allows(rights(), write.key, Mode.WRITE), (role, write.key)
                self.written[role].add(parts_of(write.key).kind)
            return sent(transaction)

        link.rewrite = rewrite


@pytest.fixture(scope="module")
def written() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for seed in range(10):
        world = World(seed)
        witness = Witness(world)
        world.run()
        for role, kinds in witness.written.items():
            found.setdefault(role, set()).update(kinds)
    return found


def test_no_role_needs_more_than_its_rights(written: dict[str, set[str]]) -> None:
    assert all(written.values())


@pytest.mark.parametrize(("role", "rights"), [("api", api_rights()), ("controller", controller_rights())])
def test_no_service_may_write_what_it_never_does(written: dict[str, set[str]], role: str, rights: Rights) -> None:
    granted = {where.key for where, mode in rights.items() if Mode.WRITE in mode}
    assert granted - UNUSED[role] <= written[role]

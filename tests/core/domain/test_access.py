"""Rights name keys and prefixes, and nothing of others."""

from __future__ import annotations

import pytest

from addrcast.core.domain.access import (
    Mode,
    Where,
    account_rights,
    agent_rights,
    allows,
    api_rights,
    controller_rights,
    operator_rights,
)


def test_an_agent_has_its_own_keys_and_those_of_its_accounts() -> None:
    rights = agent_rights("h1", ["a"])
    for key in ("store_epoch", "host.h1", "account.a", "network_address.a.10.0.0.1", "host_account.h1.b"):
        assert allows(rights, key, Mode.READ)
    for key in ("host.h1", "host_alive.h1", "host_applied.h1.b", "host_account.h1.a", "host_attached.h1.a"):
        assert allows(rights, key, Mode.WRITE)
    assert rights.items() >= account_rights("h1", "a").items()


@pytest.mark.parametrize("mode", [Mode.READ, Mode.WRITE, Mode.BOTH])
def test_an_agent_has_nothing_of_names_that_begin_alike(mode: Mode) -> None:
    rights = agent_rights("h1", ["a"])
    for key in ("host.h10", "host_alive.h10", "account.ab", "network_address.ab.10.0.0.1", "host_account.h10.a"):
        assert not allows(rights, key, mode)


def test_an_agent_cannot_subscribe_itself_to_another_account() -> None:
    assert not allows(agent_rights("h1", ["a"]), "host_account.h1.b", Mode.WRITE)


def test_services_read_all_and_write_their_part() -> None:
    for rights in (api_rights(), controller_rights(), operator_rights()):
        assert allows(rights, "anything", Mode.READ)
        assert allows(rights, "network_address.a.10.0.0.1", Mode.BOTH)
    for key in ("host.h1", "store_epoch", "election.controller.0", "pool.p"):
        assert not allows(api_rights(), key, Mode.WRITE)
        assert allows(controller_rights(), key, Mode.WRITE)
    for key in ("tier.basic", "host_alive.h1", "declared", "store_move", "store_epoch.x"):
        assert not allows(controller_rights(), key, Mode.WRITE)
        assert allows(operator_rights(), key, Mode.WRITE)


def test_rights_to_one_place_of_several_names_add_up() -> None:
    rights = {Where("a", is_prefix=True): Mode.READ, Where("ab"): Mode.WRITE}
    assert allows(rights, "ab", Mode.BOTH)
    assert not allows(rights, "abc", Mode.WRITE)

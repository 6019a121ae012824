"""What a declaration would change, field by field, and in which order resources can be declared one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from addrcast.core.domain.address import parse_prefix
from addrcast.core.domain.declarations import Declarations, Resource, is_covered
from addrcast.core.domain.record import Host
from addrcast.core.domain.resource import Account, Pool, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from addrcast.core.domain.ledger import Ledger

_KINDS: dict[type[Resource], str] = {Tier: "tier", Pool: "pool", Host: "host", Account: "account"}
# a host's state and incarnation are its own
_DECLARED_OF_HOST = frozenset({"blocks", "is_draining"})


class ResourceChange(msgspec.Struct, frozen=True):
    """A resource that is declared otherwise than it stands: for each field what it is and what it shall be.

    One that is not there yet `is_new`, and every field is then None before.
    """

    kind: str
    name: str
    is_new: bool
    fields: dict[str, tuple[object, object]]

    def lines(self) -> Iterator[str]:
        """The change for a person to read."""
        yield f"{'+' if self.is_new else '~'} {self.kind} {self.name}"
        for field, (before, after) in self.fields.items():
            yield (
                f"    {field} = {_shown(after)}"
                if self.is_new
                else f"    {field}: {_shown(before)} -> {_shown(after)}"
            )


def changes(ledger: Ledger, resources: Iterable[tuple[str, Resource]]) -> list[ResourceChange]:
    """What declaring resources in this order would change; those that stand as declared are left out.

    Raises: Invalid for the first that breaks a rule.
    """
    found: list[ResourceChange] = []
    declarations = Declarations(ledger)
    for name, resource in resources:
        entry, value = declarations.accept(name, resource)
        before = entry.value
        if before == value:
            continue
        names = [field.name for field in msgspec.structs.fields(value) if field.name != "v"]
        if isinstance(value, Host):
            names = [field for field in names if field in _DECLARED_OF_HOST]
        fields: dict[str, tuple[object, object]] = {
            field: (None if before is None else getattr(before, field), getattr(value, field)) for field in names
        }
        is_new = before is None
        changed = {field: pair for field, pair in fields.items() if is_new or pair[0] != pair[1]}
        found.append(ResourceChange(_KINDS[type(value)], name, is_new, changed))
    return found


def in_order(ledger: Ledger, resources: Iterable[tuple[str, Resource]]) -> list[tuple[str, Resource]]:
    """Resources in an order in which all that may be declared together can be, one after the other.

    Tiers, pools, hosts, accounts; hosts that lose blocks before those that gain them, and what pools lose last.
    """
    given = list(resources)
    tiers = [item for item in given if isinstance(item[1], Tier)]
    accounts = [item for item in given if isinstance(item[1], Account)]
    grown: list[tuple[str, Resource]] = []
    shrunk: list[tuple[str, Resource]] = []
    hosts: list[tuple[bool, str, Host]] = []
    for name, resource in given:
        if isinstance(resource, Pool):
            before = ledger.pool(name).value
            if before is not None and _loses(before, resource):
                grown.append((name, _with_added(before, resource)))
                shrunk.append((name, resource))
            else:
                grown.append((name, resource))
        elif isinstance(resource, Host):
            known = ledger.host(name).value
            is_losing = known is not None and any(block not in resource.blocks for block in known.blocks)
            hosts.append((not is_losing, name, resource))
    placed = [(name, host) for _, name, host in sorted(hosts, key=lambda item: item[0])]
    return [*tiers, *grown, *placed, *accounts, *shrunk]


def _loses(before: Pool, pool: Pool) -> bool:
    kept = [parse_prefix(text) for text in pool.prefixes]
    return not all(is_covered(parse_prefix(text), kept) for text in before.prefixes)


def _with_added(before: Pool, pool: Pool) -> Pool:
    known = [parse_prefix(text) for text in before.prefixes]
    added = [text for text in pool.prefixes if not any(parse_prefix(text).overlaps(prefix) for prefix in known)]
    return replace(before, prefixes=(*before.prefixes, *added))


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()

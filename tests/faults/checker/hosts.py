"""What hosts really delivered: nothing to a stranger, nothing older over newer, at the end what the store says."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.faults.checker.violation import Violation
from tests.faults.site import ACCOUNTS, HOSTS

from addrcast.core.dataplane.compile import mapped_physical
from addrcast.core.domain.record import HostState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.faults.checker.states import Owned
    from tests.faults.checker.times import Times
    from tests.faults.history import Mapped

    from addrcast.core.domain.ledger import Ledger
    from addrcast.simulation.checkers import Name

STRANGER = "no address reaches another account while a host still maps it"
OLDER = "no older entry over a newer one"
CONVERGE = "hosts converge to the store"
VNIS = {account.vni: name for name, account in ACCOUNTS.items()}


def check_strangers(mapped: Iterable[Mapped], owned: Iterable[Owned], times: Times) -> Iterator[Violation]:
    """When an address gets an owner, no host delivers it to another one, nor its logical address elsewhere.

    Told of is an entry that was there before the change can have been written, and still when it surely was.
    """
    lines = sorted(mapped, key=lambda line: line.at_ns)
    tables: dict[str, dict[Name, tuple[str, int]]] = defaultdict(dict)
    place = 0
    for there_ns, each in _moments(owned, times):
        while place < len(lines) and lines[place].at_ns <= there_ns:
            _apply(tables[lines[place].host], lines[place])
            place += 1
        before_ns = times.not_before_ns(each.revision)
        for host, table in tables.items():
            for name, (physical, since_ns) in table.items():
                is_other = physical == each.physical and name != each.name
                is_former = each.is_new and name == each.name and physical != each.physical
                if (is_other or is_former) and since_ns < before_ns:
                    what = f"{each.physical} is {each.name}'s from {each.revision} on"
                    yield Violation(STRANGER, f"{what}, while {host} delivers {name} to {physical}")


def _moments(owned: Iterable[Owned], times: Times) -> list[tuple[int, Owned]]:
    known = ((times.there_ns(each.revision), each) for each in owned)
    return sorted(((at_ns, each) for at_ns, each in known if at_ns is not None), key=lambda pair: pair[0])


def _apply(table: dict[Name, tuple[str, int]], line: Mapped) -> None:
    account = VNIS[line.vni]
    if not line.logical:
        for name in [name for name in table if name[0] == account]:
            del table[name]
    elif line.physical:
        table[(account, line.logical)] = (line.physical, line.at_ns)
    else:
        table.pop((account, line.logical), None)


def check_order(mapped: Iterable[Mapped], history: Mapping[Name, Sequence[str | None]]) -> Iterator[Violation]:
    """What a host writes for an address comes in the order in which the store had it; it may leave out some."""
    at: dict[tuple[str, Name], int] = {}
    for line in sorted(mapped, key=lambda line: line.at_ns):
        if not line.physical:
            continue
        name = (VNIS[line.vni], line.logical)
        steps = history.get(name, ())
        try:
            at[(line.host, name)] = list(steps).index(line.physical, at.get((line.host, name), 0))
        except ValueError:
            what = f"{line.host} writes {name} to {line.physical} after step {at.get((line.host, name), 0)}"
            yield Violation(OLDER, f"{what} of {steps}")


def check_end(ledger: Ledger, tables: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Iterator[Violation]:
    """In the calm at the end every host is up and delivers what the store says, and nothing cools any more."""
    for host in HOSTS:
        state = ledger.host(host).required.state
        if state is not HostState.UP:
            yield Violation(CONVERGE, f"{host} is {state.value}")
        desired = {
            (account, logical): physical
            for account in ACCOUNTS
            if ledger.subscription(host, account)
            for logical, record in ledger.records(account).items()
            if (physical := mapped_physical(record.required)) is not None
        }
        actual = {
            (VNIS[int(vni)], logical): physical
            for vni, entries in tables[host].items()
            for logical, physical in entries.items()
        }
        wrong = {name for name in desired.keys() | actual.keys() if desired.get(name) != actual.get(name)}
        for name in sorted(wrong):
            yield Violation(CONVERGE, f"{host} delivers {name} to {actual.get(name)}, not to {desired.get(name)}")


def unsettled(ledger: Ledger, tables: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """What a run still has to wait for before it can be judged; empty where nothing is on its way."""
    cooling = [entry.key for entry in (*ledger.cooling_records(), *ledger.cooling_physicals())]
    if cooling:
        return f"{len(cooling)} addresses cool, {cooling[0]} is one"
    wrong = list(check_end(ledger, tables))
    return str(wrong[0]) if wrong else ""

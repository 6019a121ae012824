"""What goes wrong in a world: a mix drawn for each seed, and when each fault strikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.core.domain.transitions_host import idle, leave

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from random import Random

    from addrcast.simulation.store import ModelStore
    from addrcast.simulation.world.link import Link
    from addrcast.simulation.world.world import World

FAULTS = (
    "repeated",  # callers' messages arrive twice
    "late",  # callers' messages, and transactions, arrive when nobody waits for them any more
    "lost",  # requests to the store, replies of it, messages of callers
    "stalled",  # watches lag by seconds
    "deaf",  # a replica or a controller sees no changes, while its transactions pass
    "failover",  # the leader is cut off, or acts on after it was deposed
    "paused",  # an agent stands still
    "away",  # a host is cut off or down for so long that it is given up
    "restarted",  # agents begin anew, with their table or an empty one
    "slow",  # tables take long to be written
    "left",  # hosts leave accounts
    "compacted",  # the store forgets changes that somebody has yet to see
    "restored",  # the store goes back to a backup
    "skewed",  # clocks differ
    "scarce",  # there are fewer addresses than instances
    "shared",  # accounts share a pool
    "dual",  # instances have an address of each family
    "nft",  # lost hosts cannot be left out
)

SKEW_MAX_MS = 200


@dataclass(frozen=True, slots=True)
class FaultMix:
    """Which faults a world has; each comes about every `every_ms`.

    With every fault always on, crashes would hide missing retries: so about half of them are drawn.
    """

    on: frozenset[str]
    every_ms: int

    def __contains__(self, fault: str) -> bool:
        return fault in self.on

    def __str__(self) -> str:
        return " ".join(fault for fault in FAULTS if fault in self.on)


def draw_mix(dice: Random, emphasis: Collection[str] = ()) -> FaultMix:
    """A mix, with all of `emphasis` in it."""
    share = dice.uniform(0.2, 0.7)
    drawn = [fault for fault in FAULTS if dice.random() < share]
    return FaultMix(frozenset([*drawn, *emphasis]), dice.randint(250, 1_200))


class Faults:
    """Strikes a world with its mix until `end`; then every process lives and every link is whole."""

    def __init__(self, world: World, dice: Random) -> None:
        self._world = world
        self._dice = dice
        self._is_over = False
        strikes: dict[str, Callable[[], None]] = {
            "deaf": self._deafen,
            "failover": self._cut_leader,
            "paused": self._pause,
            "away": self._take_away,
            "restarted": self._restart,
            "left": self._leave,
            "compacted": self._compact,
        }
        for fault, strike in strikes.items():
            if fault in world.mix:
                self._repeat(strike)
        if "restored" in world.mix:
            self._after(dice.randint(1_000, 6_000), self._back_up)

    def end(self) -> None:
        """Nothing strikes any more, and what is broken is mended."""
        self._is_over = True
        world = self._world
        for host in world.hosts.values():
            host.link.mend()
            host.kernel_ms = 20
            if host.machine is None:
                host.start()
            host.proceed()
        for link in self._links().values():
            link.mend()

    def _after(self, delay_ms: int, act: Callable[[], None]) -> None:
        self._world.timeline.after(delay_ms, lambda: None if self._is_over else act())

    def _repeat(self, strike: Callable[[], None]) -> None:
        def again() -> None:
            strike()
            self._repeat(strike)

        self._after(self._dice.randint(1, 2 * self._world.mix.every_ms), again)

    def _note(self, what: str) -> None:
        self._world.timeline.note("fault", what)

    def _deafen(self) -> None:
        links = self._links()
        name = self._dice.choice(list(links))
        self._note(f"{name} is deaf")
        links[name].is_deaf = True
        self._after(self._dice.randint(200, 4_000), links[name].mend)

    def _links(self) -> dict[str, Link]:
        """The links of replicas and controllers."""
        world = self._world
        return {
            **{api.name: api.link for api in world.apis},
            **{controller.name: controller.link for controller in world.controllers},
        }

    def _cut_leader(self) -> None:
        leaders = [each for each in self._world.controllers if each.machine is not None]
        if leaders:
            leader = self._dice.choice(leaders)
            self._note(f"{leader.name} is cut off")
            leader.link.is_cut = True
            self._after(self._dice.randint(500, 5_000), leader.link.mend)

    def _pause(self) -> None:
        host = self._dice.choice(list(self._world.hosts.values()))
        self._note(f"{host.name} pauses")
        host.pause()
        self._after(self._dice.choice([300, 2_000, 7_000]), host.proceed)

    def _take_away(self) -> None:
        host = self._dice.choice(list(self._world.hosts.values()))
        away_ms = self._dice.randint(1_000, 9_000)
        if self._dice.random() < 0.5:
            self._note(f"{host.name} is cut off")
            host.link.is_cut = True
            self._after(away_ms, host.link.mend)
        else:
            self._note(f"{host.name} is down")
            host.stop()
            self._after(away_ms, self._dice.choice([host.start, host.reboot]))

    def _restart(self) -> None:
        host = self._dice.choice(list(self._world.hosts.values()))
        api = self._dice.choice(self._world.apis)
        acts = {
            f"{host.name} starts": host.start,
            f"{host.name} reboots": host.reboot,
            f"{host.name} flaps": host.flush_links,
            f"{api.name} restarts": api.restart,
        }
        what = self._dice.choice(list(acts))
        self._note(what)
        acts[what]()

    def _leave(self) -> None:
        """An operator lets a host leave an account that has nothing there: first idle, another time leaving."""
        ledger = self._world.ledger()
        host = self._dice.choice(sorted(self._world.hosts))
        account = self._dice.choice(sorted(self._world.accounts))
        subscription = ledger.subscription(host, account)
        uses = sum(count for (_, place), count in ledger.places(account).items() if place == host)
        if subscription.value is not None and not subscription.value.is_leaving and not uses:
            step = leave if subscription.value.is_idle else idle
            self._world.commit(step(ledger.epoch, subscription))

    def _compact(self) -> None:
        model = self._world.site.model
        model.compact(max(0, model.revision - self._dice.randint(0, 30)))

    def _back_up(self) -> None:
        backup = self._world.site.backup()
        self._note(f"backup at {backup.revision}")
        self._after(self._dice.randint(300, 4_000), lambda: self._restore(backup))

    def _restore(self, backup: ModelStore) -> None:
        self._world.site.restore(backup, with_epoch=self._world.variant.epoch)
        self._after(self._dice.randint(3_000, 8_000), self._back_up)

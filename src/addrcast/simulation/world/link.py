"""A process's connection to the store: slow, lossy, late, cut; and the watch that goes over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from addrcast.core.domain.errors import AddrcastError
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from addrcast.core.domain.transaction import Change, Result, Transaction
    from addrcast.simulation.store import ModelStore
    from addrcast.simulation.world.site import Site
    from addrcast.simulation.world.timeline import Timeline

T = TypeVar("T")
Rewrite = Callable[["Transaction"], "Transaction"]


@dataclass(slots=True)
class Weather:
    """What the connections of a world suffer; `calm` ends it.

    Delays are `travel_ms` at most, or `late_ms` at most for the share `late`; `request_loss` never reach the store,
    the replies of `reply_loss` never come back. A caller gives up after `timeout_ms`. Watches lag `watch_ms` at
    most, or `stall_ms` at most for the share `stall`.
    """

    travel_ms: int = 12
    late: float = 0.0
    late_ms: int = 1_500
    request_loss: float = 0.0
    reply_loss: float = 0.0
    timeout_ms: int = 400
    watch_ms: int = 25
    stall: float = 0.0
    stall_ms: int = 3_000

    def calm(self) -> None:
        """Only the usual delays are left."""
        self.late = self.request_loss = self.reply_loss = self.stall = 0.0


class Link:
    """One process's way to the store; cut off nothing passes, deaf only the watch stands still."""

    def __init__(self, site: Site, timeline: Timeline, dice: Random, weather: Weather) -> None:
        self.site = site
        self.timeline = timeline
        self.is_cut = False
        self.is_deaf = False
        self.rewrite: Rewrite = lambda transaction: transaction
        self._dice = dice
        self._weather = weather

    def ask(
        self, act: Callable[[ModelStore], T], answer: Callable[[T | AddrcastError | None], None] | None = None
    ) -> None:
        """Do something at the store; answered once: by its result, by its error, or by None for no answer."""
        weather, dice = self._weather, self._dice
        is_open = True

        def reply(result: T | AddrcastError | None) -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                if answer is not None:
                    answer(result)

        def land() -> None:
            if self.is_cut:
                return
            try:
                result: T | AddrcastError = act(self.site.model)
            except AddrcastError as error:
                result = error
            self.site.publish()
            if dice.random() >= weather.reply_loss and not self.is_cut:
                self.timeline.after(dice.randint(1, weather.travel_ms), lambda: reply(result))

        if dice.random() >= weather.request_loss and not self.is_cut:
            travel_ms = weather.late_ms if dice.random() < weather.late else weather.travel_ms
            self.timeline.after(dice.randint(1, travel_ms), land)
        self.timeline.after(weather.timeout_ms, lambda: reply(None))

    def commit(
        self, transactions: Sequence[Transaction], answer: Callable[[list[Result] | AddrcastError | None], None]
    ) -> None:
        """Commit transactions, each as `rewrite` leaves it; answered as if it had been left alone."""
        sent = [self.rewrite(transaction) for transaction in transactions]

        def act(model: ModelStore) -> list[Result]:
            results = model.commit(sent)
            return [_as_asked(model, *pair) for pair in zip(transactions, results, strict=True)]

        self.ask(act, answer)

    def mend(self) -> None:
        """The connection is whole again."""
        self.is_cut = self.is_deaf = False
        self.site.wake()

    def watch(self, prefixes: Sequence[str], after_revision: int, receiver: WatchReceiver) -> Watch:
        """Follow changes from a revision on."""
        return Watch(self, tuple(prefixes), after_revision, receiver)

    def lag_ms(self) -> int:
        """How late the next news of a watch is."""
        weather = self._weather
        return self._dice.randint(1, weather.stall_ms if self._dice.random() < weather.stall else weather.watch_ms)


@dataclass(frozen=True, slots=True)
class WatchReceiver:
    """What a watch tells: a change, or (once, as the last thing) that it cannot go on without a gap."""

    changed: Callable[[Change], None]
    compacted: Callable[[], None]


def _as_asked(model: ModelStore, asked: Transaction, result: Result) -> Result:
    if result.is_success or len(result.current) == len(asked.compares):
        return result
    found = {item.key: item for item in model.read([compare.key for compare in asked.compares]).items}
    return replace(result, current=tuple(found.get(compare.key) for compare in asked.compares))


class Watch:
    """One running watch; delivers in order, late, and nothing while its link is cut."""

    def __init__(self, link: Link, prefixes: tuple[str, ...], after_revision: int, receiver: WatchReceiver) -> None:
        self._link = link
        self._prefixes = prefixes
        self._cursor = after_revision
        self._receiver = receiver
        self._lineage = link.site.lineage
        self._is_due = False
        self._number = link.site.enter(self._wake)
        self._wake()

    def stop(self) -> None:
        """Tell nothing more."""
        self._link.site.watchers.pop(self._number, None)

    def _wake(self) -> None:
        site = self._link.site
        if not self._is_due and (site.model.revision != self._cursor or site.lineage != self._lineage):
            self._is_due = True
            up_to = site.model.revision
            self._link.timeline.after(self._link.lag_ms(), lambda: self._deliver(up_to))

    def _deliver(self, up_to: int) -> None:
        self._is_due = False
        site = self._link.site
        if self._number not in site.watchers or self._link.is_cut or self._link.is_deaf:
            return
        # a store that was restored may not have come to the cursor: there is a gap to either side
        if site.lineage != self._lineage or self._cursor > site.model.revision:
            self._end()
            return
        try:
            changes = site.model.changes(self._prefixes, after_revision=self._cursor, up_to=up_to)
        except Compacted:
            self._end()
            return
        self._cursor = max(self._cursor, up_to)
        for change in changes:
            if self._number in site.watchers:
                self._receiver.changed(change)
        if self._number in site.watchers:
            self._wake()

    def _end(self) -> None:
        self.stop()
        self._receiver.compacted()

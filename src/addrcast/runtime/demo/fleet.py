"""The instances of one account, as its autoscaler sees them: how many there shall be, on which hosts, which go."""

from __future__ import annotations

import random
from collections import Counter, deque

from addrcast.runtime.demo.site import HOSTS

RECENT_STEPS = 48


class Fleet:
    """An account's live instances and where it created lately; dice are seeded by the account's name."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.live: dict[str, str] = {}
        self.recent: deque[Counter[str]] = deque(maxlen=RECENT_STEPS)
        self._dice = random.Random(account)  # noqa: S311 - a game's dice
        self._born = 0

    def recent_creates(self) -> Counter[str]:
        """Creates of the recent steps by host."""
        return sum(self.recent, Counter())

    def names(self, count: int) -> list[str]:
        """Ids for new instances; none is used twice."""
        self._born += count
        return [f"{self.account}-{number}" for number in range(self._born - count, self._born)]

    def leaving(self, count: int) -> list[str]:
        """Instances that the autoscaler ends, drawn from all alike."""
        return self._dice.sample(list(self.live), count)

    def hosts_for(self, count: int) -> list[str]:
        """The host that each of some new instances is put on: always the one that has fewest of the account."""
        load = Counter(dict.fromkeys(HOSTS, 0))
        load.update(self.live.values())
        chosen = []
        for _ in range(count):
            host = min(HOSTS, key=lambda name: (load[name], name))
            load[host] += 1
            chosen.append(host)
        return chosen

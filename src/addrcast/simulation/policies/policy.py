"""The function type of every policy a replay compares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from addrcast.simulation.trace import Trace

# How long a create waits that finds nothing ready. The vendors' own constants: one address call to EC2 takes
# about 0.6 s (the resource controller), attaching a new interface 10-15 s (issue 420 of the CNI plugin).
ADDRESS_CALL_S = 0.6
NEW_INTERFACE_S = 12.5


@dataclass(frozen=True, slots=True)
class Decision:
    """How many addresses one setting of a policy holds idle: float32 `(N, T - scored_from - lead)`.

    Column `j` is decided at trace column `scored_from + j` from what is known then. `calls` is how many back-end
    calls the policy made in the scored part, summed over accounts (0 where a policy has no such notion).
    """

    setting: str
    idle: NDArray[np.float32]
    calls: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """A named policy; `decide` yields one decision for each point of its grid of settings.

    `cooldown_s` is how long a released address stays unusable to its own account; `miss_s` is how long a create
    waits that finds nothing held ready.
    """

    name: str
    decide: Callable[[Trace], Iterator[Decision]]
    cooldown_s: float = 0.0
    miss_s: float = ADDRESS_CALL_S
    is_reactive: bool = True

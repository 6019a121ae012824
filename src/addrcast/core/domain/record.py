"""The values in the store: one struct for each kind of key, and the entry that bears its revisions."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Generic, TypeVar

import msgspec

from addrcast.core.domain.quick_enum import quick

SCHEMA_OLDEST = 1
SCHEMA_VERSION = 2


@quick
class AddressState(Enum):
    """The states of an address; an address without a record is free."""

    RESERVED = "reserved"
    BOUND = "bound"
    PRESERVED = "preserved"
    COOLING = "cooling"


@quick
class HoldState(Enum):
    """The states of a physical address; without a key it is free."""

    HELD = "held"
    COOLING = "cooling"


@quick
class InstanceState(Enum):
    """What an instance's key says of it."""

    BOUND = "bound"
    TOMBSTONE = "tombstone"


@quick
class Outcome(Enum):
    """How a create got an address; every one but `dynamic` was held ready for the account.

    `preserved` is the same instance's former address, `shadow` one ready on the host it goes to, `rebound` one
    moved there, `dynamic` a free one.
    """

    PRESERVED = "preserved"
    SHADOW = "shadow"
    REBOUND = "rebound"
    DYNAMIC = "dynamic"


@quick
class HostState(Enum):
    """How far a host is: `lost` is given up, `rejoining` is waited for again, `up` is that and serves."""

    UP = "up"
    LOST = "lost"
    REJOINING = "rejoining"


@quick
class EpochState(Enum):
    """Whether the store takes creates: closed after a restore, frozen while it is migrated."""

    OPEN = "open"
    CLOSED = "closed"
    FROZEN = "frozen"


class Value(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    forbid_unknown_fields=True,
    tag_field="v",
    tag=SCHEMA_VERSION,
):
    """What every value in the store bears: `v`, the version of its schema.

    In memory every value is of the newest version; the codec writes it as an older one, and reads it from that.
    """


class Record(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The network address record R: where `logical` of an account is delivered, and in which state.

    `placed_revision` is the revision of the last change of `physical` or `host`; 0 means that the write of this
    value was that change. `since_ms` is when the state was entered. `instance` is the owner while bound, the last
    one while preserved or cooling. `was_bound` decides whether cooling has a minimum time. `request` names the
    request that wrote the value, for reading back after a lost reply.
    """

    state: AddressState
    physical: str
    host: str
    pool: str
    since_ms: int
    instance: str = ""
    attempt: int = 0
    placed_revision: int = 0
    was_bound: bool = False
    is_shared: bool = False
    request: str = ""


class PhysicalHold(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The key P of a physical address: held for, or cooling after, one (account, logical)."""

    state: HoldState
    account: str
    logical: str
    host: str
    since_ms: int


class InstanceEntry(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The key I of an instance: its addresses and how it got each while bound, a tombstone after release."""

    state: InstanceState
    attempt: int
    since_ms: int
    addresses: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    request: str = ""


class PoolAddress(Value, frozen=True, kw_only=True):
    """The key Q of an address of a pool that accounts share: which account has it."""

    account: str


class Host(Value, frozen=True, kw_only=True):
    """The key H: a host's state, how often it returned, and the physical blocks that are routed to it.

    `is_draining` is the operator's wish, whatever the state: no new use, what is idle cools, what is bound stays.
    """

    state: HostState
    incarnation: int
    blocks: tuple[str, ...]
    is_draining: bool = False

    @property
    def takes_use(self) -> bool:
        """Whether addresses may be placed here."""
        return self.state is HostState.UP and not self.is_draining

    @property
    def will_take_use(self) -> bool:
        """Whether it takes use now, or will as soon as it is back."""
        return self.state is not HostState.LOST and not self.is_draining


class Subscription(Value, frozen=True, kw_only=True):
    """The key S: a host mirrors an account; it is never leased.

    `is_idle` says that nothing of the account is on the host and that it may leave next: who places something there
    writes S anew. `is_leaving` says that the host clears its tables.
    """

    is_idle: bool = False
    is_leaving: bool = False

    @property
    def stands(self) -> bool:
        """Nobody is about to take it away; what is placed on the host need only compare it."""
        return not (self.is_idle or self.is_leaving)


class Acknowledgement(Value, frozen=True, kw_only=True):
    """The key A: an account is complete in a host's tables up to `revision`."""

    epoch: int
    revision: int
    incarnation: int


class StoreEpoch(Value, frozen=True, kw_only=True, tag=False):
    """The key E: bumped by restore and migration, compared in every transaction.

    The version of its own value is the one in which everybody writes: whoever cannot read it must not go on.
    """

    v: Annotated[int, msgspec.Meta(ge=SCHEMA_OLDEST, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    epoch: int
    state: EpochState = EpochState.OPEN


class Attached(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An instance that a host has: its logical address, where that is delivered, its attempt."""

    logical: str
    physical: str
    instance: str
    attempt: int


class Attachments(Value, frozen=True, kw_only=True):
    """The key `host_attached.<host>.<account>`: what a host had of an account when it was counted in an epoch."""

    epoch: int
    incarnation: int
    attached: tuple[Attached, ...]


class HostReport(Value, frozen=True, kw_only=True):
    """The key `host_report.<host>`: how much a host knows of its attachments, written after all of them.

    `accounts` is the number of accounts of which it has any. `is_accepted` is the operator's word that the store
    may open though this host does not know, or has what cannot be taken over; it stays as long as the epoch.
    """

    epoch: int
    incarnation: int
    is_known: bool
    accounts: int = 0
    is_accepted: bool = False


class StoreMove(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The key `store_move`: in a store that is being filled where from, in a frozen one where to.

    `mark` tells one copy from any other. `is_done` stands in the frozen one before the other store opens;
    `was_closed` is what it goes back to.
    """

    since_ms: int
    source: str = ""
    target: str = ""
    mark: str = ""
    was_closed: bool = False
    is_done: bool = False


T = TypeVar("T")


class Entry(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A key as it was read: its value (None where absent) and its revisions (0 where absent)."""

    key: str
    value: T | None = None
    revision: int = 0
    created: int = 0

    def __bool__(self) -> bool:
        return self.value is not None

    @property
    def required(self) -> T:
        """The value of a key that is known to exist."""
        assert self.value is not None, f"{self.key} is absent"  # noqa: S101
        return self.value

"""How the `bpf` backend names, sizes and reaches what it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_OVERHEAD_BYTES = 36
_OVERHEAD_V6_BYTES = 56
FILE_SYSTEM = Path("/sys/fs/bpf")


@dataclass(frozen=True, slots=True)
class BpfSettings:
    """One host's tables on one machine.

    Maps and links are pinned in `directory/prefix`; hosts that share a machine need different prefixes. The tunnel
    and the hosts' ends of instances' interfaces are in the namespace `substrate`, by default that of the process.
    All hosts of a substrate need the same `port`; the packets are those of the `routes` backend's variant `gpe`, so
    the two can be neighbours. `entries_max` and the others bound the kernel's memory: about 104 bytes an entry when
    it is there, 16 ahead of it. `is_substrate_ipv6`: physical addresses may be IPv6, which takes 20 bytes more of
    each packet. Every `poll_s` it is looked whether others have changed something.
    """

    prefix: str = "addrcast"
    directory: Path = FILE_SYSTEM
    substrate: Path | None = None
    tunnel: str = "addrcast"
    port: int = 4790
    substrate_mtu: int = 1500
    is_substrate_ipv6: bool = False
    entries_max: int = 1 << 20
    accounts_max: int = 1 << 16
    instances_max: int = 1 << 14
    poll_s: float = 1.0

    @property
    def instance_mtu(self) -> int:
        """The largest packet of an instance, in bytes."""
        return self.substrate_mtu - (_OVERHEAD_V6_BYTES if self.is_substrate_ipv6 else _OVERHEAD_BYTES)

    @property
    def pins(self) -> Path:
        """Where everything is pinned."""
        return self.directory / self.prefix

    def max_entries(self, name: str) -> int | None:
        """The bound of one of the maps; None where the programs fix it."""
        bounds = {"entries": self.entries_max, "accounts": self.accounts_max}
        return bounds.get(name, self.instances_max if name in {"instances", "ports"} else None)

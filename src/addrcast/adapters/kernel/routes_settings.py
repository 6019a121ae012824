"""How the `routes` backend names, sizes and reaches what it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from addrcast.adapters.kernel.namespace import RUN_DIRECTORY

Variant = Literal["gpe", "plain"]

_OVERHEAD_BYTES = {("gpe", False): 36, ("gpe", True): 56, ("plain", False): 50, ("plain", True): 70}


@dataclass(frozen=True, slots=True)
class RoutesSettings:
    """One host's tables on one machine.

    Accounts are the network namespaces `<prefix><VNI>` in `directory`; hosts that share a machine need different
    prefixes. The tunnels' sockets are in the namespace `substrate`, by default that of the process. `variant`
    `plain` needs neither GPE nor VNI filters; all hosts of a substrate need the same variant and `port` (0 is the
    variant's own: 4790 or 4789). `is_substrate_ipv6`: physical addresses may be IPv6, which takes 20 bytes more of
    each packet; the plain variant then takes IPv6 only. At most `open_max` accounts have a socket at a time.
    """

    prefix: str = "addrcast-"
    directory: Path = RUN_DIRECTORY
    substrate: Path | None = None
    variant: Variant = "gpe"
    port: int = 0
    substrate_mtu: int = 1500
    is_substrate_ipv6: bool = False
    open_max: int = 256

    @property
    def instance_mtu(self) -> int:
        """The largest packet of an instance, in bytes."""
        return self.substrate_mtu - _OVERHEAD_BYTES[self.variant, self.is_substrate_ipv6]

    @property
    def tunnel_port(self) -> int:
        """The UDP port of the tunnels."""
        return self.port or (4790 if self.variant == "gpe" else 4789)

    def namespace(self, vni: int) -> Path:
        """Where the namespace of an account has its name."""
        return self.directory / f"{self.prefix}{vni}"

    def vni_of(self, name: str) -> int | None:
        """The VNI of the account that a namespace's name stands for; None where it is not one of ours."""
        digits = name.removeprefix(self.prefix)
        if not name.startswith(self.prefix) or not digits.isdecimal() or str(int(digits)) != digits:
            return None
        return int(digits)

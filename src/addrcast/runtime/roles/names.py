"""Names that a process gives itself where its settings give it none."""

from __future__ import annotations

import os
import re
import socket


def own_name() -> str:
    """The name of this machine and the number of this process, in letters that names may have."""
    machine = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname()) or "host"
    return f"{machine[:50]}-{os.getpid()}"

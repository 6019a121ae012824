"""Where history comes from."""

from addrcast.adapters.demand.history import read_history
from addrcast.adapters.demand.layouts import parse_columns

__all__ = ["parse_columns", "read_history"]

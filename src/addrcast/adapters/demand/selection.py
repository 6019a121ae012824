"""Which rows of a table count, and why the others do not."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Selection:
    """The rows that count; each `leave_out` takes some away and remembers how many and why."""

    def __init__(self, rows: int) -> None:
        self._counted = np.ones(rows, dtype=bool)
        self._ignored: list[tuple[str, int]] = []

    def leave_out(self, rows: NDArray[np.bool_], why: str) -> None:
        """Count these rows no longer."""
        left_out = int(np.count_nonzero(self._counted & rows))
        if left_out:
            self._ignored.append((why, left_out))
            self._counted &= ~rows

    def leave_out_accounts(self, ids: pl.Series, *, glob: str) -> None:
        """Count only the rows of accounts whose id matches a shell pattern, case and all.

        Raises: Invalid where no account matches.
        """
        accounts = ids.unique().sort()
        matching = [account for account in accounts if fnmatchcase(account, glob)]
        if not matching:
            raise Invalid("--accounts", glob, f"matches none of {accounts.len():,} accounts, such as {accounts[0]}")
        self.leave_out(~ids.is_in(matching).to_numpy(), f"account does not match {glob}")

    def rows(self, source: str) -> NDArray[np.intp]:
        """The indices of the rows that count.

        Raises: Invalid where none is left.
        """
        rows = np.flatnonzero(self._counted)
        if not rows.size:
            raise Invalid(source, self.ignored, "no row is left to read")
        return rows

    @property
    def ignored(self) -> tuple[tuple[str, int], ...]:
        """Why rows were left out, and how many, in the order in which it happened."""
        return tuple(self._ignored)


def account_codes(ids: pl.Series) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """The ids in ascending order, and for each row the index of its own."""
    accounts = ids.unique().sort()
    codes = ids.cast(pl.Enum(accounts)).to_physical().to_numpy().astype(np.int32)
    return tuple(accounts.to_list()), codes

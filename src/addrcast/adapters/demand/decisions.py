"""A replay's decisions as a Parquet file that anyone can score again."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class DecisionFile:
    """Writes (policy, setting, account_id, timestamp, idle) rows: parts beside the file first, merged at the end.

    Timestamps are UTC without a zone, so that they join those of a history file as it is read.

    Used as a context manager; the file appears, whole, when the block ends without an error.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        accounts: Sequence[str],
        times_s: NDArray[np.int64],
        rows_of_a_part: int = 4_000_000,
    ) -> None:
        self._path = Path(path)
        self._rows_of_a_part = rows_of_a_part
        self._accounts = pl.Series("account_id", accounts, dtype=pl.String)
        self._times = pl.Series("timestamp", times_s * 1_000_000).cast(pl.Datetime("us"))
        self._parts = TemporaryDirectory(prefix=f".{self._path.name}.", dir=self._path.parent)
        self._pending: list[pl.DataFrame] = []
        self._written = 0

    def add(self, policy: str, setting: str, idle: NDArray[np.float32]) -> None:
        """Adds one decision: `idle` has a row for each account and a column for each time."""
        accounts, times = len(self._accounts), len(self._times)
        frame = pl.DataFrame(
            {
                "policy": pl.repeat(policy, accounts * times, dtype=pl.Categorical, eager=True),
                "setting": pl.repeat(setting, accounts * times, dtype=pl.Categorical, eager=True),
                "account_id": self._accounts.gather(np.repeat(np.arange(accounts), times)),
                "timestamp": self._times.gather(np.tile(np.arange(times), accounts)),
                "idle": np.ascontiguousarray(idle).reshape(-1),
            }
        )
        self._pending.append(frame)
        if sum(frame.height for frame in self._pending) >= self._rows_of_a_part:
            self._write_part()

    def _write_part(self) -> None:
        part = Path(self._parts.name) / f"{self._written:06d}.parquet"
        pl.concat(self._pending).write_parquet(part)
        self._pending.clear()
        self._written += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._parts:
            if kind is None:
                self._merge()

    def _merge(self) -> None:
        if self._pending:
            self._write_part()
        whole = Path(self._parts.name) / "whole"
        pl.scan_parquet(Path(self._parts.name) / "*.parquet").sink_parquet(whole)
        whole.replace(self._path)

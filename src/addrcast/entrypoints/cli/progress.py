"""Progress on the error stream, for work that turns out to take longer than two seconds."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE_S = 2.0
_LINE_EVERY_S = 10.0


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Gives `advance(done, total)`.

    On a terminal a line is redrawn in place; elsewhere a line is written now and then, so that a log shows life.
    """
    started = time.monotonic()
    is_terminal = sys.stderr.isatty()
    shown = 0.0

    def advance(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        every = 0.2 if is_terminal else _LINE_EVERY_S
        if now - started < _PATIENCE_S or now - shown < every:
            return
        shown = now
        line = f"{label}: {done:,} of {total:,} ({done / max(total, 1):.0%}), {now - started:.0f} s"
        click.echo(f"\r{line}\x1b[K" if is_terminal else line, nl=not is_terminal, err=True)

    try:
        yield advance
    finally:
        if shown and is_terminal:
            click.echo("\r\x1b[K", nl=False, err=True)

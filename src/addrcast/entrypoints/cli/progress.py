"""Progress on the error stream, for work that turns out to take longer than two seconds."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 2.0
_REDRAW_S = 0.5
_LINE_S = 10.0
_BAR = 24


@contextmanager
def progress(
    label: str, *, patience_s: float = PATIENCE_S, pause_s: float | None = None
) -> Iterator[Callable[[int, int], None]]:
    """Gives `advance(done, total)`, and shows how far it is and for how long, whether or not it is called.

    Nothing is shown for `patience_s`. On a terminal a bar is then redrawn in place; elsewhere a line is written now
    and then, so that a log shows life.
    """
    started = time.monotonic()
    is_terminal = sys.stderr.isatty()
    pause_s = pause_s or (_REDRAW_S if is_terminal else _LINE_S)
    ended = Event()
    reached = [0, 0]

    def advance(done: int, total: int) -> None:
        reached[:] = done, total

    def show() -> None:
        wait_s = patience_s
        while not ended.wait(wait_s):
            wait_s = pause_s
            line = line_of(label, *reached, elapsed_s=time.monotonic() - started)
            click.echo(f"\r{line}\x1b[K" if is_terminal else line, nl=not is_terminal, err=True)

    shower = Thread(target=show, daemon=True)
    shower.start()
    try:
        yield advance
    finally:
        ended.set()
        shower.join()
        if is_terminal:
            click.echo("\r\x1b[K", nl=False, err=True)


def line_of(label: str, done: int, total: int, *, elapsed_s: float) -> str:
    """What is shown of work that has done so much of a total; 0 where the total is not known yet."""
    if total == 0:
        return f"{label}: {f'{done:,}, ' if done else ''}{elapsed_s:.0f} s"
    full = _BAR * done // total
    return f"{label} [{'#' * full}{'.' * (_BAR - full)}] {done:,} of {total:,}, {elapsed_s:.0f} s"

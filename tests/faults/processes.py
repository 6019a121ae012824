"""The processes of a run: started by the run, told what to do line by line, and answering each line with one."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

ROOT = Path(__file__).parents[2]
ANSWER_S = 30.0
LINE_BYTES_MAX = 16 << 20


class Process:
    """A module of this package as a child process."""

    def __init__(self, name: str, module: str, words: Sequence[str], *, log: Path) -> None:
        self.name = name
        self._words = [sys.executable, "-m", f"tests.faults.{module}", name, *words]
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._talk = asyncio.Lock()

    async def start(self) -> None:
        """Start it, and wait until it is at work. Raises RuntimeError with the end of its log."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                limit=LINE_BYTES_MAX,
            )
        await self._answer()

    async def tell(self, line: str) -> str:
        """Have it do something, and hear the answer. Raises RuntimeError where it has ended or does not answer."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        async with self._talk:
            process.stdin.write(f"{line}\n".encode())
            return await self._answer()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def proceed(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it, whatever it does; nothing where it has ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            end = "\n".join(self._log.read_text(errors="replace").splitlines()[-30:])
            raise RuntimeError(f"{self.name} does not answer: {end}")
        return line.decode().strip()


async def orders() -> AsyncIterator[str]:
    """In a child: the lines it is told, until its parent has gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


def answer(line: str = "done") -> None:
    """In a child: the answer to a line, and at first, that it is at work."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def log_to_stderr(level: int = logging.WARNING) -> None:
    """In a child: what it has to say goes to its log."""
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)

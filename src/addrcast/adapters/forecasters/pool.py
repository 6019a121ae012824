"""Worker processes for forecasts one series at a time: each has one thread, a time-out, and can be done without."""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import os
import signal
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol

from addrcast.core.domain.errors import Unavailable

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_START_S = 120.0
_STARTS_FAILED_MAX = 2


class Work(Protocol):
    """What a worker does with a task; it is pickled by the name of its class."""

    @property
    def module(self) -> str:
        """The library that a worker loads before its first task, which is not part of any task's time."""

    def __call__(self, task: Any) -> Any:
        """The answer. Whatever it raises is that task's failure."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task has no answer."""

    reason: str


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    deadline_s: float
    task: int | None = None
    is_ready: bool = False


@dataclass(slots=True)
class SeriesPool:
    """Up to `workers` processes that do `work`, started when first needed and kept until `close`.

    A task may take `task_s`, all tasks of a call `total_s`, which tasks that wait are part of. A worker that is too
    late, or dies, is killed with all that it started, and another one takes its place.
    """

    work: Work
    workers: int
    task_s: float
    total_s: float
    _alive: list[_Worker] = field(default_factory=list)

    def answers(self, tasks: Sequence[Any]) -> list[Any]:
        """The answer to each task, a Failure where there is none.

        Raises: Unavailable where workers do not start.
        """
        found: list[Any] = [Failure(f"not begun within {self.total_s:g} s in all")] * len(tasks)
        waiting = deque(range(len(tasks)))
        end_s = time.monotonic() + self.total_s
        starts_failed = 0
        while (waiting or self._busy()) and time.monotonic() < end_s:
            self._hand_out(tasks, waiting)
            soonest_s = min(worker.deadline_s for worker in self._alive)
            pipes = [worker.pipe for worker in self._alive]
            heard = wait(pipes, max(0.0, min(soonest_s, end_s) - time.monotonic()))
            for worker in [worker for worker in self._alive if worker.pipe in heard]:
                starts_failed += not self._hear(worker, found)
            for worker in [worker for worker in self._alive if worker.deadline_s <= time.monotonic()]:
                starts_failed += not worker.is_ready
                if worker.task is not None:
                    found[worker.task] = Failure(f"longer than {self.task_s:g} s")
                self._end(worker)
            if starts_failed > _STARTS_FAILED_MAX:
                self.close()
                raise Unavailable(f"workers with {self.work.module} do not start", retry_after_ms=60_000)
        for worker in self._busy():
            if worker.task is not None:
                found[worker.task] = Failure(f"not done within {self.total_s:g} s in all")
            self._end(worker)
        return found

    def close(self) -> None:
        """End all workers, and wait for them: their processor time is then this process's children's."""
        for worker in list(self._alive):
            self._end(worker)

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._alive if worker.task is not None]

    def _hand_out(self, tasks: Sequence[Any], waiting: deque[int]) -> None:
        while len(self._alive) < min(self.workers, len(waiting) + len(self._busy())):
            self._alive.append(_started(self.work))
        for worker in self._alive:
            if worker.is_ready and worker.task is None and waiting:
                worker.task = waiting.popleft()
                worker.deadline_s = time.monotonic() + self.task_s
                with contextlib.suppress(OSError):  # a dead worker is heard of as the end of its pipe
                    worker.pipe.send(tasks[worker.task])

    def _hear(self, worker: _Worker, found: list[Any]) -> bool:
        """Take what a worker says; False where it died before it was ready."""
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            if worker.task is not None:
                found[worker.task] = Failure("its process died")
            self._end(worker)
            return worker.is_ready
        if worker.task is not None:
            found[worker.task] = said
        worker.is_ready, worker.task, worker.deadline_s = True, None, float("inf")
        return True

    def _end(self, worker: _Worker) -> None:
        self._alive.remove(worker)
        worker.pipe.close()
        if worker.process.pid is not None:
            # The group too: Prophet leaves the fit to a program of its own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.kill()
        worker.process.join()
        worker.process.close()


def _started(work: Work) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    with _one_thread():
        process.start()
    theirs.close()
    return _Worker(process, ours, time.monotonic() + _START_S)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """The environment that a started process takes over: numerical libraries use one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, work: Work) -> None:
    """A worker's life: load the library, say so, answer tasks until the pipe ends."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    importlib.import_module(work.module)
    pipe.send(None)
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            try:
                answer = work(task)
            except Exception as fault:  # whatever the library raises is this series' failure alone
                answer = Failure(f"{type(fault).__name__}: {fault}"[:200])
            pipe.send(answer)

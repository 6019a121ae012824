"""Tests that need rights over network namespaces: root runs them as they are, anyone else in a user namespace.

A test with the mark `net_admin` runs where this process may make network namespaces. Where it may not, the test
`tests/test_user_namespace.py` runs all of them in one process inside `unshare -Urnm`, and the summary names what
was skipped there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
INSIDE = "ADDRCAST_TEST_IN_USER_NAMESPACE"
REPORTS = pytest.StashKey[list[str]]()

# /run belongs to somebody else in there, and the names of namespaces lie in it; /sys shows the outer interfaces
_ENTER = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c"]
_PREPARE = 'mount -t tmpfs none /run && exec "$0" "$@"'


@cache
def has_rights() -> bool:
    """Whether this process may make network namespaces."""
    return os.geteuid() == 0 and _succeeds(["unshare", "--net", "true"])


@cache
def has_user_namespaces() -> bool:
    """Whether anybody may have such rights inside a user namespace of their own."""
    return _succeeds([*_ENTER, _PREPARE, "true"])


def run_inside(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run pytest in a user namespace."""
    pytest_command = [sys.executable, "-m", "pytest", "-rs", *arguments]
    environment = {**os.environ, INSIDE: "1"}
    return subprocess.run(
        [*_ENTER, _PREPARE, *pytest_command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs rights where there are none; see the module."""
    if has_rights():
        return
    where = "runs in a user namespace" if has_user_namespaces() else "neither root nor user namespaces here"
    for item in items:
        if item.get_closest_marker("net_admin") is not None:
            item.add_marker(pytest.mark.skip(reason=where))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what ran in the user namespace, and what was skipped there."""
    for report in terminalreporter.config.stash.get(REPORTS, []):
        terminalreporter.section("in a user namespace")
        terminalreporter.write_line(report)


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False

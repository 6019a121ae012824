"""What a reader of the tree relies on: sizes, first lines, a true map, no broken links."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [path for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "ARCHITECTURE.md") if path.exists()]
PAGES += sorted((ROOT / "docs").rglob("*.md"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_module_says_what_lives_there_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "the first docstring line is the module's entry in the map"
    assert text.count("\n") <= 500, "which two ideas live in it?"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_function_is_longer_than_60_lines(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 60, node.name


def test_the_map_of_the_code_is_true() -> None:
    check = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "architecture.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_requirements_bear_hashes_and_name_no_index() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text()
        assert "://" not in text, path.name
        pins = len(re.findall(r"^[\w.\-]+(?:\[[^]]*\])?==", text, flags=re.MULTILINE))
        starts = len(re.findall(r"^[\w.\-]+(?:\[[^]]*\])?==[^\n]*\\\n\s+--hash=", text, flags=re.MULTILINE))
        assert pins == starts > 0, path.name

"""Writes the tree of ARCHITECTURE.md from the first docstring line of every module; `--check` only compares."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- tree -->\n", "<!-- /tree -->"


def first_line(path: Path) -> str:
    """The first docstring line of a module, `(empty)` for a module that has none."""
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    return docstring.splitlines()[0] if docstring else "(empty)"


def lines_of(folder: Path, depth: int) -> list[str]:
    """The tree below a package, one line for each package and module."""
    indent = "  " * depth
    lines = [f"{indent + folder.name + '/':<36}{first_line(folder / '__init__.py')}"]
    for path in sorted(folder.iterdir(), key=lambda entry: (entry.is_dir(), entry.name)):
        if path.is_dir() and (path / "__init__.py").exists():
            lines += lines_of(path, depth + 1)
        elif path.suffix == ".py" and path.name != "__init__.py":
            lines.append(f"{'  ' * (depth + 1) + path.stem:<36}{first_line(path)}")
    return lines


def rendered(page: str) -> str:
    """The page with its tree made anew."""
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    tree = "\n".join(lines_of(ROOT / "src" / "addrcast", 0))
    return f"{head}{BEGIN}```text\n{tree}\n```\n{END}{tail}"


def main() -> int:
    """Write the page, or with `--check` say whether it is true."""
    page = PAGE.read_text()
    fresh = rendered(page)
    if "--check" in sys.argv[1:]:
        if page != fresh:
            print("ARCHITECTURE.md is out of date: run tools/architecture.py")
        return int(page != fresh)
    PAGE.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())

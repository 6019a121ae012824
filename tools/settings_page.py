"""Writes the tables of docs/operating/settings.md from the settings of all roles; `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from addrcast.runtime.settings import ROLES
from addrcast.runtime.settings_table import Setting, known_settings, settings_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operating" / "settings.md"
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->"


def section_lines(section: str, settings: list[Setting]) -> list[str]:
    """One section: which roles have it, and a row for each setting."""
    roles = [role for role, schema in ROLES.items() if any(one.section == section for one in settings_of(schema))]
    lines = [f"### `[{section}]`", "", f"Of {', '.join(f'`{role}`' for role in roles)}.", ""]
    lines += ["| setting | flag | default | what it decides |", "| --- | --- | --- | --- |"]
    for setting in settings:
        flag = f"`{setting.flag}`" if setting.flag else "none, it is a secret"
        shown = str(setting.default).lower() if isinstance(setting.default, bool) else str(setting.default)
        default = f"`{shown}`" if setting.default != "" else ""
        rule = "" if setting.rule == "text is expected" else f" ({setting.rule.removesuffix(' is expected')})"
        decides = f"{setting.decides}{rule}".replace("|", "\\|")
        lines.append(f"| `{setting.name}` | {flag} | {default} | {decides} |")
    return [*lines, ""]


def tables() -> str:
    """All sections, in the order in which roles have them."""
    by_section: dict[str, list[Setting]] = {}
    for setting in known_settings().values():
        by_section.setdefault(setting.section, []).append(setting)
    return "\n".join(line for section, settings in by_section.items() for line in section_lines(section, settings))


def main() -> int:
    """Write the page, or tell that it is not as it should be."""
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    made = f"{head}{BEGIN}{tables()}{END}{tail}"
    if made == text:
        return 0
    if "--check" in sys.argv:
        print(f"{PAGE} is not what tools/settings_page.py makes; run it")
        return 1
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One measured figure, and how figures are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable


class Row(TypedDict):
    """A figure beside what it is measured against.

    `ratio` is value / reference; `goal` is its text, `met` None where a figure has no goal.
    """

    name: str
    value: float
    unit: str
    reference: float | None
    ratio: float | None
    goal: str
    met: bool | None


def at_least(name: str, value: float, unit: str, *, reference: float, goal: float) -> Row:
    """A figure whose ratio to the reference should be at least `goal`."""
    ratio = value / reference
    return Row(
        name=name,
        value=value,
        unit=unit,
        reference=reference,
        ratio=ratio,
        goal=f"ratio >= {goal}",
        met=ratio >= goal,
    )


def below(name: str, value: float, unit: str, *, limit: float) -> Row:
    """A figure that should stay below a limit in its own unit."""
    return Row(
        name=name,
        value=value,
        unit=unit,
        reference=limit,
        ratio=value / limit,
        goal=f"< {limit:g} {unit}",
        met=value < limit,
    )


def plain(name: str, value: float, unit: str, *, reference: float | None = None) -> Row:
    """A figure without a goal."""
    ratio = None if reference is None else value / reference
    return Row(name=name, value=value, unit=unit, reference=reference, ratio=ratio, goal="", met=None)


def table(rows: Iterable[Row]) -> str:
    """The figures as text, one line each."""
    lines = [f"{'figure':<58}{'value':>14} {'unit':<14}{'reference':>14}{'ratio':>8}  goal"]
    for row in rows:
        reference = "" if row["reference"] is None else f"{row['reference']:,.4g}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        verdict = {True: "met", False: "MISSED", None: ""}[row["met"]]
        figure = f"{row['name']:<58}{row['value']:>14,.4g} {row['unit']:<14}"
        lines.append(f"{figure}{reference:>14}{ratio:>8}  {row['goal']} {verdict}")
    return "\n".join(lines)

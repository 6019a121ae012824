"""Which columns of a history file mean what: the layouts known, and the mapping a user gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from addrcast.core.domain.demand import WorkloadProfile
from addrcast.core.domain.errors import Invalid


@dataclass(frozen=True, slots=True)
class Layout:
    """A named set of columns: `required` and `optional` map our name of a column to the file's.

    `unknown` is a number that stands for an unknown value; a row that has it is left out. `profile` is the
    workload profile that the layout implies for want of another.
    """

    name: str
    kind: Literal["series", "events"]
    required: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    unknown: int | None = None
    profile: WorkloadProfile | None = None


# The first whose required columns are all there is taken: the more particular stand before the more general.
LAYOUTS = (
    Layout(
        "events",
        "events",
        {"account_id": "account_id", "created": "created", "deleted": "deleted"},
        {"instance_id": "instance_id", "count": "count"},
    ),
    # Alibaba cluster-trace-gpu-v2025, disaggregated DLRM.
    Layout(
        "DLRM events",
        "events",
        {"account_id": "account_id", "created": "creation_time", "deleted": "deletion_time"},
        {"instance_id": "instance_sn"},
    ),
    # Standard Workload Format of the Parallel Workloads Archive, where -1 is an unknown value.
    Layout(
        "SWF jobs",
        "events",
        {"account_id": "user", "created": "start", "deleted": "end", "count": "procs"},
        {"instance_id": "job"},
        unknown=-1,
    ),
    Layout(
        "M4 steps",
        "series",
        {"account_id": "account_id", "step": "step", "instances": "value"},
        {"split": "split"},
    ),
    # GWA-T-12 Bitbrains; an instance is 50 MHz of used CPU.
    Layout(
        "bitbrains metrics",
        "series",
        {"account_id": "account_id", "timestamp": "timestamp", "cpu_mhz": "cpu_mhz"},
        {"instances": "instances"},
        profile=WorkloadProfile({"cpu_mhz": 50.0}, target_utilisation=1.0, minimum=1),
    ),
    Layout("counts", "series", {"account_id": "account_id", "timestamp": "timestamp", "instances": "instances"}),
    Layout("metrics", "series", {"account_id": "account_id", "timestamp": "timestamp"}),
    Layout("counts by step", "series", {"account_id": "account_id", "step": "step", "instances": "instances"}),
    Layout("metrics by step", "series", {"account_id": "account_id", "step": "step"}),
)


def parse_columns(text: str) -> dict[str, str]:
    """The mapping in `account_id=user,created=start`: our name of a column to the file's.

    Raises: Invalid where a part is not `name=column`, or a name is given twice.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not (name and equals and column):
            raise Invalid("--columns", part, "each part is name=column, as in account_id=user,created=start")
        if name in columns:
            raise Invalid("--columns", part, f"{name} is already mapped to {columns[name]}; map it once")
        columns[name] = column
    return columns


def renamed(found: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """What each column of a file is called after mapping: the file's name to ours, in the file's order.

    A column that is not mapped keeps its name, unless a mapped one takes it: then it is left out.

    Raises: Invalid where a mapped column is not in the file, or is mapped twice.
    """
    ours: dict[str, str] = {}
    for name, column in columns.items():
        if column not in found:
            raise Invalid("--columns", f"{name}={column}", f"the file has no such column, only {', '.join(found)}")
        if column in ours:
            raise Invalid("--columns", f"{name}={column}", f"{column} is already mapped to {ours[column]}")
        ours[column] = name
    return {column: ours.get(column, column) for column in found if column in ours or column not in columns}


def recognised(names: Sequence[str], *, source: str) -> Layout:
    """The layout that a file with columns of these names has.

    Raises: Invalid where there is none; it names the columns found and those that are expected.
    """
    for layout in LAYOUTS:
        if set(layout.required.values()) <= set(names):
            return layout
    raise Invalid(
        f"{source}, header",
        ",".join(names),
        "these columns are no known layout: give account_id,timestamp,instances (counts), "
        "account_id,created,deleted (events) or account_id,timestamp,cpu,memory (metrics), "
        "or map yours, as in --columns account_id=user,created=start,deleted=end",
    )

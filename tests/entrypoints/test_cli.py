"""The command line as such: help, misuse, failures, and what is loaded when."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.entrypoints.cli import daily, run, write_counts

from addrcast.entrypoints.cli import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def addrcast(*args: str) -> subprocess.CompletedProcess[str]:
    called = [sys.executable, "-c", "from addrcast.entrypoints.cli import main; main(prog_name='addrcast')", *args]
    return subprocess.run(called, capture_output=True, text=True, check=False)


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    seen = python(
        "import sys\n"
        "from addrcast.entrypoints.cli import main\n"
        "main(['-h'], standalone_mode=False)\n"
        "print([name for name in ('numpy', 'polars', 'lightgbm', 'lmdb') if name in sys.modules])\n"
    )
    assert seen.returncode == 0, seen.stderr
    for name, what in COMMANDS.items():
        assert f"{name} " in seen.stdout
        assert what in " ".join(seen.stdout.split())
    assert seen.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    result = run(name, "-h")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_the_version_is_told() -> None:
    assert "version" in run("--version").stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nosuch",), "No such command"),
        (("replay",), "Missing argument 'FILE'"),
        (("replay", "absent.csv"), "'absent.csv' does not exist"),
        (("check",), "Missing option '--store'"),
        (("check", "--store", "absent"), "'absent' does not exist"),
        (("forecast", "{file}", "--horizon", "0"), "0 is not in the range"),
        (("forecast", "{file}", "-o", "absent/f.parquet"), "Folder 'absent' does not exist"),
        (("replay", "{file}", "--decisions", "absent/d.parquet"), "Folder 'absent' does not exist"),
        (("replay", "{file}", "--lead", "x"), "'x' is not a valid integer"),
    ],
)
def test_misuse_is_told_in_one_line_with_status_2(tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    file = write_counts(tmp_path / "c.csv", {"a": [1, 2, 3]})
    called = [arg.replace("{file}", str(file)) for arg in args]
    plain, as_json = run(*called), run(*called, "--json")
    assert plain.exit_code == as_json.exit_code == 2
    assert plain.stdout == ""
    assert plain.stderr.startswith("error: ")
    assert plain.stderr.count("\n") == 1
    assert message in plain.stderr
    told = json.loads(as_json.stdout)
    assert told["error"] == "usage"
    assert message in told["message"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--profile", "cpu"), "--profile: 'cpu' is not valid"),
        (("--profile", "cpu=1,cpu=2"), "give it once"),
        (("--profile", "cpu=inf"), "name=figure"),
        (("--profile", "cpu=1,min=0.5"), "a whole number"),
        (("--profile", "cpu=0"), "above 0"),
        (("--columns", "instances"), "--columns"),
        (("--columns", "instances=nosuch"), "only account_id, timestamp, instances"),
        (("--accounts", "z*"), "matches none of 1 accounts, such as a"),
    ],
)
@pytest.mark.parametrize("command", ["replay", "forecast"])
def test_a_wrong_figure_is_told_in_one_line_with_status_1(
    tmp_path: Path, command: str, args: tuple[str, ...], message: str
) -> None:
    file = write_counts(tmp_path / "c.csv", {"a": daily(3, seed=0)})
    plain, as_json = run(command, file, *args), run(command, file, *args, "--json")
    assert plain.exit_code == as_json.exit_code == 1
    assert plain.stdout == ""
    assert message in plain.stderr.splitlines()[-1]
    assert plain.stderr.splitlines()[-1].startswith("error: ")
    told = json.loads(as_json.stdout)
    assert told["error"] == "invalid"
    assert message in told["message"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = write_counts(tmp_path / "c.csv", {"a": daily(3, seed=0)})
    (tmp_path / "taken").write_text("a file, not a folder")
    result = run("replay", file, "-o", tmp_path / "taken" / "page", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"error": "file", "message": f"{tmp_path}/taken/page: Not a directory"}


@pytest.mark.parametrize(("command", "extra"), [("replay", "server"), ("plan", "server"), ("demo", "demo")])
def test_a_missing_library_is_told_with_the_extra_that_brings_it(command: str, extra: str) -> None:
    seen = python(
        "import sys\n"
        "sys.modules['numpy'] = None\n"
        "from addrcast.entrypoints.cli import main\n"
        f"main([{command!r}, '-h'])\n"
    )
    assert seen.returncode == 1
    assert seen.stderr == (
        f"error: {command}: 'numpy' is not valid: it is not installed: pip install 'addrcast[{extra}]'\n"
    )


def test_a_process_ends_with_the_status_and_keeps_its_streams_apart(tmp_path: Path) -> None:
    file = write_counts(tmp_path / "c.csv", {"a": daily(3, seed=0)})
    good = addrcast("forecast", str(file), "--engine", "last", "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["engine"] == "last"
    assert good.stderr == "counts: 72 rows, 1 accounts, 72 times 3,600 s apart\n"
    bad = addrcast("forecast", str(file), "--engine", "guess")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.endswith(
        "error: engine: 'guess' is not valid: choose one of seasonal, last, linear, auto, arima, prophet\n"
    )

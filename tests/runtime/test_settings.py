"""Settings: which source wins, what is refused and how, hidden secrets, and that every one is documented."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entrypoints.cli import run

from addrcast.core.agent.settings import AgentSettings
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.domain.errors import Invalid
from addrcast.entrypoints.cli.settings_options import shown, shown_lines
from addrcast.runtime.settings import (
    ROLES,
    AgentRoleSettings,
    ApiSettings,
    ServeSettings,
    agent_settings,
    controller_settings,
)
from addrcast.runtime.settings_sources import load
from addrcast.runtime.settings_table import known_settings

TOOL = Path(__file__).resolve().parents[2] / "tools" / "settings_page.py"


def written(folder: Path, text: str) -> str:
    file = folder / "addrcast.toml"
    file.write_text(text)
    return str(file)


def test_flags_win_over_the_environment_that_over_the_file_and_that_over_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, '[process]\ndrain_ms = 1\n[store]\ndeadline_ms = 100\n[socket]\nmode = "0640"\n')
    environ = {"ADDRCAST_PROCESS_DRAIN_MS": "2", "ADDRCAST_STORE_DEADLINE_MS": "200"}
    loaded = load(ApiSettings, environ=environ, flags={"process.drain_ms": "3"}, file=file)
    settings = loaded.settings
    assert (settings.process.drain_ms, settings.store.deadline_ms, settings.socket.mode) == (3, 200, "0640")
    assert settings.socket.requests_max == ApiSettings().socket.requests_max
    assert [loaded.sources[path] for path in ("process.drain_ms", "store.deadline_ms", "socket.mode")] == [
        "flag --process-drain-ms",
        "variable ADDRCAST_STORE_DEADLINE_MS",
        f"mode in [socket] of {file}",
    ]
    assert loaded.sources["socket.requests_max"] == "default"


def test_the_file_is_found_by_its_variable_and_may_serve_several_roles(tmp_path: Path) -> None:
    file = written(tmp_path, '[agent]\nhost = "h7"\n[api]\nreplica = "left"\n')
    environ = {"ADDRCAST_SETTINGS": file}
    assert load(AgentRoleSettings, environ=environ).settings.agent.host == "h7"
    assert load(ApiSettings, environ=environ).settings.api.replica == "left"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stroe]\n", "'stroe' is not valid: there is no such table: did you mean store?"),
        ("store = 1\n", "'store' is not valid: there is no such table"),
        (
            "[store]\nadress = 'x'\n",
            "[store]: 'adress' is not valid: there is no such setting: did you mean address?",
        ),
        ("[store]\nzzz = 'x'\n", "`addrcast settings` lists all"),
        ("[store]\ndeadline_ms = -1\n", "store.deadline_ms, from deadline_ms in [store] of"),
        ("[store]\ndeadline_ms = true\n", "True is not valid: a whole number of at least 0 and at most 60000"),
        ("[planning]\nis_on = 'perhaps'\n", "true or false is expected"),
        ("[log]\nlevel = 'loud'\n", "one of debug, error, info, warning is expected; by default 'info'"),
        ("[store\n", "it is no TOML"),
    ],
)
def test_what_a_file_may_not_say_is_told_with_its_place_and_the_way_out(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(Invalid) as refused:
        load(ServeSettings, environ={}, file=written(tmp_path, text))
    assert message in str(refused.value)
    assert "addrcast.toml" in str(refused.value)


def test_variables_of_others_are_let_be_and_misspelt_ones_of_ours_are_not() -> None:
    load(ServeSettings, environ={"ADDRCAST_KILLS": "4", "HOME": "/"})
    for name in ("ADDRCAST_STORE_FOO", "ADDRCAST_STROE_ADDRESS"):
        with pytest.raises(Invalid, match=name):
            load(ServeSettings, environ={name: "1"})


def test_a_secret_is_taken_from_a_file_and_shown_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\nand a comment\n")
    environ = {"ADDRCAST_STORE_TOKEN": "t0ken", "ADDRCAST_STORE_PASSWORD_FILE": str(secret)}
    loaded = load(ServeSettings, environ=environ)
    assert (loaded.settings.store.password, loaded.settings.store.token) == ("hunter2", "t0ken")
    assert sorted(loaded.secrets()) == ["hunter2", "t0ken"]
    for text in (repr(loaded), str(shown(loaded)), "\n".join(shown_lines(loaded))):
        assert "hunter2" not in text
        assert "t0ken" not in text
    assert loaded.sources["store.password"] == f"file {secret}"


def test_a_secret_has_one_source_and_its_file_can_be_read(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    both = {"ADDRCAST_STORE_TOKEN": "x", "ADDRCAST_STORE_TOKEN_FILE": str(empty)}
    for environ, message in (
        (both, "store.token is given too, from variable ADDRCAST_STORE_TOKEN; give one"),
        ({"ADDRCAST_STORE_TOKEN_FILE": str(empty)}, "its first line is empty"),
        ({"ADDRCAST_STORE_TOKEN_FILE": f"{empty}x"}, "it cannot be read: No such file"),
        ({"ADDRCAST_STORE_TOKEN_FILE": str(tmp_path)}, "it cannot be read: Is a directory"),
    ):
        with pytest.raises(Invalid) as refused:
            load(ServeSettings, environ=environ)
        assert message in str(refused.value)


def test_a_secret_that_is_no_text_is_not_shown_when_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        load(ServeSettings, environ={}, file=written(tmp_path, "[store]\npassword = 1234567\n"))
    assert "1234567" not in str(refused.value)


def test_no_flag_bears_a_secret() -> None:
    secrets = {setting.path: setting.flag for setting in known_settings().values() if setting.is_secret}
    assert secrets == {"store.password": "", "store.token": ""}


def test_flags_and_variables_are_each_of_one_setting() -> None:
    settings = list(known_settings().values())
    flags = [setting.flag for setting in settings if setting.flag]
    assert len(set(flags)) == len(flags)
    assert len({setting.variable for setting in settings}) == len(settings)


@given(st.sampled_from(sorted(known_settings())), st.text(max_size=12))
def test_any_text_is_taken_or_refused_by_name(path: str, text: str) -> None:
    setting = known_settings()[path]
    told = ""
    try:
        setting.read(text, "a flag")
    except Invalid as refused:
        told = str(refused)
    assert not told or told.startswith(f"{path}, from a flag: ")


def test_defaults_are_those_of_the_machines() -> None:
    settings = ServeSettings()
    assert controller_settings(settings.controller, settings.limits) == ControllerSettings()
    assert agent_settings(settings.agent) == AgentSettings()


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    environ = {"ADDRCAST_STORE_ADDRESS": "etcd://a:1", "ADDRCAST_PLANNING_IS_ON": "false"}
    loaded = load(ServeSettings, environ=environ)
    text = "\n".join(shown_lines(loaded))
    assert tomllib.loads(text)["planning"]["is_on"] is False
    assert load(ServeSettings, environ={}, file=written(tmp_path, text)).settings == loaded.settings


@pytest.mark.parametrize("role", ROLES)
def test_the_command_shows_every_setting_of_a_role(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADDRCAST_STORE_ADDRESS", "etcd://a:1")
    found = json.loads(run("settings", role, "--json").stdout)
    assert found["store.address"] == {"value": "etcd://a:1", "from": "variable ADDRCAST_STORE_ADDRESS"}
    assert json.loads(run(role, "--show-settings", "--json").stdout).keys() == found.keys()


def test_every_setting_is_on_the_page_as_the_code_has_it() -> None:
    check = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout

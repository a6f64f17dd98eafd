"""Settings: what wins over what, how each source is read, and faults that can be acted upon and give nothing away."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from northstar_mcp.errors import SettingsInvalid
from northstar_mcp.settings import Settings, environment_name

KEY = "sk_live_0123456789abcdef"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def config(folder: Path, text: str) -> dict[str, str]:
    """An environment that names a configuration file with this text."""
    path = folder / "northstar.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return {"NORTHSTAR_MCP_CONFIG": str(path)}


def faults(env: dict[str, str], **flags: Any) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.load(env=env, flags=flags)
    assert caught.value.remedy
    assert caught.value.__cause__ is None
    return caught.value.message


# ---- what wins


def test_without_any_source_the_defaults_stand() -> None:
    settings = Settings.load(env={})
    assert settings == Settings()
    assert settings.api_key is None
    assert settings.base_url == "https://api.tzafon.ai"
    assert (settings.reattach, settings.log_level) == ("get", "WARNING")
    assert (settings.max_steps, settings.kinds, settings.start_url_hosts) == (None, None, None)


def test_flags_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    env = config(tmp_path, "max_steps = 1\nmax_retries = 1\ntimeout_seconds = 1.5")
    env |= {"NORTHSTAR_MCP_MAX_STEPS": "2", "NORTHSTAR_MCP_MAX_RETRIES": "2"}
    settings = Settings.load(env=env, flags={"max_steps": 3, "max_retries": None})
    assert (settings.max_steps, settings.max_retries, settings.timeout_seconds) == (3, 2, 1.5)


def test_the_platforms_configuration_file_is_read_where_none_is_named(home: Path) -> None:
    folder = home / ".config" / "northstar-mcp"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("max_steps = 7")
    assert Settings.load(env={}).max_steps == 7


def test_a_flag_can_name_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, "max_steps = 7")["NORTHSTAR_MCP_CONFIG"]
    assert Settings.load(env={"NORTHSTAR_MCP_CONFIG": "/nowhere"}, flags={"config": path}).max_steps == 7


def test_the_process_environment_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZAFON_API_KEY", KEY)
    key = Settings.load().api_key
    assert key is not None
    assert key.get_secret_value() == KEY


# ---- how it is read


def test_the_environment_has_the_official_clients_names() -> None:
    settings = Settings.load(
        env={
            "TZAFON_API_KEY": f"  {KEY}\n",
            "LIGHTCONE_BASE_URL": "http://127.0.0.1:9000/",
            "LIGHTCONE_CUSTOM_HEADERS": "X-Team: blue\nno colon\nX-Proxy:  a:b ",
            "NORTHSTAR_MCP_DATA_DIR": "~/here",
            "PATH": "/bin",
            "LIGHTCONE_OTHER": "x",
        }
    )
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY
    assert settings.base_url == "http://127.0.0.1:9000"
    headers = {name: value.get_secret_value() for name, value in settings.custom_headers.items()}
    assert headers == {"X-Team": "blue", "X-Proxy": "a:b"}
    assert settings.data_dir == Path.home() / "here"


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_key_is_no_key_and_an_empty_value_is_none(text: str) -> None:
    variables = ("TZAFON_API_KEY", "LIGHTCONE_BASE_URL", "NORTHSTAR_MCP_MAX_STEPS", "NORTHSTAR_MCP_DATA_DIR")
    assert Settings.load(env=dict.fromkeys(variables, text)) == Settings()


@pytest.mark.parametrize("name", ["kinds", "start_url_hosts", "screenshot_hosts", "allowed_hosts", "allowed_origins"])
def test_no_list_and_an_empty_list_are_different_things(name: str, tmp_path: Path) -> None:
    assert getattr(Settings.load(env={}), name) is None
    assert getattr(Settings.load(env={environment_name(name): ""}), name) == frozenset()
    assert getattr(Settings.load(env={environment_name(name): " , "}), name) == frozenset()
    assert getattr(Settings.load(env=config(tmp_path, f"{name} = []")), name) == frozenset()
    assert getattr(Settings.load(env={}, flags={name: []}), name) == frozenset()


def test_lists_are_written_with_commas_in_the_environment_and_as_lists_in_the_file(tmp_path: Path) -> None:
    in_environment = Settings.load(env={"NORTHSTAR_MCP_START_URL_HOSTS": "example.com, *.example.org,::1"})
    in_file = Settings.load(env=config(tmp_path, 'start_url_hosts = ["example.com", "*.example.org", "::1"]'))
    assert in_environment == in_file
    assert in_file.start_url_hosts == frozenset({"example.com", "*.example.org", "::1"})


def test_headers_are_a_table_in_the_file(tmp_path: Path) -> None:
    settings = Settings.load(env=config(tmp_path, '[custom_headers]\nX-Team = "blue"'))
    assert settings.custom_headers["X-Team"].get_secret_value() == "blue"


def test_a_file_from_an_editor_that_writes_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert Settings.load(env=config(tmp_path, "\ufeffmax_steps = 7")).max_steps == 7


def test_levels_are_read_in_any_case() -> None:
    assert Settings.load(env={"NORTHSTAR_MCP_LOG_LEVEL": "debug"}).log_level == "DEBUG"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().max_steps = 3  # type: ignore[misc]


# ---- faults


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("NORTHSTAR_MCP_MAX_STEPS", "many", "a whole number of at least 1"),
        ("NORTHSTAR_MCP_MAX_STEPS", "0", "a whole number of at least 1"),
        ("NORTHSTAR_MCP_MAX_DURATION_SECONDS", "10m", "without a unit"),
        ("NORTHSTAR_MCP_TIMEOUT_SECONDS", "nan", "a number of seconds greater than 0"),
        ("NORTHSTAR_MCP_STALL_SECONDS", "-1", "a number of seconds greater than 0"),
        ("NORTHSTAR_MCP_MAX_RETRIES", "11", "a whole number from 0 to 10"),
        ("NORTHSTAR_MCP_KINDS", "browser,tablet", 'a list of "browser" and "desktop"'),
        ("NORTHSTAR_MCP_START_URL_HOSTS", "https://example.com/", "a list of host names without a port"),
        ("NORTHSTAR_MCP_START_URL_HOSTS", "*", "a list of host names without a port"),
        ("NORTHSTAR_MCP_REATTACH", "maybe", '"get", "off" or "post"'),
        ("NORTHSTAR_MCP_LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("NORTHSTAR_MCP_ALLOWED_HOSTS", "http://x", "a list of Host headers"),
        ("NORTHSTAR_MCP_ALLOWED_ORIGINS", "localhost", "a list of origins"),
        ("LIGHTCONE_BASE_URL", "api.tzafon.ai", "an http or https address"),
        ("LIGHTCONE_BASE_URL", "https://api.tzafon.ai:port", "an http or https address"),
        ("LIGHTCONE_BASE_URL", "https://api.tzafon.ai?x=1", "an http or https address"),
    ],
)
def test_a_fault_in_the_environment_names_the_variable_the_value_and_what_was_expected(
    variable: str, text: str, expected: str
) -> None:
    told = faults({variable: text})
    assert told.startswith(f"The environment variable {variable} must be ")
    assert expected in told
    assert f", not {text!r}: correct it, or unset it." in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("max_steps = true", "not True"),
        ("timeout_seconds = true", "not True"),
        ("max_steps = 1.5", "not 1.5"),
        ("max_steps = inf", "not inf"),
        ("kinds = 3", "not 3"),
        ("data_dir = 3", "not 3"),
        ("base_url = 3", "not 3"),
    ],
)
def test_a_fault_in_the_file_names_its_path_and_key(line: str, shown: str, tmp_path: Path) -> None:
    env = config(tmp_path, line)
    name = line.partition(" ")[0]
    told = faults(env)
    assert told.startswith(f"{name!r} in {env['NORTHSTAR_MCP_CONFIG']} must be ")
    assert told.endswith(f", {shown}: correct it, or remove it from the file.")


def test_a_fault_in_a_flag_names_the_flag() -> None:
    assert faults({}, max_steps=0).startswith("The flag --max-steps must be a whole number of at least 1")


def test_every_fault_of_every_source_is_told_at_once_in_a_sentence_each(tmp_path: Path) -> None:
    env = config(tmp_path, "max_step = 3\nstall_seconds = 0") | {
        "NORTHSTAR_MCP_KIND": "x",
        "NORTHSTAR_MCP_KINDS": "x,y",
    }
    lines = faults(env, naming_seconds=-1).splitlines()
    assert len(lines) == 5
    assert all(line.endswith(".") for line in lines)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("NORTHSTAR_MCP_MAX_STEP", "NORTHSTAR_MCP_MAX_STEPS"),
        ("NORTHSTAR_MCP_API_KEY", "TZAFON_API_KEY"),
        ("NORTHSTAR_MCP_BASE_URL", "LIGHTCONE_BASE_URL"),
    ],
)
def test_an_unknown_variable_of_ours_is_a_fault_that_says_what_may_be_meant(variable: str, meant: str) -> None:
    told = faults({variable: "x"})
    assert told.startswith(f"The environment variable {variable} is not a setting; did you mean {meant}?")


def test_an_unknown_key_in_the_file_is_a_fault_that_says_what_may_be_meant(tmp_path: Path) -> None:
    assert "'max-steps' in " in faults(config(tmp_path, "max-steps = 3"))
    assert "did you mean max_steps?" in faults(config(tmp_path, "max-steps = 3"))
    assert "did you mean" not in faults(config(tmp_path, "zzz = 3"))


def test_a_placeholder_that_the_host_did_not_fill_in_is_a_fault() -> None:
    told = faults({"TZAFON_API_KEY": "${user_config.api_key}"})
    assert (
        "The environment variable TZAFON_API_KEY holds ${user_config.api_key}, which the host did not fill in" in told
    )


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none.toml'} does not exist" in faults({"NORTHSTAR_MCP_CONFIG": str(tmp_path / "none.toml")})


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    assert "cannot be read (Is a directory)" in faults({"NORTHSTAR_MCP_CONFIG": str(tmp_path)})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert "is not in UTF-8" in faults({"NORTHSTAR_MCP_CONFIG": str(binary)})


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    told = faults(config(tmp_path, f'max_steps = 3\napi_key = "{KEY}'))
    assert "is not TOML: it cannot be read at" in told
    assert KEY not in told


# ---- secrets


@pytest.mark.parametrize(
    "env",
    [
        {"NORTHSTAR_MCP_MAX_STEPS": KEY},
        {"NORTHSTAR_MCP_KINDS": f"browser,{KEY}"},
        {"LIGHTCONE_BASE_URL": f"https://user:{KEY[3:]}@example.com"},
        {"LIGHTCONE_BASE_URL": f"https://example.com?key={KEY}"},
        {"LIGHTCONE_CUSTOM_HEADERS": f"Not a name: {KEY}"},
        {"LIGHTCONE_CUSTOM_HEADERS": f"X-Key: {KEY}\x07"},
    ],
)
def test_no_fault_shows_a_secret_even_where_it_stands_in_the_wrong_place(env: dict[str, str]) -> None:
    assert KEY[3:] not in faults(env)


def test_no_fault_shows_a_secret_of_the_wrong_type(tmp_path: Path) -> None:
    told = faults(config(tmp_path, "api_key = 123456789"))
    assert "123456789" not in told
    assert "must be text in quotes" in told


def test_no_repr_and_no_error_of_pydantics_shows_a_secret() -> None:
    settings = Settings.load(env={"TZAFON_API_KEY": KEY, "LIGHTCONE_CUSTOM_HEADERS": f"X-Key: {KEY}"})
    assert KEY not in f"{settings!r} {settings} {settings.model_dump_json()}"
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"max_steps": KEY})
    assert KEY not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_file_with_a_key_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    env = config(tmp_path, f'api_key = "{KEY}"')
    Settings.load(env=env)
    assert not caplog.records
    Path(env["NORTHSTAR_MCP_CONFIG"]).chmod(0o644)
    Settings.load(env=env)
    assert "chmod 600" in caplog.text
    assert KEY not in caplog.text


# ---- what documents are made from


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is_and_can_be_set_from_the_environment(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description is not None
    assert description.endswith(".")
    assert f"The environment variable {environment_name(name)} holds" in faults({environment_name(name): "${x}"})

"""Where a keeper is found, and which differences make it another."""

import os
import sys
from pathlib import Path

import pytest

import northstar_mcp
from northstar_mcp.keeper.place import NoKeeper, fingerprint, packages_in, place_of, runtime_folder
from northstar_mcp.settings import _user_folder

ENV = {"HOME": "/home/ann", "PATH": "/bin", "TZAFON_API_KEY": "sk_one", "NORTHSTAR_MCP_MAX_STEPS": "5"}
CONFIG = ("/home/ann/.config/northstar-mcp/config.toml", b"max_steps = 5\n")


def test_an_upgrade_is_another_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(ENV, CONFIG)
    monkeypatch.setattr(northstar_mcp, "__version__", "99.0.0")
    assert fingerprint(ENV, CONFIG) != before


def test_packages_are_known_by_name_and_version_and_nothing_else_counts(tmp_path: Path) -> None:
    """Not the folder's date: Python itself writes there at the first start."""
    for name in ("mcp-2.3.0.dist-info", "mcp", "__pycache__", "anyio-4.16.0.dist-info"):
        (tmp_path / name).mkdir()
    assert packages_in(str(tmp_path)) == ["anyio-4.16.0.dist-info", "mcp-2.3.0.dist-info"]


@pytest.mark.parametrize(
    "other",
    [
        {"TZAFON_API_KEY": "sk_two"},
        {"LIGHTCONE_BASE_URL": "https://other.example"},
        {"NORTHSTAR_MCP_MAX_STEPS": "6"},
        {"HOME": "/home/bob"},
        {"HTTPS_PROXY": "http://proxy.example"},
        {"https_proxy": "http://proxy.example"},
        {"SSL_CERT_FILE": "/ca.pem"},
        {"XDG_DATA_HOME": "/data"},
    ],
)
def test_what_the_work_depends_on_makes_another_keeper(other: dict[str, str]) -> None:
    assert fingerprint({**ENV, **other}, CONFIG) != fingerprint(ENV, CONFIG)


@pytest.mark.parametrize(
    "other", [{"PATH": "/usr/bin"}, {"TERM": "xterm"}, {"PWD": "/"}, {"NORTHSTAR_MCP_KEEPER": "on"}]
)
def test_what_differs_between_hosts_and_does_not_matter_does_not(other: dict[str, str]) -> None:
    assert fingerprint({**ENV, **other}, CONFIG) == fingerprint(ENV, CONFIG)


def test_the_configuration_files_content_matters_and_so_does_that_there_is_none() -> None:
    path, _ = CONFIG
    names = {fingerprint(ENV, (path, content)) for content in (None, b"", b"max_steps = 5\n", b"max_steps = 6\n")}
    assert len(names) == 4


def test_nothing_secret_can_be_read_from_the_name() -> None:
    name = fingerprint(ENV, CONFIG)
    assert len(name) == 16
    assert "sk_one" not in name


def test_a_relative_path_is_another_one_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {**ENV, "NORTHSTAR_MCP_DATA_DIR": "data"}
    here = fingerprint(env, CONFIG)
    monkeypatch.chdir(tmp_path)
    assert fingerprint(env, CONFIG) != here
    assert fingerprint({**ENV, "NORTHSTAR_MCP_DATA_DIR": "~/data"}, CONFIG) == fingerprint(
        {**ENV, "NORTHSTAR_MCP_DATA_DIR": "~/data"}, CONFIG
    )


def test_the_configuration_file_is_the_one_that_the_settings_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The front cannot ask platformdirs: that takes too long to import."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = _user_folder("config")
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('keeper = "off"\n')
    with pytest.raises(NoKeeper) as refused:
        place_of({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert not refused.value.is_news


@pytest.mark.parametrize("session", ["", "relative/path", "/does/not/exist", "/" + "x" * 90])
def test_without_a_usable_session_folder_it_is_the_same_for_every_host(session: str) -> None:
    assert runtime_folder({"XDG_RUNTIME_DIR": session}) == runtime_folder({})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the user's temporary folder comes first")
def test_on_linux_without_a_session_it_lies_below_tmp() -> None:
    if not Path(f"/run/user/{os.getuid()}").is_dir():
        assert runtime_folder({}) == f"/tmp/northstar-mcp-{os.getuid()}"  # noqa: S108 - as place.py says

"""What stands at the package's edge: its names, its ready configurations, its README."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import northstar_mcp
from northstar_mcp.settings import Settings
from tests.documents import ROOT

CONFIGS = ROOT / "configs"


def test_every_public_name_is_there() -> None:
    for name in northstar_mcp.__all__:
        assert getattr(northstar_mcp, name) is not None
    with pytest.raises(AttributeError, match="nowhere"):
        _ = northstar_mcp.nowhere


def test_importing_the_package_imports_no_library() -> None:
    heavy = ["mcp", "pydantic", "httpx", "anyio", "PIL", "rich"]
    code = f"import sys, northstar_mcp; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.name)
def test_a_hosts_configuration_starts_the_console_script(path: Path) -> None:
    config: dict[str, Any] = json.loads(path.read_text())
    server = (config.get("mcpServers") or config["servers"])["northstar"]
    assert (server["command"], server["args"]) == ("uvx", ["northstar-mcp"])
    assert list(server["env"]) == ["TZAFON_API_KEY"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] in project["scripts"]


def test_the_readme_shows_the_configuration_of_claude_desktop() -> None:
    shown = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert [json.loads(block) for block in shown] == [json.loads((CONFIGS / "claude_desktop_config.json").read_text())]


def test_the_operators_configuration_is_one_that_loads(tmp_path: Path) -> None:
    settings = Settings.load(env={"NORTHSTAR_MCP_CONFIG": str(CONFIGS / "northstar-mcp.toml"), "HOME": str(tmp_path)})
    assert settings.max_steps == 60
    assert settings.kinds == frozenset({"browser"})


def _shown_commands() -> list[str]:
    """Every `northstar-mcp …` and `make …` that a document shows in a block, without its comment."""
    found = set()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"```\n(.*?)```", path.read_text(), re.DOTALL):
            for line in block.splitlines():
                command = re.search(r"(?:^|\s)((?:northstar-mcp|make) [^#]*)", line.partition("#")[0])
                if command is not None:
                    found.add(command[1].strip())
    return sorted(found)


@pytest.mark.parametrize("command", _shown_commands())
def test_every_command_that_a_document_shows_is_there(command: str) -> None:
    program, *words = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[0] in targets
        return
    known = [word for word in words if not word.startswith("-")]
    path = known[:2] if known[0] == "tasks" else known[:1]
    run = subprocess.run([sys.executable, "-m", "northstar_mcp", *path, "--help"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for option in (word for word in words if word.startswith("--")):
        assert option in run.stdout


def test_every_linked_document_is_there() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "configs/README.md"):
        text = (ROOT / name).read_text()
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert ((ROOT / name).parent / link).exists(), f"{name} links to {link}"

"""What stands at the package's edge: its names, its ready configurations, its README."""

import json
import re
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


def test_every_linked_document_is_there() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "configs/README.md"):
        text = (ROOT / name).read_text()
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert ((ROOT / name).parent / link).exists(), f"{name} links to {link}"

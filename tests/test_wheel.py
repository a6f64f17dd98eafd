"""What is installed from the package index: the wheel, without this checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.documents import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=110)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "northstar_mcp").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected
    assert {"northstar_mcp/py.typed", "northstar_mcp/ledger/migrations/0001_the_record.sql"} <= names


def test_the_console_script_of_an_installed_wheel_opens_a_ledger(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=110)
    env = {**os.environ, "PYTHONPATH": str(site), "NORTHSTAR_MCP_DATA_DIR": str(tmp_path / "data")}
    script = [str(site / "bin" / "northstar-mcp"), "tasks", "list", "--json"]
    run = subprocess.run(script, env=env, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(run.stdout)["tasks"] == []
    where = [sys.executable, "-c", "import northstar_mcp; print(northstar_mcp.__file__)"]
    told = subprocess.run(where, env=env, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.startswith(str(site))

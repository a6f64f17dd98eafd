"""The clients of others are pinned: the same ones everywhere, from whatever registry a contributor uses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.conftest import HERE

FOLDERS = sorted(lock.parent for lock in HERE.parent.glob("*/package-lock.json"))
PINNED = re.compile(r"\d+\.\d+\.\d+(-alpha\.\d+)?")
EVERY_FOLDER = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def _read(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text())
    return read


@EVERY_FOLDER
def test_every_client_is_pinned_to_one_version(folder: Path) -> None:
    wanted = _read(folder / "package.json")["dependencies"]
    versions = {name: version.rpartition("@")[2] for name, version in wanted.items()}  # "npm:its-name@1.2.3" renames
    assert [name for name, version in versions.items() if not PINNED.fullmatch(version)] == []
    locked = _read(folder / "package-lock.json")["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in versions} == versions


@EVERY_FOLDER
def test_the_lock_names_no_registry_and_a_digest_for_every_package(folder: Path) -> None:
    packages = {path: entry for path, entry in _read(folder / "package-lock.json")["packages"].items() if path}
    assert [path for path, entry in packages.items() if "resolved" in entry] == []
    assert [path for path, entry in packages.items() if "integrity" not in entry and not entry.get("inBundle")] == []

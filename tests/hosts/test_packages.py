"""The clients of others are pinned: the same ones everywhere, from whatever registry a contributor uses."""

import json
import re
from typing import Any

from tests.hosts.conftest import HERE


def _read(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((HERE / name).read_text())
    return read


def test_every_client_is_pinned_to_one_version() -> None:
    versions = _read("package.json")["dependencies"]
    assert [name for name, version in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
    locked = _read("package-lock.json")["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in versions} == versions


def test_the_lock_names_no_registry_and_a_digest_for_every_package() -> None:
    packages = {path: entry for path, entry in _read("package-lock.json")["packages"].items() if path}
    assert [path for path, entry in packages.items() if "resolved" in entry] == []
    assert [path for path, entry in packages.items() if "integrity" not in entry and not entry.get("inBundle")] == []

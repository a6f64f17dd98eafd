"""The keeper's log stays small, holds no secret, and tells a host what concerns its conversation."""

import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from northstar_mcp.keeper.logs import TELL_HOST, KeeperLog

from .conftest import User


def test_it_never_outgrows_its_bound_and_keeps_what_is_newest(tmp_path: Path) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    handler = KeeperLog(path, descriptor, max_bytes=2_000)
    sizes = []
    for number in range(500):
        handler.emit(logging.makeLogRecord({"msg": f"line {number}"}))
        sizes.append(path.stat().st_size)
    os.close(descriptor)
    kept = path.read_text().splitlines()
    assert max(sizes) <= 2_000
    assert kept[-1] == "line 499"
    assert kept == [f"line {number}" for number in range(500 - len(kept), 500)]


def test_what_concerns_a_conversation_reaches_its_host_and_no_other(tmp_path: Path) -> None:
    told: list[str] = []
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    handler = KeeperLog(tmp_path / "log", descriptor)
    token = TELL_HOST.set(told.append)
    handler.emit(logging.makeLogRecord({"msg": "for one"}))
    TELL_HOST.reset(token)
    handler.emit(logging.makeLogRecord({"msg": "for all"}))
    os.close(descriptor)
    assert told == ["for one"]
    assert (tmp_path / "log").read_text() == "for one\nfor all\n"


def test_a_hosts_standard_error_shows_what_befalls_its_own_tasks(user: User) -> None:
    """Another program holds the ledger for a while; the follower of this host's task says so."""
    log_level = ("--log-level", "info")
    with user.hosting(*log_level) as host, user.hosting(*log_level) as other:
        host.call("start_task", instruction="Look. [steps=100]", wait_seconds=0.3)
        with closing(sqlite3.connect(user.folder / "data" / "ledger.sqlite3")) as ledger:
            ledger.execute("BEGIN EXCLUSIVE")
            user.until(lambda: "could not be renewed" in user.run(*log_level, "keeper", "logs"))
        host.close()
        other.close()
        mine, others = host.complaints(), other.complaints()
    assert "could not be renewed" in mine
    assert others == ""
    log = user.run(*log_level, "keeper", "logs")
    assert "serving as keeper" in log
    assert user.env["TZAFON_API_KEY"] not in log + mine


def test_a_host_waits_for_nothing_beyond_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        "import northstar_mcp.cli.main, northstar_mcp.keeper.front, northstar_mcp.keeper.conversation\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))\n"
        "print(*[name for name in sys.modules if name.startswith('northstar_mcp')])\n"
        "print(*{'asyncio', 'typing', 'dataclasses', 'pathlib', 'logging', 'threading'} & (set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    packages, ours, heavy = run.stdout.split("\n")[:3]
    assert packages == "northstar_mcp"
    assert heavy == ""
    assert set(ours.split()) == {
        "northstar_mcp",
        "northstar_mcp.cli",
        "northstar_mcp.cli.main",
        "northstar_mcp.keeper",
        "northstar_mcp.keeper.conversation",
        "northstar_mcp.keeper.front",
        "northstar_mcp.keeper.place",
        "northstar_mcp.keeper.reaching",
        "northstar_mcp.keeper.wire",
    }

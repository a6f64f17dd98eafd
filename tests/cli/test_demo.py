"""`northstar-mcp demo`: the whole job over the wire, in three processes."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from northstar_mcp.cli.demo.evidence import TOOLS, Evidence

from .processes import CommandLine, environment

QUICK = ("--step-seconds", "0.4")


@pytest.fixture
def anybody(tmp_path: Path) -> CommandLine:
    """Somebody without a key."""
    return CommandLine(folder=tmp_path, environment=environment())


def test_the_whole_job_is_shown_and_the_screenshot_saved(anybody: CommandLine) -> None:
    ran = anybody("demo", *QUICK, "--save-svg", "run.svg")
    assert ran.code == 0, ran.out + ran.err
    for words in ("→ start_task", "┊", "→ pause", "→ inject_message", "→ resume", "→ task_status", "→ task_screenshot"):
        assert words in ran.out
    assert "✗" not in ran.out
    assert "saved as northstar-demo.png" in ran.out
    with Image.open(anybody.folder / "northstar-demo.png") as picture:
        picture.load()
        assert picture.format == "PNG"
    drawn = (anybody.folder / "run.svg").read_text()
    assert drawn.startswith("<svg")
    assert "@font-face" not in drawn
    assert "inject_message" in drawn


def test_a_log_has_neither_colours_nor_loose_ends(anybody: CommandLine) -> None:
    ran = anybody("demo", *QUICK, without=("NO_COLOR",))
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert all(line == line.rstrip() for line in ran.out.splitlines())


def test_a_part_that_did_not_happen_is_a_failure(anybody: CommandLine) -> None:
    ran = anybody("demo", *QUICK, "--output", "no/such/folder/screen.png")
    assert ran.code == 1
    assert "✗ screenshot" in ran.out
    assert "could not be saved as no/such/folder/screen.png" in ran.out
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize(
    "missing", ["tools", "progress", "paused", "message_taken", "resumed", "state", "result", "picture"]
)
def test_the_demo_has_failed_where_any_one_thing_is_missing(missing: str) -> None:
    everything: dict[str, Any] = {
        "tools": TOOLS,
        "progress": 1,
        "paused": True,
        "message_taken": True,
        "resumed": True,
        "state": "completed",
        "result": "Three stories.",
        "picture": "screen.png",
    }
    assert Evidence(**everything).complete
    assert not Evidence(**{name: value for name, value in everything.items() if name != missing}).complete
    assert not Evidence(**everything, faults=["It took longer than 90 seconds."]).complete


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_no_process_behind(anybody: CommandLine, sign: signal.Signals) -> None:
    with anybody.holding("demo") as process:
        assert process.stdout is not None
        url = next(line for line in process.stdout if "simulated, at" in line)
        next(line for line in process.stdout if "┊" in line)
        process.send_signal(sign)
        _, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "Traceback" not in err
    address = url.split("http://")[1].split(";")[0]
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, encoding="utf-8", check=True).stdout
    assert not [line for line in left.splitlines() if str(anybody.folder) in line]
    assert _nobody_listens(address)


def test_the_live_demo_needs_a_key(anybody: CommandLine) -> None:
    ran = anybody("demo", "--live")
    assert (ran.code, ran.out) == (1, "")
    assert "export TZAFON_API_KEY=" in ran.err


def test_the_live_demo_says_that_it_costs_and_uses_this_users_own_server(northstar: CommandLine) -> None:
    ran = northstar("demo", "--live", "--output", "live.png")
    assert "costs credits" in ran.err
    assert northstar.environment["LIGHTCONE_BASE_URL"] in ran.out
    tasks = northstar("tasks", "list", "--json").facts["tasks"]
    assert len(tasks) == 1, "the task is in this user's record"


def _nobody_listens(address: str) -> bool:
    import socket

    host, _, port = address.partition(":")
    with socket.socket() as visitor:
        return visitor.connect_ex((host, int(port))) != 0

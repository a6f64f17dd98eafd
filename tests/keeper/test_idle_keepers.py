"""A keeper ends by itself when nobody needs it, and leaves nothing behind; and what the command line says of it."""

import json
import signal
from pathlib import Path

from .conftest import User

SHORT = "Look. [steps=25] [result=Forty-two.]"


def test_it_ends_when_no_host_is_connected_and_leaves_nothing(user: User) -> None:
    before = _descriptors()
    with user.hosting() as host:
        host.ask("tools/list")
        assert len(user.keepers()) == 1
    user.until(lambda: not user.keepers())
    assert user.files() == []
    assert _descriptors() == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_it_stays_as_long_as_a_task_is_unfinished(user: User) -> None:
    with user.hosting() as host:
        started = host.call("start_task", instruction=SHORT, wait_seconds=0)
        keeper = user.keeper()
    user.until(lambda: user.lightcone.tasks()[0]["status"] == "completed")  # 2.5 s, with an idleness of 1 s
    assert user.keepers() == [keeper]
    user.until(lambda: not user.keepers())
    shown = json.loads(user.run("tasks", "show", started["task_id"], "--json"))
    assert (shown["state"], shown["result"]) == ("completed", "Forty-two.")


def test_a_signal_ends_it_in_order(user: User) -> None:
    with user.hosting() as host:
        host.call("start_task", instruction=SHORT, wait_seconds=0.3)
        host.process.kill()
        user.kill(signal.SIGTERM)
    assert user.files() == []
    assert user.lightcone.steering() == []


def test_status_says_what_runs_and_whose_it_is(user: User) -> None:
    assert "No keeper runs;" in user.run("keeper", "status")
    with user.hosting() as host, user.hosting(TZAFON_API_KEY="sk_another"):
        host.call("start_task", instruction=SHORT, wait_seconds=0)
        ours, other = sorted(
            json.loads(user.run("keeper", "status", "--json"))["keepers"], key=lambda keeper: not keeper["is_ours"]
        )
        assert (ours["is_ours"], ours["hosts"], ours["unfinished"]) == (True, 1, 1)
        assert (other["is_ours"], other["hosts"], other["unfinished"]) == (False, 1, 0)
        assert {ours["pid"], other["pid"]} == set(user.keepers())
        shown = user.run("keeper", "status").splitlines()
        assert [line[0] for line in shown].count("*") == 1
        assert all(f"pid {keeper['pid']}" in "".join(shown) for keeper in (ours, other))


def test_stop_ends_the_keeper_of_these_settings_or_all_and_says_what_goes_on(user: User) -> None:
    another = {"TZAFON_API_KEY": "sk_another", "NORTHSTAR_MCP_KEEPER_IDLE_SECONDS": "60"}
    with user.hosting(**another) as other, user.hosting() as host:
        host.call("start_task", instruction=SHORT, wait_seconds=0)
        other.process.kill()
        host.process.kill()
        said = user.run("keeper", "stop")
        assert "Stopped the keeper" in said
        assert "Unfinished tasks (1) go on at Lightcone" in said
        assert len(user.keepers()) == 1
        assert user.run("keeper", "stop") == "No keeper runs with these settings, 1 with other settings (--all).\n"
        assert "Stopped the keeper" in user.run("keeper", "stop", "--all")
        assert user.keepers() == []
        assert user.run("keeper", "stop") == "No keeper runs.\n"


def test_logs_are_shown_also_those_of_one_that_was_killed(user: User) -> None:
    with user.hosting("--log-level", "info") as host:
        host.ask("tools/list")
        user.kill()
    assert "serving as keeper" in user.run("--log-level", "info", "keeper", "logs")
    assert user.run("keeper", "logs") == ""
    assert user.run("keeper", "logs", "--all")


def test_what_a_killed_keeper_left_is_cleared_away_by_the_next_of_any_settings(user: User) -> None:
    with user.hosting() as host:
        user.kill()
        host.process.kill()
    assert len(user.files()) == 3
    with user.hosting(TZAFON_API_KEY="sk_another") as host:
        host.ask("tools/list")
    user.until(lambda: not user.keepers())
    assert [name.rpartition(".")[2] for name in user.files()] in ([], ["log"])

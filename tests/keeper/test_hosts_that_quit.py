"""A host that quits takes nothing with it: the keeper follows its tasks, and the next conversation reads them whole."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import User

SHORT = "Look. [steps=15] [result=Forty-two.]"


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("in_a_call", [False, True])
@pytest.mark.parametrize("end", ["close", "SIGKILL", "SIGTERM"])
def test_its_task_is_followed_to_its_end_and_read_whole_by_the_next_conversation(
    user: User, era: str, *, in_a_call: bool, end: str
) -> None:
    with user.hosting(era=era) as host:
        started = host.call("start_task", instruction=SHORT, wait_seconds=0.2)
        if in_a_call:
            host.begin_call("task_status", task_id=started["task_id"], since_seq=started["seq"], wait_seconds=45)
        if end == "close":
            assert host.close() == 0
        else:
            host.process.send_signal(signal.Signals[end])
    keeper = user.keeper()
    user.until(lambda: user.lightcone.tasks()[0]["status"] == "completed")
    assert user.keeper() == keeper
    with user.hosting(era=era) as next_host:
        told = next_host.finished(started["task_id"])
        events = next_host.ask("resources/read", uri=f"northstar://tasks/{started['task_id']}/events")
    assert (told["state"], told["result"]) == ("completed", "Forty-two.")
    assert "gap" not in events["contents"][0]["text"]
    assert user.lightcone.steering() == []


def test_hosts_at_once_share_one_keeper_that_none_of_them_is_the_parent_of(user: User) -> None:
    with ThreadPoolExecutor(8) as pool:
        conversations = [user.hosting() for _ in range(8)]
        hosts = list(pool.map(lambda conversation: conversation.__enter__(), conversations))
        keeper = user.keeper()
        task_ids = {host.call("start_task", instruction=SHORT)["task_id"] for host in hosts}
        list(pool.map(lambda conversation: conversation.__exit__(None, None, None), conversations))
    assert len(task_ids) == 1
    assert user.keepers() == [keeper]
    status = Path(f"/proc/{keeper}/status").read_text()
    assert int(status.partition("PPid:")[2].split()[0]) not in {os.getpid(), *(host.process.pid for host in hosts)}
    assert len(user.lightcone.starts()) == 1


def test_the_key_is_on_no_command_line_and_in_no_file(user: User) -> None:
    key = user.env["TZAFON_API_KEY"].encode()
    with user.hosting() as host:
        host.call("list_tasks")
        pids = [host.process.pid, user.keeper()]
        assert all(key not in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
        files = [path for path in user.folder.rglob("*") if path.is_file()]
        assert not [path for path in files if key in path.read_bytes()]


def test_another_key_other_settings_and_a_changed_file_have_keepers_of_their_own(user: User) -> None:
    config = user.folder / "config.toml"
    config.write_text("max_steps = 5\n")
    env = {"NORTHSTAR_MCP_CONFIG": str(config)}
    with user.hosting(**env), user.hosting(**env):
        assert len(user.keepers()) == 1
        with user.hosting(**env, TZAFON_API_KEY="sk_another"), user.hosting(**env, NORTHSTAR_MCP_MAX_STEPS="7"):
            assert len(user.keepers()) == 3
            config.write_text("max_steps = 6\n")
            with user.hosting(**env) as host:
                assert len(user.keepers()) == 4
                assert host.call("start_task", instruction=SHORT)["max_steps"] == 6


def test_flags_reach_the_keeper(user: User) -> None:
    with user.hosting("--data-dir", str(user.folder / "elsewhere"), "--log-level", "debug") as host:
        host.call("start_task", instruction=SHORT)
        assert (user.folder / "elsewhere" / "ledger.sqlite3").exists()
        assert len(user.keepers()) == 1


def test_a_host_that_says_nothing_more_still_gets_what_it_asked_for(user: User) -> None:
    with user.hosting() as host:
        identity = host.begin("tools/list")
        assert host.process.stdin is not None
        host.process.stdin.close()
        assert len(host.answer_to(identity)["result"]["tools"]) == 9
        assert host.process.wait(20) == 0

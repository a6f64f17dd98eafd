"""A keeper, an HTTP server and a server of its own on one data directory: each task is followed once, and all of them see it."""

import httpx

from tests.hosts.conftest import Launch
from tests.hosts.plain_http import call, headers_for

from .conftest import User


def test_three_servers_on_one_record_follow_each_task_once(user: User, launch: Launch) -> None:
    url = launch("northstar_mcp", "serve", "--http", "--port", "0", env=user.env)
    with (
        user.hosting() as kept,
        user.hosting("serve", "--stdio") as alone,
        httpx.Client(headers=headers_for(url, "modern")) as client,
    ):
        servers = {
            "keeper": kept.call,
            "http": lambda tool, **arguments: call(client, url, "modern", tool, **arguments),
            "alone": alone.call,
        }
        started = {
            name: ask("start_task", instruction=f"For {name}. [steps=30] [result=Done for {name}.]", wait_seconds=0.3)
            for name, ask in servers.items()
        }
        for name, facts in started.items():
            for ask in servers.values():
                told = ask("task_status", task_id=facts["task_id"], since_seq=0, wait_seconds=20)
                while "result" not in told:
                    told = ask("task_status", task_id=facts["task_id"], since_seq=told["seq"], wait_seconds=20)
                assert told["result"] == f"Done for {name}."
        alone.close()
        assert alone.complaints() == ""
    posts = [each["path"] for each in user.lightcone.journal()["calls"] if each["path"].endswith("/stream")]
    assert posts == ["/agent/tasks/stream"] * 3
    assert len(user.lightcone.starts()) == 3

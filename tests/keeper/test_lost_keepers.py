"""A keeper that dies while hosts are connected: they get another, and notice no more than a delay."""

import os
import signal
import socket
from contextlib import suppress

import pytest

from .conftest import User

LONG = "Watch the page. [steps=25] [result=Forty-two.]"
ERAS = ["legacy", "modern"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_conversation_goes_on_with_another_and_the_task_too(user: User, era: str, end: signal.Signals) -> None:
    with user.hosting(era=era) as host:
        started = host.call("start_task", instruction=LONG, wait_seconds=0.3)
        user.kill(end)
        told = host.finished(started["task_id"])
        assert (told["state"], told["result"]) == ("completed", "Forty-two.")
        assert host.close() == 0
        assert host.complaints() == ""
    assert len(user.lightcone.starts()) == 1
    assert user.lightcone.steering() == []


@pytest.mark.parametrize("era", ERAS)
def test_a_call_in_flight_gets_an_error_that_says_how_to_go_on(user: User, era: str) -> None:
    with user.hosting(era=era) as host:
        started = host.call("start_task", instruction=LONG, wait_seconds=0.3)
        waits = host.begin_call("task_status", task_id=started["task_id"], since_seq=started["seq"], wait_seconds=45)
        host.ask("tools/list")  # by now the call is in the keeper's hands
        user.kill()
        result = host.answer_to(waits)["result"]
        assert result["isError"]
        assert result["structuredContent"]["error"]["retryable"]
        assert "list_tasks" in result["content"][0]["text"]
        assert result.get("resultType") == ("complete" if era == "modern" else None)
        assert host.finished(started["task_id"])["result"] == "Forty-two."


@pytest.mark.parametrize("era", ERAS)
def test_it_hears_of_changes_as_before(user: User, era: str) -> None:
    """Subscriptions are the conversation's, whichever keeper serves it."""
    with user.hosting(era=era) as host:
        started = host.call("start_task", instruction=LONG, wait_seconds=0.3)
        uri = f"northstar://tasks/{started['task_id']}"
        if era == "legacy":
            host.ask("resources/subscribe", uri=uri)
        else:
            host.begin("subscriptions/listen", notifications={"resourceSubscriptions": [uri]})
            host.ask("tools/list")
        user.kill()
        host.ask("tools/list")
        before = len(_updates(host.heard))
        assert host.finished(started["task_id"])["result"] == "Forty-two."
        host.ask("tools/list")
        assert len(_updates(host.heard)) > before
        acknowledged = [said for said in host.heard if said["method"].endswith("acknowledged")]
        assert len(acknowledged) == (1 if era == "modern" else 0)


def test_an_answer_to_what_a_lost_keeper_asked_is_no_answer_to_another(user: User) -> None:
    """The user must not have said yes to a question that they never saw."""
    with user.hosting_forms(NORTHSTAR_MCP_CONFIRM="always") as host:
        first = host.begin_call("start_task", instruction="Buy the blue one")
        seen = host.until("elicitation/create")
        user.kill()
        assert host.answer_to(first)["result"]["isError"]
        assert host.until("notifications/cancelled")["params"]["requestId"] == seen["id"]
        second = host.begin_call("start_task", instruction="Buy all of them")
        asked = host.until("elicitation/create", 2)
        assert asked["id"] != seen["id"]
        host.say({"id": seen["id"], "result": {"action": "accept", "content": {}}})
        host.say({"id": asked["id"], "result": {"action": "decline"}})
        assert "declined" in host.answer_to(second)["result"]["content"][0]["text"]
        third = host.begin_call("start_task", instruction="Buy the red one")
        host.say({"id": host.until("elicitation/create", 3)["id"], "result": {"action": "accept", "content": {}}})
        assert not host.answer_to(third)["result"].get("isError")
    assert len(user.lightcone.starts()) == 1


def _updates(heard: list[dict[str, object]]) -> list[dict[str, object]]:
    return [said for said in heard if said["method"] == "notifications/resources/updated"]


def test_the_silence_after_an_orderly_end_starts_nothing(user: User) -> None:
    with user.hosting() as host:
        host.ask("tools/list")
        assert "Stopped the keeper" in user.run("keeper", "stop")
        assert user.keepers() == []
        assert len(host.ask("tools/list")["tools"]) == 9
        assert len(user.keepers()) == 1


def test_keepers_that_die_one_after_the_other_end_the_conversation_with_a_reason(user: User) -> None:
    with user.hosting() as host:
        while host.process.poll() is None:
            for pid in user.keepers():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert host.process.returncode == 1
        assert "there is no other" in host.complaints()


def test_a_killed_keepers_socket_and_lock_stand_in_nobodys_way(user: User) -> None:
    with user.hosting() as host:
        host.ask("tools/list")
        first = user.keeper()
        host.process.kill()
        user.kill()
        assert [name.rpartition(".")[2] for name in user.files()] == ["lock", "log", "sock"]
    with user.hosting() as host:
        assert len(host.ask("tools/list")["tools"]) == 9
        assert user.keeper() != first


def test_a_socket_that_leads_nowhere_and_one_that_is_a_file_are_replaced(user: User) -> None:
    with user.hosting():
        path = next(user.runtime.glob("*.sock"))
    user.until(lambda: not user.keepers())
    path.write_text("left behind")
    with user.hosting() as host:
        assert len(host.ask("tools/list")["tools"]) == 9
    user.until(lambda: not user.keepers())
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(path))
    with user.hosting() as host:
        assert len(host.ask("tools/list")["tools"]) == 9


def test_a_stopped_keeper_is_waited_for(user: User) -> None:
    """SIGSTOP, as a laptop that sleeps: the answer comes when it wakes, and nothing is asked twice."""
    with user.hosting() as host:
        keeper = user.keeper()
        os.kill(keeper, signal.SIGSTOP)
        identity = host.begin_call("start_task", instruction=LONG)
        os.kill(keeper, signal.SIGCONT)
        assert host.answer_to(identity)["result"]["structuredContent"]["task_id"]
        assert user.keeper() == keeper
    assert len(user.lightcone.starts()) == 1

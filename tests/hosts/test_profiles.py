"""One job, in every host: started, seen to move, helped by a person, and answered, by nothing but what the host declared.

The job waits for a log-in at its second step. Where the host can ask its user, they are asked; elsewhere the answer has the link, and
the model resumes. All messages are looked at as they were on the wire.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hosts.conftest import Place
from tests.hosts.profiles import PROFILES, TASKS, URI_OF_VIEW, Conversation, Profile, conversing
from tests.keeper.host import Message

JOB = "Read my mail. [login at 2] [steps=4] [result=Three letters.]"
LINK = "https://lightcone.ai/c/"
CALL_SECONDS = 45

EVERY_HOST = pytest.mark.parametrize(
    ("profile", "road"), [(each, each.road) for each in PROFILES.values()], ids=list(PROFILES)
)
WHO_CONFIRMS = {
    "Claude Desktop": False,
    "Claude Code": True,
    "Claude Code, newest protocol": True,
    "Codex": False,
    "a bare client": False,
    "a full client": True,
}


@pytest.fixture
def host(profile: Profile, place: Place, url: str | None) -> Iterator[Conversation]:
    with conversing(profile, place, url) as conversation:
        yield conversation


@EVERY_HOST
def test_the_job_is_good_to_do(profile: Profile, host: Conversation, place: Place) -> None:
    can = host.open()
    check_what_is_offered(host, can)

    done = _by_handle(host) if profile.takes_handles else _by_calls(host)

    assert done["structuredContent"]["state"] == "completed"
    assert done["structuredContent"]["result"] == "Three letters."
    assert "Three letters." in text_of(done)
    assert [question.get("mode", "form") for question in host.questions] == list(profile.asked)
    assert place.lightcone.steering() == ["POST messages", "POST resume"]
    check_wire(host)


@pytest.mark.parametrize("road", ["keeper"])
@pytest.mark.parametrize("name", WHO_CONFIRMS)
def test_a_start_that_must_be_confirmed_waits_for_the_user_or_is_refused(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORTHSTAR_MCP_CONFIRM", "always")
    with conversing(PROFILES[name], place, None) as host:
        host.open()
        answer = host.answered("start_task", instruction="Open example.com", wait_seconds=0)

    facts = answer["structuredContent"]
    modes = [question.get("mode", "form") for question in host.questions]
    if WHO_CONFIRMS[name]:
        assert (modes, facts["state"]) == (["form"], "starting")
    else:
        assert (modes, facts["error"]["category"]) == ([], "unconfirmed")
        assert place.lightcone.starts() == []


def check_what_is_offered(host: Conversation, can: Message) -> None:
    profile, capabilities = host.profile, can["capabilities"]
    tools = {tool["name"]: tool for tool in host.ask("tools/list")["tools"]}
    assert ("live_view" in tools) is profile.renders_apps
    assert all(tool.get("_meta", {}).get("ui", {}).get("visibility") != ["app"] for tool in tools.values()) is (
        not profile.renders_apps
    )
    listed = {resource["uri"] for resource in host.ask("resources/list")["resources"]}
    assert (URI_OF_VIEW in listed) is profile.renders_apps
    assert ("tasks" in capabilities) is (profile.protocol == "2025-11-25")
    assert (TASKS in capabilities.get("extensions", {})) is profile.modern
    assert any("execution" in tool for tool in tools.values()) is (profile.protocol == "2025-11-25")
    longest = tools["task_status"]["inputSchema"]["properties"]["wait_seconds"]["maximum"]
    assert longest <= CALL_SECONDS


# ---- the roads


def _by_calls(host: Conversation) -> Message:
    answer = host.call("start_task", instruction=JOB)
    facts = answer["structuredContent"]
    if not host.profile.shows_progress:
        assert facts["state"] == "starting"  # without a road for progress, nobody is kept waiting
    while facts["state"] in ("starting", "running", "needs_input"):
        if facts["state"] == "needs_input" and not host.profile.asked:
            answer = _resumed_by_the_model(host, facts["task_id"])
        else:
            answer = host.call("task_status", task_id=facts["task_id"], since_seq=facts["seq"], wait_seconds=20)
        facts = answer["structuredContent"]
    return answer


def _resumed_by_the_model(host: Conversation, task_id: str) -> Message:
    """Where nobody can be asked, the model shows the link, and resumes once the user says that they are done."""
    answer = host.call("task_status", task_id=task_id, wait_seconds=0)
    url = answer["structuredContent"]["live_view_url"]
    assert url.startswith(LINK)
    assert url in text_of(answer)
    assert url in answer["structuredContent"]["next_step"]
    return host.call("resume", task_id=task_id)


def _by_handle(host: Conversation) -> Message:
    return _by_newer_handle(host) if host.profile.modern else _by_older_handle(host)


def _by_newer_handle(host: Conversation) -> Message:
    handle = host.ask("tools/call", name="start_task", arguments={"instruction": JOB})
    assert handle["resultType"] == "task"
    statuses = set()
    while True:
        told = host.ask("tasks/get", taskId=handle["taskId"])
        statuses.add(told["status"])
        if told["status"] == "completed":
            assert statuses == {"working", "input_required", "completed"}
            result: Message = told["result"]
            return result
        if asks := told.get("inputRequests"):
            given = {key: host.reply_to(ask) for key, ask in asks.items()}
            host.ask("tasks/update", taskId=handle["taskId"], inputResponses=given)


def _by_older_handle(host: Conversation) -> Message:
    called = host.ask("tools/call", name="start_task", arguments={"instruction": JOB}, task={"ttl": 600_000})
    handle = called["task"]
    assert handle["status"] in ("working", "input_required")
    result = host.ask("tasks/result", taskId=handle["taskId"])
    assert host.ask("tasks/get", taskId=handle["taskId"])["status"] == "completed"
    return result


# ---- the wire


def check_wire(host: Conversation) -> None:
    profile = host.profile
    requests = [message for _, message in host.heard if "id" in message]
    assert {message["method"] for message in requests} <= {"elicitation/create"}
    assert not (requests and profile.modern)
    assert len(requests) == (0 if profile.modern else len(profile.asked))
    notifications = [(during, message) for during, message in host.heard if "id" not in message]
    assert {message["method"] for _, message in notifications} <= {"notifications/progress"}
    check_progress(profile, notifications)
    for question in host.questions:
        check_question(question)
    for method, result in host.answers:
        check_answer(profile, method, result)


def check_progress(profile: Profile, notifications: list[tuple[int, Message]]) -> None:
    assert bool(notifications) is (profile.shows_progress and not profile.takes_handles)
    last: dict[Any, float] = {}
    for during, message in notifications:
        told = message["params"]
        assert told["progressToken"] == during, "told after its call had returned"
        assert told["progress"] > last.get(during, -1)
        assert 0 < len(told["message"]) <= 200
        last[during] = told["progress"]


def check_question(question: Message) -> None:
    if question.get("mode") == "url":
        assert question["url"].startswith(LINK)
        assert "log-in" in question["message"]
    else:
        assert question["requestedSchema"]["type"] == "object"
        assert LINK not in json.dumps(question)  # a form shows no address


def check_answer(profile: Profile, method: str, result: Message) -> None:
    is_handle = "task" in result or result.get("resultType") == "task"
    assert not is_handle or (profile.takes_handles and method == "tools/call")
    assert result.get("resultType") != "input_required" or (profile.modern and profile.asked)
    if profile.modern:
        assert result["resultType"]
    else:
        assert "resultType" not in result
    if "content" in result and "structuredContent" in result:
        facts, text = result["structuredContent"], text_of(result)
        assert facts["summary"] in text
        assert text.endswith(f"Next: {facts['next_step']}")
        assert facts.get("result", "") in text


def text_of(answer: Message) -> str:
    return "\n".join(block["text"] for block in answer["content"] if block["type"] == "text")

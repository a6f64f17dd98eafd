"""What is said again to a new keeper, and what is not."""

import json
from typing import Any

import pytest

from northstar_mcp.keeper.conversation import Conversation
from northstar_mcp.keeper.wire import Lines

MODERN = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}


def line(**message: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


INITIALIZE = line(id=0, method="initialize", params={"protocolVersion": "2025-11-25"})
INITIALIZED = line(method="notifications/initialized")


def opened() -> Conversation:
    """One of the older era that has begun."""
    conversation = Conversation()
    conversation.heard(INITIALIZE)
    assert conversation.answered(line(id=0, result={}))
    conversation.heard(INITIALIZED)
    return conversation


def test_the_opening_is_told_first_and_its_second_answer_is_kept_from_the_host() -> None:
    conversation = opened()
    again = conversation.again(unsent=b"")
    assert (again.first, again.then, again.to_host) == (INITIALIZE, INITIALIZED, b"")
    assert _opened_and_muting(conversation) == (False, True)
    assert not conversation.answered(line(id=0, result={}))
    assert _opened_and_muting(conversation) == (True, False)


def _opened_and_muting(conversation: Conversation) -> tuple[bool, bool]:
    return conversation.is_opened, conversation.is_muting


def test_an_opening_that_was_not_answered_yet_is_simply_asked_again() -> None:
    conversation = Conversation()
    conversation.heard(INITIALIZE)
    again = conversation.again(unsent=b"")
    assert (again.first, again.then) == (b"", INITIALIZE)
    assert conversation.answered(line(id=0, result={}))


def test_settings_of_the_conversation_are_told_once_each_in_their_last_form() -> None:
    conversation = opened()
    said = [
        line(id=1, method="logging/setLevel", params={"level": "debug"}),
        line(id=2, method="logging/setLevel", params={"level": "error"}),
        line(id=3, method="resources/subscribe", params={"uri": "northstar://tasks/a"}),
        line(id=4, method="resources/subscribe", params={"uri": "northstar://tasks/b"}),
        line(id=5, method="resources/unsubscribe", params={"uri": "northstar://tasks/a"}),
    ]
    for number, each in enumerate(said, start=1):
        conversation.heard(each)
        conversation.answered(line(id=number, result={}))
    assert conversation.again(unsent=b"").then == INITIALIZED + said[1] + said[3]
    assert [conversation.answered(line(id=number, result={})) for number in (0, 2, 4)] == [False] * 3
    assert not conversation.is_muting


def test_questions_are_asked_again_and_calls_are_not() -> None:
    conversation = opened()
    question = line(id=7, method="tools/list", params={})
    conversation.heard(question)
    conversation.heard(line(id="call", method="tools/call", params={"name": "start_task"}))
    again = conversation.again(unsent=b"")
    assert again.then == INITIALIZED + question
    told = json.loads(again.to_host)
    assert told["id"] == "call"
    assert told["result"]["isError"]
    assert "resultType" not in told["result"]
    assert conversation.again(unsent=b"").to_host == b"", "a call is answered once"


def test_a_call_that_never_left_is_made_at_the_new_keeper() -> None:
    conversation = Conversation()
    sent = line(id=1, method="tools/call", params={"name": "pause", **MODERN})
    unsent = line(id=2, method="tools/call", params={"name": "resume", **MODERN})
    conversation.heard(sent)
    conversation.heard(unsent)
    again = conversation.again(unsent=sent[-5:] + unsent)
    assert again.then == unsent
    assert json.loads(again.to_host)["id"] == 1
    assert json.loads(again.to_host)["result"]["resultType"] == "complete"


def test_a_call_that_the_host_gave_up_is_forgotten() -> None:
    conversation = opened()
    conversation.heard(line(id=1, method="tools/call", params={"name": "task_status"}))
    conversation.heard(line(method="notifications/cancelled", params={"requestId": 1}))
    assert conversation.is_silent
    assert conversation.again(unsent=b"").to_host == b""


def test_a_listener_listens_on_and_is_acknowledged_once() -> None:
    conversation = Conversation()
    listening = line(id=1, method="subscriptions/listen", params=MODERN)
    acknowledged = line(
        method="notifications/subscriptions/acknowledged",
        params={"_meta": {"io.modelcontextprotocol/subscriptionId": 1}},
    )
    conversation.heard(listening)
    assert conversation.answered(acknowledged)
    assert conversation.again(unsent=b"").then == listening
    assert not conversation.answered(acknowledged)
    assert conversation.answered(acknowledged)


@pytest.mark.parametrize(
    "said", [b"nonsense\n", b"[1, null]\n", b'"text"\n', line(method=1), line(id=None, result={}), b'{"id": [1]}\n']
)
def test_what_is_no_message_is_passed_on_and_changes_nothing(said: bytes) -> None:
    conversation = opened()
    conversation.heard(said)
    assert conversation.answered(said)
    assert conversation.is_silent


def test_lines_are_cut_wherever_the_bytes_break() -> None:
    whole = b'{"a": 1}\n\n{"b": "\\r\xc3\xa4"}\r\n{"c": 3}\n'
    for at in range(len(whole)):
        lines = Lines()
        assert lines.cut(whole[:at]) + lines.cut(whole[at:]) == [
            b'{"a": 1}\n',
            b'{"b": "\\r\xc3\xa4"}\r\n',
            b'{"c": 3}\n',
        ]


def test_a_line_beyond_the_limit_is_dropped_and_the_next_is_not() -> None:
    lines = Lines(limit=10)
    assert lines.cut(b"short\n" + b"x" * 25) == [b"short\n"]
    assert lines.cut(b"x" * 25 + b"\nnext\n") == [b"next\n"]
    assert lines.dropped == 1


def test_what_a_lost_keeper_asked_is_taken_back_and_its_answer_goes_nowhere() -> None:
    conversation = opened()
    question = line(id=1, method="elicitation/create", params={"message": "Now?"})
    assert conversation.as_asked(question) == question
    assert conversation.answered(question)
    (taken_back,) = conversation.again(unsent=b"").to_host.splitlines()
    assert json.loads(taken_back)["params"]["requestId"] == 1

    assert conversation.as_answered(line(id=1, result={"action": "accept"})) == b""


def test_what_a_later_keeper_asks_has_a_name_of_its_own_until_it_is_answered() -> None:
    conversation = opened()
    for _ in range(2):
        conversation.again(unsent=b"")
    asked = json.loads(conversation.as_asked(line(id=1, method="elicitation/create", params={})))
    taken_back = line(method="notifications/cancelled", params={"requestId": 1})

    answer = conversation.as_answered(line(id=asked["id"], result={}))

    assert json.loads(answer)["id"] == 1
    assert json.loads(conversation.as_asked(taken_back))["params"]["requestId"] == asked["id"]
    assert conversation.as_answered(line(id="1:1", result={})) == b""


@pytest.mark.parametrize("said", [b"no json\n", b"7\n", line(id=4, method="tools/list"), line(method="ping")])
def test_what_is_no_answer_is_passed_on_as_it_is(said: bytes) -> None:
    conversation = opened()
    conversation.again(unsent=b"")
    assert conversation.as_answered(said) == said


def test_before_a_keeper_is_lost_nothing_is_renamed() -> None:
    conversation = opened()
    said = line(id=1, result={})
    assert conversation.as_answered(said) is said


@pytest.mark.parametrize("named", ["1:{", "1:", ":", "2:1", 1, None, "1"])
def test_an_answer_under_any_other_name_goes_nowhere(named: Any) -> None:
    conversation = opened()
    conversation.again(unsent=b"")
    assert conversation.as_answered(line(id=named, result={"content": {"method": "accept"}})) == b""


def test_an_answer_that_speaks_of_a_method_is_an_answer() -> None:
    conversation = opened()
    conversation.again(unsent=b"")
    asked = json.loads(conversation.as_asked(line(id=7, method="elicitation/create", params={})))
    answer = line(id=asked["id"], result={"content": {"method": "x"}})
    assert json.loads(conversation.as_answered(answer))["id"] == 7


def test_a_question_that_the_keeper_took_back_is_not_taken_back_again() -> None:
    conversation = opened()
    conversation.answered(line(id=1, method="elicitation/create", params={}))
    conversation.answered(line(method="notifications/cancelled", params={"requestId": 1}))
    assert conversation.again(unsent=b"").to_host == b""

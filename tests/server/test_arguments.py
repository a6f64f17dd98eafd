"""What a model sends is read as it was meant, or refused in a sentence that says what to change."""

import json
from typing import Any

import pytest

from northstar_mcp.errors import InvalidRequest
from northstar_mcp.server.arguments import read
from northstar_mcp.server.tools.list_tasks import ListTasks
from northstar_mcp.server.tools.start_task import StartTask
from northstar_mcp.server.tools.task_status import TaskStatus
from northstar_mcp.server.tools.wait_for_tasks import WaitForTasks


def start(**arguments: Any) -> StartTask:
    return read(StartTask, {"instruction": "Open example.com", **arguments}, tool="start_task")


def refusal(**arguments: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        start(**arguments)
    assert refused.value.__cause__ is None
    assert not refused.value.sent
    return refused.value.message


def test_whole_numbers_may_come_as_floats_or_text() -> None:
    assert start(max_steps=20.0).max_steps == 20
    assert start(max_steps="20").max_steps == 20
    assert start(temperature="0.5", wait_seconds="30").temperature == 0.5


def test_null_and_an_empty_optional_text_mean_that_nothing_is_given() -> None:
    asked = start(kind=None, start_url="", environment_id="", idempotency_key="", max_steps=None)

    assert asked.model_dump(exclude_none=True) == {"instruction": "Open example.com"}


def test_truth_may_come_as_text() -> None:
    assert start(keep_alive="true", persistent=False).keep_alive is True


@pytest.mark.parametrize("given", ["task_a", ["task_a"], '["task_a"]'])
def test_one_task_id_may_come_without_its_list(given: object) -> None:
    assert read(WaitForTasks, {"task_ids": given}, tool="wait_for_tasks").task_ids == ["task_a"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"instruction": ""}, "instruction must not be empty."),
        ({"instruction": " \n\t"}, "instruction must say something; it holds only white space."),
        ({"instruction": None}, "instruction is required."),
        ({"instruction": 7}, "instruction must be text, not 7."),
        ({"instruction": "x" * 2**20}, "instruction may have at most 100,000 characters; it has 1,048,576."),
        ({"instruction": "\ud800"}, "instruction holds half a character (a lone surrogate); send valid Unicode."),
        ({"max_steps": 0}, "max_steps must be at least 1, not 0."),
        ({"max_steps": 10_001}, "max_steps must be at most 10000, not 10001."),
        ({"max_steps": 10**400}, "max_steps must be at most 10000, not a huge number."),
        ({"max_steps": 2.5}, "max_steps must be a whole number, not 2.5."),
        ({"max_steps": True}, "max_steps is a number, not true or false."),
        ({"max_steps": "many"}, 'max_steps must be a whole number, not "many".'),
        ({"max_steps": [5]}, "max_steps must be a whole number, not a list."),
        ({"temperature": 2.1}, "temperature must be at most 2, not 2.1."),
        ({"temperature": "nan"}, 'temperature must be a finite number, not "nan".'),
        ({"kind": "car"}, "kind must be 'desktop' or 'browser', not \"car\"."),
        ({"keep_alive": "perhaps"}, 'keep_alive must be true or false, not "perhaps".'),
        ({"wait_seconds": 46}, "wait_seconds must be at most 45, not 46."),
        ({"viewport_width": 99}, "viewport_width must be at least 100, not 99."),
        ({"start_url": "file:///x"}, "start_url must be an http or https address such as https://example.com."),
        ({"start_url": "https://"}, "start_url must be an http or https address such as https://example.com."),
        (
            {"start_url": "https://example.com", "kind": "desktop"},
            'start_url needs a browser: leave out kind, or set it to "browser".',
        ),
        ({"max_step": 5}, "max_step is not a parameter of this tool; max_steps is."),
    ],
)
def test_a_fault_is_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    assert refusal(**arguments) == sentence


def test_what_was_sent_is_shown_cut_short_and_cleaned() -> None:
    told = refusal(kind="browser\u202e\n" * 1000)

    assert len(told) < 150
    assert "\u202e" not in told
    assert "\n" not in told


def test_an_unknown_key_that_is_close_to_none_gets_the_list() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(TaskStatus, {"task_id": "task_a", "verbosity": 3}, tool="task_status")

    assert refused.value.message == (
        "verbosity is not a parameter of this tool; it has task_id, since_seq and wait_seconds."
    )


def test_many_faults_are_counted() -> None:
    told = refusal(**{f"wrong_{n}": n for n in range(9)})

    assert told.endswith("4 more faults are not listed.")


def test_the_remedy_names_the_tool_and_says_that_nothing_was_done() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(ListTasks, {"limit": 0}, tool="list_tasks")

    assert refused.value.remedy == "Correct the arguments and call list_tasks again; nothing was done by this call."


def test_arguments_that_are_no_object_at_all_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        read(ListTasks, json.loads("[1]"), tool="list_tasks")

"""`northstar-mcp tasks`: what was handed over, from any terminal."""

import pytest

from .processes import CommandLine, line_with
from .terminal import at_a_terminal


def test_tasks_are_listed_newest_first(northstar: CommandLine) -> None:
    for name in ("first", "second"):
        assert northstar("run", f"look at the {name} invoice [steps=1]").code == 0
    listed = northstar("tasks", "list")
    assert (listed.code, listed.err) == (0, "")
    second, first = listed.out.splitlines()
    assert "the second invoice" in second
    assert "the first invoice" in first
    facts = northstar("tasks", "list", "--json", "--limit", "1").facts
    assert [task["instruction"] for task in facts["tasks"]] == ["look at the second invoice [steps=1]"]
    older = northstar("tasks", "list", "--json", "--before", facts["next_cursor"]).facts
    assert [task["instruction"] for task in older["tasks"]] == ["look at the first invoice [steps=1]"]
    assert older["next_cursor"] is None


def test_tasks_are_listed_by_state(northstar: CommandLine) -> None:
    northstar("run", "look at invoices [steps=1]")
    northstar("run", "look at invoices [fail at 1]")
    failed = northstar("tasks", "list", "--state", "failed", "--state", "stopped", "--json").facts["tasks"]
    assert [task["state"] for task in failed] == ["failed"]


def test_at_a_terminal_the_list_is_a_table(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "tasks", "list") as terminal:
        terminal.wait_for("No tasks yet.")
        assert terminal.end() == 0
    task_id = northstar("run", f"look at {'very ' * 40} old invoices [steps=1]", "--json").facts["task_id"]
    with at_a_terminal(northstar, "tasks", "list") as terminal:
        terminal.wait_for("instruction")
        terminal.wait_for(task_id[:12])
        terminal.wait_for("completed")
        terminal.wait_for("ago")
        terminal.wait_for("look at very very")
        terminal.wait_for("…")
        assert terminal.end() == 0


def test_one_task_is_shown_with_what_happened(northstar: CommandLine) -> None:
    task_id = northstar("run", "look at invoices [steps=2] [result=Both are paid.]", "--json").facts["task_id"]
    shown = northstar("tasks", "show", task_id)
    assert (shown.code, shown.err) == (0, "")
    for words in (task_id, "completed", "2 of at most 100", "Northstar started", "Both are paid."):
        assert words in shown.out
    facts = northstar("tasks", "show", task_id, "--json", "--events", "3").facts
    assert [event["seq"] for event in facts["events"]] == [facts["seq"] - 2, facts["seq"] - 1, facts["seq"]]
    assert facts["events_omitted"] == facts["seq"] - 3
    assert facts["receipts"] == []


def test_an_id_may_be_shortened_while_it_fits_one_task(northstar: CommandLine) -> None:
    first = northstar("run", "look at invoices [steps=1]", "--json").facts["task_id"]
    assert northstar("tasks", "show", first[:9], "--json").facts["task_id"] == first
    second = northstar("run", "look at mail [steps=1]", "--json").facts["task_id"]
    several = northstar("tasks", "show", "task_")
    assert (several.code, several.out) == (2, "")
    assert "2 tasks begin with 'task_'" in several.err
    assert first in several.err
    assert second in several.err


@pytest.mark.parametrize("command", ["show", "watch", "resume", "stop"])
def test_an_id_that_fits_none_is_told_in_a_sentence(northstar: CommandLine, command: str) -> None:
    ran = northstar("tasks", command, "task_nothing")
    assert (ran.code, ran.out) == (1, "")
    assert "There is no task 'task_nothing'." in ran.err
    assert "northstar-mcp tasks list" in ran.err


def test_a_task_that_went_on_alone_is_caught_up_with(northstar: CommandLine) -> None:
    task_id = _left_alone(northstar, "look at invoices [steps=20] [result=done alone]")
    # Catching up ends when nothing new has come for a while, or with the task; either is a true answer, the second comes to be one.
    shown = northstar("tasks", "show", task_id, "--json").facts
    while shown["state"] != "completed":
        before, shown = shown, northstar("tasks", "show", task_id, "--json").facts
        assert shown["seq"] > before["seq"], "nothing of it arrived"
    assert shown["result"] == "done alone"


def test_without_a_key_the_record_can_still_be_read(northstar: CommandLine) -> None:
    task_id = _left_alone(northstar, "look at invoices [login at 2]")
    shown = northstar("tasks", "show", task_id, "--json", without=("TZAFON_API_KEY",))
    assert shown.code == 0
    assert shown.facts["task_id"] == task_id


def test_a_task_is_stopped_with_the_word_on_what_was_confirmed(northstar: CommandLine) -> None:
    task_id = _left_alone(northstar, "look at invoices [steps=400]")
    stopped = northstar("tasks", "stop", task_id, "--json")
    assert stopped.code == 0
    assert stopped.facts["confirmed"] is True
    assert stopped.facts["state"] == "stopped"
    assert stopped.facts["done"]
    again = northstar("tasks", "stop", task_id)
    assert (again.code, again.out) == (0, "It had ended before: stopped.\n")


def test_what_has_ended_cannot_be_resumed(northstar: CommandLine) -> None:
    task_id = northstar("run", "look at invoices [steps=1]", "--json").facts["task_id"]
    ran = northstar("tasks", "resume", task_id)
    assert (ran.code, ran.out) == (1, "")
    assert "The task has ended (completed)." in ran.err
    assert "task_status" not in ran.err


def test_text_from_a_page_cannot_command_the_terminal(northstar: CommandLine) -> None:
    northstar("run", "look at \x1b[2Jinvoices [steps=1] [result=\x1b]0;owned\x07fine]")
    for arguments in (("tasks", "list"), ("tasks", "show", "task_")):
        with at_a_terminal(northstar, *arguments) as terminal:
            assert terminal.end() == 0
            assert "\x07" not in terminal.shown
            assert "\x1b]0" not in terminal.shown


def _left_alone(northstar: CommandLine, instruction: str) -> str:
    """The id of a task that was started and that no process follows any more."""
    with northstar.holding("run", instruction) as process:
        line_with(process, "thinking")
        process.terminate()
        _, err = process.communicate(timeout=40)
    (line,) = [line for line in err.splitlines() if "tasks show" in line]
    return line.split()[-1]

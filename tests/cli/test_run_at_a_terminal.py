"""`northstar-mcp run` at a terminal: the live panel, and what Ctrl-C and Enter do."""

import sys
from dataclasses import replace

import pytest

from .processes import CommandLine
from .terminal import CTRL_C, ENTER, at_a_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")

LONG = "look at invoices [steps=400]"


def test_a_panel_shows_the_task_and_the_result_stands_below_it(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "run", "look at invoices [steps=8] [result=All are paid.]") as terminal:
        terminal.wait_for("Northstar · ")
        terminal.wait_for("of at most 100")
        terminal.wait_for("Ctrl-C to stop or detach")
        terminal.wait_for("Northstar · completed")
        terminal.wait_for("All are paid.")
        assert terminal.end() == 0


def test_ctrl_c_can_stop_the_task(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "run", LONG) as terminal:
        terminal.wait_for("thinking")
        terminal.press(CTRL_C)
        terminal.wait_for("[s/d/C]")
        terminal.press("s" + ENTER)
        terminal.wait_for("Stopped after")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.shown
    assert _states(northstar) == ["stopped"]


def test_ctrl_c_can_leave_the_task_running(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "run", "look at invoices [steps=60] [result=later]") as terminal:
        terminal.wait_for("thinking")
        terminal.press(CTRL_C)
        terminal.wait_for("[s/d/C]")
        terminal.press("d" + ENTER)
        terminal.wait_for("Detached.")
        terminal.wait_for("northstar-mcp tasks show task_")
        assert terminal.end() == 8
    (task,) = northstar("tasks", "list", "--json").facts["tasks"]
    assert northstar("tasks", "watch", task["task_id"]).out == "later\n"


def test_ctrl_c_can_be_taken_back(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "run", "look at invoices [steps=20] [result=went on]") as terminal:
        terminal.wait_for("thinking")
        terminal.press(CTRL_C)
        terminal.wait_for("[s/d/C]")
        terminal.press(ENTER)
        terminal.wait_for("Northstar · completed")
        terminal.wait_for("went on")
        assert terminal.end() == 0


def test_a_second_ctrl_c_stops_without_more_questions(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "run", LONG) as terminal:
        terminal.wait_for("thinking")
        terminal.press(CTRL_C)
        terminal.wait_for("[s/d/C]")
        terminal.press(CTRL_C)
        terminal.wait_for("Stopped after")
        assert terminal.end() == 130
    assert _states(northstar) == ["stopped"]


def test_enter_lets_it_go_on_once_a_person_has_acted(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "run", "look at invoices [login at 2] [steps=3] [result=signed in]") as terminal:
        terminal.wait_for("Northstar needs you. Open https://")
        terminal.press(ENTER)
        terminal.wait_for("Northstar · completed")
        terminal.wait_for("signed in")
        assert terminal.end() == 0


def test_ctrl_c_works_while_a_person_is_waited_for(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "run", "look at invoices [login at 2]") as terminal:
        terminal.wait_for("press Enter")
        terminal.press(CTRL_C)
        terminal.wait_for("[s/d/C]")
        terminal.press("d" + ENTER)
        terminal.wait_for("Detached.")
        assert terminal.end() == 8
    assert _states(northstar) == ["needs_input"]


def test_what_somebody_resumes_elsewhere_goes_on_here(northstar: CommandLine) -> None:
    with at_a_terminal(northstar, "run", "look at invoices [login at 2] [steps=3] [result=helped]") as terminal:
        terminal.wait_for("press Enter")
        (task,) = northstar("tasks", "list", "--json").facts["tasks"]
        assert northstar("tasks", "resume", task["task_id"]).code == 0
        terminal.wait_for("helped")
        assert terminal.end() == 0


def _states(northstar: CommandLine) -> list[str]:
    return [task["state"] for task in northstar("tasks", "list", "--json").facts["tasks"]]


def confirming(northstar: CommandLine) -> CommandLine:
    """Where the operator wants every start confirmed."""
    return replace(northstar, environment={**northstar.environment, "NORTHSTAR_MCP_CONFIRM": "always"})


def test_a_start_that_must_be_confirmed_is_asked_for(northstar: CommandLine) -> None:
    northstar = confirming(northstar)
    with at_a_terminal(northstar, "run", "look at invoices [steps=2] [result=All are paid.]") as terminal:
        terminal.wait_for("Start it? [y/N]")
        terminal.press("y" + ENTER)
        terminal.wait_for("All are paid.")
        assert terminal.end() == 0


def test_a_start_that_was_not_confirmed_is_none(northstar: CommandLine) -> None:
    northstar = confirming(northstar)
    with at_a_terminal(northstar, "run", "look at invoices") as terminal:
        terminal.wait_for("Start it? [y/N]")
        terminal.press(ENTER)
        terminal.wait_for("has to confirm this start")
        assert terminal.end() not in (0, None)
    assert northstar("run", "look at invoices").code != 0
    assert _states(northstar) == []

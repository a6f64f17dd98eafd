"""`northstar-mcp run` where there is no terminal: the result on stdout, the talk on stderr, the exit code from the outcome."""

import signal
import subprocess

import pytest

from .processes import CommandLine, line_with


def test_the_result_alone_goes_to_stdout(northstar: CommandLine) -> None:
    ran = northstar("run", "look at invoices [steps=3] [result=Two are overdue.]")
    assert (ran.code, ran.out) == (0, "Two are overdue.\n")
    assert "Northstar started" in ran.err
    assert "Completed after" in ran.err
    assert "3 steps" in ran.err


@pytest.mark.parametrize(
    ("instruction", "options", "code", "words"),
    [
        ("look at invoices [fail at 2]", (), 1, "Northstar reported that the task failed (exec_failed)."),
        ("look at invoices [cancelled at 2]", (), 3, "Stopped after"),
        ("look at invoices [steps=5]", ("--max-steps", "2"), 4, "Out of steps after"),
        ("look at invoices [steps=400]", ("--max-seconds", "1"), 5, "Out of time after"),
    ],
)
def test_the_exit_code_says_how_it_ended(
    northstar: CommandLine, instruction: str, options: tuple[str, ...], code: int, words: str
) -> None:
    ran = northstar("run", instruction, *options)
    assert ran.code == code
    assert words in ran.err


def test_a_task_that_needs_a_person_is_left_with_the_words_how_to_go_on(northstar: CommandLine) -> None:
    ran = northstar("run", "look at invoices [login at 2]")
    assert (ran.code, ran.out) == (6, "")
    assert "Open https://" in ran.err
    resume = next(line for line in ran.err.splitlines() if "tasks resume" in line).split()
    assert northstar(*resume[1:]).code == 0
    watched = northstar("tasks", "watch", resume[-1])
    assert watched.code == 0
    assert watched.out.startswith("Done.")


def test_the_instruction_can_come_from_stdin(northstar: CommandLine) -> None:
    ran = northstar("run", "-", given="look at invoices [steps=1] [result=read]")
    assert (ran.code, ran.out) == (0, "read\n")


def test_all_facts_are_there_as_json(northstar: CommandLine) -> None:
    ran = northstar("run", "look at invoices [steps=2] [result=both]", "--json", "--max-steps", "7")
    assert ran.code == 0
    assert ran.facts["state"] == "completed"
    assert (ran.facts["result"], ran.facts["steps"], ran.facts["max_steps"]) == ("both", 2, 7)
    assert ran.facts["task_id"].startswith("task_")


def test_ctrl_c_without_a_terminal_stops_the_task(northstar: CommandLine) -> None:
    with northstar.holding("run", "look at invoices [steps=400]") as process:
        line_with(process, "thinking")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    assert (process.returncode, out) == (130, "")
    assert "Stopped after" in err
    assert "Traceback" not in err
    assert [task["state"] for task in northstar("tasks", "list", "--json").facts["tasks"]] == ["stopped"]


def test_sigterm_leaves_the_task_running_and_says_so(northstar: CommandLine) -> None:
    with northstar.holding("run", "look at invoices [steps=60] [result=later]") as process:
        _end_it(process)
        _, err = process.communicate(timeout=40)
    assert process.returncode == 8
    assert "Detached." in err
    (show,) = [line.split() for line in err.splitlines() if "tasks watch" in line]
    assert northstar(*show[1:]).out == "later\n"


def test_the_same_task_is_not_started_twice_unless_asked_to(northstar: CommandLine) -> None:
    instruction = "look at invoices [steps=40] [result=one]"
    with northstar.holding("run", instruction) as process:
        _end_it(process)
        process.communicate(timeout=40)
    again = northstar("run", instruction)
    assert again.out == "one\n"
    assert "--new starts another" in again.err
    assert len(northstar("tasks", "list", "--json").facts["tasks"]) == 1
    with northstar.holding("run", instruction) as process:
        _end_it(process)
        process.communicate(timeout=40)
    assert northstar("run", "--new", instruction).out == "one\n"
    assert len(northstar("tasks", "list", "--json").facts["tasks"]) == 3


def _end_it(process: "subprocess.Popen[str]") -> None:
    line_with(process, "thinking")
    process.terminate()

"""What is said of a task, in the words a model reads: one paragraph of summary, and one next step with the ids filled in.

Claims no more than the state does: `completed` is what Northstar reports, `unknown` is never read as done. Everything here is this
server's own sentences; what Northstar said stands in the fence (answers.py).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from northstar_mcp.server.fence import clean_line
from northstar_mcp.tasks.model import Task
from northstar_mcp.tasks.states import State

_UPSTREAM_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_SOME_STEPS: Final = 20
_MOST_STEPS: Final = 10_000
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")


def summary_of(task: Task, *, now: datetime) -> str:
    """One or two sentences about where it stands."""
    return _words(task).format(
        id=task.task_id,
        steps=_steps(task),
        spent=_spent(task.elapsed_seconds(now)),
        most=task.request.max_steps,
        why=_why(task),
        last=_last_word(task),
    )


def _words(task: Task) -> str:
    if never_began(task):
        return _NEVER_BEGAN
    if task.state is State.COMPLETED and task.stopping is not None:
        return _ENDED_AS_TOLD
    return _SUMMARIES[task.state]


_ENDED_AS_TOLD: Final = (
    "Task {id} was told to stop, and then Northstar reported it as completed, after {steps} in {spent}: "
    "take the work as unfinished, unless its report says otherwise."
)
_NEVER_BEGAN: Final = "Task {id} did not begin; nothing was done.{why}"
_SUMMARIES: Final[Mapping[State, str]] = {
    State.STARTING: "Task {id} is starting: it was handed over {spent} ago, and nothing has come from Northstar yet.",
    State.RUNNING: "Task {id} is running: {steps} of at most {most}, {spent} so far.",
    State.PAUSED: "Task {id} is paused after {steps} of at most {most}.",
    State.NEEDS_INPUT: "Task {id} waits for a person, for a log-in or something else only a person can do; {steps} so far.",
    State.COMPLETED: "Northstar reports task {id} as completed, after {steps} in {spent}. That is its own claim.",
    State.FAILED: "Task {id} failed after {steps} in {spent}.{why}",
    State.STOPPED: "Task {id} was stopped after {steps} in {spent}; its work may be half done.",
    State.OUT_OF_STEPS: "Task {id} used up its {most} steps in {spent} before Northstar said that it was done.",
    State.OUT_OF_TIME: "Task {id} ran out of time after {steps} in {spent}, before Northstar said that it was done.",
    State.UNKNOWN: "Nobody knows how task {id} ended: Lightcone would not say{last}. Do not take it for done.",
}


def next_step_of(task: Task, *, told: bool, poll_after_seconds: float | None = None) -> str:
    """One sentence that says what to call now.

    Args:
        told: Whether the caller knows the task's events up to its seq: elsewhere it must not be told to skip them.
    """
    if task.state is State.FAILED and task.error is not None and task.error.remedy:
        return clean_line(task.error.remedy, limit=1_000)
    pause = f" (without wait_seconds: in about {poll_after_seconds:g} s)" if poll_after_seconds is not None else ""
    view = task.live_view_url
    return _NEXT_STEPS[task.state].format(
        id=task.task_id,
        since=f", since_seq {task.seq}" if told else ", since_seq (the last seq you have seen)",
        pause=pause,
        at=f" at {view}" if view is not None else "",
        more=min(max(task.request.max_steps * 2, _SOME_STEPS), _MOST_STEPS),
        same=f" A next task goes on where it stands with computer_id {task.computer_id}." if _is_kept(task) else "",
    )


_FOLLOW: Final = 'Call task_status with task_id "{id}"{since} and wait_seconds 30 to follow it{pause}.'
_NEXT_STEPS: Final[Mapping[State, str]] = {
    State.STARTING: _FOLLOW,
    State.RUNNING: _FOLLOW,
    State.PAUSED: (
        'Call resume with task_id "{id}" to let it go on; before that, inject_message can tell it something. '
        "stop_task ends it."
    ),
    State.NEEDS_INPUT: (
        "Tell the user what it waits for, and that the live view{at} lets them do it. Once they say that it is done, call "
        'resume with task_id "{id}".'
    ),
    State.COMPLETED: (
        'Check the result against what was asked; task_screenshot with task_id "{id}" shows the last screen. '
        "Then tell the user.{same}"
    ),
    State.FAILED: "Read the last events for the reason; then start_task with a clearer instruction, or tell the user.",
    State.STOPPED: (
        'Tell the user. task_screenshot with task_id "{id}" shows the last screen, if you need to know what was done.'
    ),
    State.OUT_OF_STEPS: (
        'See what was done (task_screenshot with task_id "{id}"); then start_task for the rest, with a smaller job or '
        "a larger max_steps such as {more}.{same}"
    ),
    State.OUT_OF_TIME: (
        'See what was done (task_screenshot with task_id "{id}"); then start_task for the rest, with a smaller job or '
        "a larger max_duration_seconds.{same}"
    ),
    State.UNKNOWN: (
        "Tell the user that the outcome is not known. Check what was done (task_screenshot with task_id "
        '"{id}", or the site itself) before you start it again: it may have been done already.'
    ),
}


def hand_over_next(task: Task) -> str:
    """After the computer was handed over, where the host can ask its user."""
    return (
        f'Tell the user what to do; then call task_status with task_id "{task.task_id}" and wait_seconds 45: their host '
        "shows them the way in, and asks when they are done."
    )


def declined_next(task: Task) -> str:
    """After the user has said that they will not."""
    return (
        f'The user does not want to do it: ask them how to go on. stop_task with task_id "{task.task_id}" ends it; or tell '
        "Northstar with inject_message how to do without, and call resume."
    )


def never_began(task: Task) -> bool:
    """Whether it failed before Northstar did anything: the start was refused."""
    learnt = task.northstar_task_id is not None or task.computer_id is not None or task.steps > 0
    return task.state is State.FAILED and not learnt


def upstream_id(name: str | None) -> str | None:
    """An id of Lightcone's, if it looks like one: it is shown among our own words."""
    return name if name is not None and _ID.fullmatch(name) else None


def ago(moment: datetime, *, now: datetime) -> str:
    """How long ago that was."""
    return f"{_spent(max(0.0, (now - moment).total_seconds()))} ago"


def _steps(task: Task) -> str:
    return f"{task.steps} step" if task.steps == 1 else f"{task.steps} steps"


def _spent(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _why(task: Task) -> str:
    return f" {clean_line(task.error.message, limit=500)}" if task.error is not None else ""


def _last_word(task: Task) -> str:
    word = task.upstream_status
    return f' (its last word was "{word}")' if word is not None and _UPSTREAM_WORD.fullmatch(word) else ""


def _is_kept(task: Task) -> bool:
    asked = task.request
    return upstream_id(task.computer_id) is not None and bool(asked.keep_alive or asked.persistent or asked.computer_id)

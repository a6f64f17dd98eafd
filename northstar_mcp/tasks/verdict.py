"""What Lightcone's word on a task's state does to the record, where it was asked for and no frame told it."""

from typing import Final

from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Task, TaskError, UpstreamStatus
from northstar_mcp.tasks.states import Happening, State

_ENDINGS: Final = {
    Happening.COMPLETED: EventType.COMPLETED,
    Happening.FAILED: EventType.FAILED,
    Happening.STOPPED: EventType.STOPPED,
    Happening.STEPS_EXHAUSTED: EventType.OUT_OF_STEPS,
    Happening.TIME_EXHAUSTED: EventType.OUT_OF_TIME,
    Happening.LOST: EventType.LOST,
}


def end_as_told(draft: Draft, *, status: UpstreamStatus) -> None:
    """An end that was learnt by asking."""
    happening = status.happening
    if happening is None or draft.task.state.ended:
        return
    draft.learn(upstream_status=status.word, exit_code=status.exit_code, computer_id=status.computer_id)
    text = f"Lightcone says: {status.word}."
    if happening is Happening.COMPLETED and status.result is None:
        text += " Its answer was on the stream that was lost."
    error = None
    if happening is Happening.FAILED:
        error = TaskError(
            category="task_failed",
            message="Lightcone reports that the task failed.",
            retryable=False,
            remedy="It gave no reason: look at task_screenshot, then start it again with a more precise instruction.",
        )
    draft.tell(_ENDINGS[happening], text, happening=happening, result=status.result, error=error)


def heed_steps(draft: Draft, *, status: UpstreamStatus, asked: Task) -> None:
    """What Lightcone says of a task of which steps came while it was held: they were taken before, or it was resumed elsewhere."""
    if draft.task.revision != asked.revision:
        return
    if status.happening is None:
        text = "Northstar goes on: it was resumed elsewhere."
        draft.tell(EventType.RESUMED, text, happening=Happening.RESUME_CONFIRMED)
    elif status.happening is Happening.PAUSE_CONFIRMED:
        draft.confirm_pause()


def heed(draft: Draft, *, status: UpstreamStatus, asked: Task) -> None:
    """What Lightcone says of a task that goes on. What was learnt since it was asked is newer: a pause may be over by now."""
    if draft.task.revision != asked.revision:
        return
    draft.learn(upstream_status=status.word, computer_id=status.computer_id)
    if status.happening is None and draft.task.state is State.STARTING:
        draft.tell(EventType.STARTED, f"Lightcone says: {status.word}.", happening=Happening.STARTED)
    if status.happening is Happening.PAUSE_CONFIRMED and draft.task.state is State.RUNNING:
        draft.tell(EventType.PAUSED, "Lightcone says that the task is paused.", happening=status.happening)

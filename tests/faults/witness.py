"""What is true after a run, by the simulator's own record and the ledger's: read from both, and believed of neither alone."""

from northstar_mcp.tasks.model import Event, EventType, Task
from northstar_mcp.tasks.states import State
from tests.simulator.visitor import Visitor

_ENDS = {
    State.COMPLETED: {"completed"},
    State.STOPPED: {"cancelled", "failed"},
    State.FAILED: {"failed"},
}


def faults_of(task: Task, events: list[Event], lightcone: Visitor, *, result: str) -> list[str]:
    """What does not hold, a sentence each."""
    found = list(_of_the_record(task, events))
    begun = [start.task_id for start in lightcone.journal.starts if not start.reused]
    if len(begun) not in _allowed(task):
        found.append(f"{len(begun)} tasks were started")
    if len(begun) == 1:
        found += of_the_events(task, events, lightcone.journal.frame_types(begun[0]))
        found += _of_the_end(task, lightcone, begun[0], result=result)
    return found


def _allowed(task: Task) -> set[int]:
    """How many starts there may have been."""
    if task.northstar_task_id is not None or task.started_at is not None:
        return {1}
    return {State.FAILED: {0}, State.UNKNOWN: {0, 1}}.get(task.state, {1})


def _of_the_record(task: Task, events: list[Event]) -> list[str]:
    found = []
    if not task.state.ended:
        found.append(f"it never ended: {task.state}")
    if [event.seq for event in events] != list(range(1, task.seq + 1)):
        found.append("its events are not numbered without gaps")
    ids = [event.upstream_id for event in events if event.upstream_id is not None]
    if len(ids) != len(set(ids)):
        found.append("an event is there twice")
    return found


def of_the_events(task: Task, events: list[Event], emitted: list[str]) -> list[str]:
    """Everything that Lightcone sent is there, or it is said that something may be missing."""
    taken = [event.upstream_type for event in events if event.upstream_type is not None]
    if taken == emitted:
        return []
    if task.state in {State.STOPPED, State.OUT_OF_TIME} and taken == emitted[: len(taken)]:
        return []  # this server ended it: what Lightcone says of that comes after the end
    told = any(event.type in {EventType.GAP, EventType.LOST} for event in events)
    if not told:
        return [f"{len(emitted)} frames were sent, {len(taken)} are there, and no gap is told"]
    remaining = iter(emitted)
    return [] if all(kind in remaining for kind in taken) else ["what is there is not what was sent"]


def _of_the_end(task: Task, lightcone: Visitor, northstar_task_id: str, *, result: str) -> list[str]:
    """No more is claimed than happened."""
    found = []
    if task.northstar_task_id not in (None, northstar_task_id):
        found.append("it is taken for another task")
    emitted = lightcone.journal.frame_types(northstar_task_id)
    done = "completed" in emitted
    if task.state is State.COMPLETED and not done:
        found.append("it is called completed, and was not")
    if task.result is not None and task.result != result:
        found.append(f"its result is {task.result!r}")
    whole = done and not task.error and emitted[-1] == "completed"
    if whole and task.state is State.FAILED:
        found.append("it completed, and is called failed")
    return found

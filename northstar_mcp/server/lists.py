"""Answers that speak of several tasks: a page of them, and those that were waited for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from mcp_types import CallToolResult, TextContent

from northstar_mcp.server.answers import MAX_RESULT, facts_of
from northstar_mcp.server.fence import PROVENANCE, Fence, clean_line, quoted
from northstar_mcp.tasks.model import Task
from northstar_mcp.tasks.watching import Waited

_MAX_INSTRUCTION: Final = 120
_NOT_LISTED: Final = frozenset({"result", "next_step", "northstar_task_id"})  # a list may be long


def page_told(tasks: Sequence[Task], *, cursor: str | None, now: datetime) -> CallToolResult:
    """A page of tasks, without their results."""
    listed = [entry_of(task, now=now) for task in tasks]
    facts: dict[str, Any] = {
        "summary": _counted(len(listed), more=cursor is not None),
        "next_step": _after_page(tasks, cursor),
        "tasks": listed,
    }
    if cursor is not None:
        facts["next_cursor"] = cursor
    lines = "\n".join(
        f"- {entry['summary']} Asked: {quoted(entry['instruction'], limit=_MAX_INSTRUCTION)}" for entry in listed
    )
    return _answer(facts, lines)


def waited_told(waited: Waited, *, now: datetime, opening: str = "") -> CallToolResult:
    """Those that changed, with what came of them, and those that still run; `opening`: sentences of ours that come first."""
    changed, waiting = waited.changed, waited.waiting
    limit = MAX_RESULT // max(1, len(changed))
    tasks = [facts_of(task, now=now, cut=limit) for task in changed]
    facts: dict[str, Any] = {
        "summary": " ".join(filter(None, (opening, _news(len(changed), len(waiting))))),
        "next_step": _after_wait(changed, waiting),
        "tasks": tasks,
        "waiting": [entry_of(task, now=now) for task in waiting],
    }
    if any(entry.get("result") or entry.get("waits_for") for entry in tasks):
        facts["provenance"] = PROVENANCE
    fence = Fence.around(*(entry.get(said, "") for entry in tasks for said in ("result", "waits_for")))
    parts = [_part(entry, fence) for entry in tasks]
    parts.extend(f"- {entry['summary']}" for entry in facts["waiting"])
    return _answer(facts, "\n\n".join(parts))


def entry_of(task: Task, *, now: datetime) -> dict[str, Any]:
    """A task in a list: its facts without its result, and the beginning of what was asked."""
    facts = facts_of(task, now=now, cut=0)
    return {
        **{name: fact for name, fact in facts.items() if name not in _NOT_LISTED},
        "instruction": clean_line(task.request.instruction, limit=_MAX_INSTRUCTION),
        "created_at": task.created_at.isoformat(timespec="seconds"),
    }


def _part(entry: Mapping[str, Any], fence: Fence) -> str:
    said = [entry["summary"], f"Next for this one: {entry['next_step']}"]
    if result := entry.get("result"):
        said.insert(1, fence.put(result, what="what Northstar reports"))
    if needed := entry.get("waits_for"):
        said.insert(1, fence.put(needed, what="what it waits for"))
    return "\n".join(said)


def _counted(count: int, *, more: bool) -> str:
    if not count:
        return "There are no such tasks."
    return f"{count} {'task' if count == 1 else 'tasks'}, newest first{'; there are more' if more else ''}."


def _after_page(tasks: Sequence[Task], cursor: str | None) -> str:
    if not tasks:
        return "Call start_task to hand work to Northstar, or list_tasks without state to see all there are."
    more = f' For more, call list_tasks with cursor "{cursor}".' if cursor is not None else ""
    return f'Call task_status with task_id "{tasks[0].task_id}", or another of these, to see what came of it.{more}'


def _news(changed: int, waiting: int) -> str:
    if not changed:
        return f"Nothing has changed yet; {waiting} still under way."
    return f"{changed} changed, {waiting} still under way."


def _after_wait(changed: Sequence[Task], waiting: Sequence[Task]) -> str:
    if not waiting:
        return "Nothing is left to wait for: deal with each task as its next step says."
    ids = ", ".join(f'"{task.task_id}"' for task in waiting)
    first = "Deal with those that changed; then call" if changed else "Call"
    return f"{first} wait_for_tasks with task_ids [{ids}] and wait_seconds 45."


def _answer(facts: dict[str, Any], body: str) -> CallToolResult:
    text = "\n\n".join(part for part in (facts["summary"], body, f"Next: {facts['next_step']}") if part)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=facts)

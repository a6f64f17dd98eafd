"""Hand a task over, exactly once."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from northstar_mcp.errors import Conflict, Unconfirmed
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Task, TaskRequest
from northstar_mcp.tasks.ports import Leased, TooMany

_NEWEST: Final = 200  # tasks among which a repeat is looked for, where the user's word is demanded


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The task that stands. `reused`: it stood already, and nothing was started by this call."""

    task: Task
    reused: bool


async def start(
    engine: Engine,
    request: TaskRequest,
    *,
    principal: str,
    caller_key: str | None = None,
    confirmed: bool = False,
) -> Started:
    """Write the task down and have it started. Returns once it is on the disk, before Lightcone has answered.

    A repeat of an unfinished task (the same arguments within `Timing.repeat_seconds`, or the same `caller_key` at any time)
    answers that one.

    Args:
        confirmed: Whether the user has confirmed this very request, where the operator's policy demands it.

    Raises:
        KeyMissing, KeyRejected: Before anything is written.
        PolicyRefused: If the operator forbids it.
        Unconfirmed: If the operator demands the user's word for it, and it is not `confirmed`.
        Conflict: If `caller_key` was used for other arguments.
        LedgerUnavailable: If it cannot be written down; then nothing was started.
    """
    (await engine.agent()).check_ready()
    admitted = engine.policy.admit(request)
    now = engine.clock.now()
    why = engine.policy.to_confirm(admitted.request)
    if why is not None and not confirmed:
        standing = await _standing(engine, request, principal=principal, caller_key=caller_key, now=now)
        if standing is None:
            raise Unconfirmed(f"The user has to confirm this start. {why}", sent=False)
        return Started(task=standing, reused=True)
    task_id = f"task_{secrets.token_urlsafe(18)}"
    wanted = Task(
        task_id=task_id,
        principal=principal,
        request=admitted.request,
        clamped=admitted.clamped,
        idempotency_key=f"northstar-mcp-{task_id}",
        fingerprint=fingerprint(request, account=engine.account),
        caller_key=caller_key,
        account=engine.account,
        created_at=now,
        updated_at=now,
    )
    since = now - timedelta(seconds=engine.timing.repeat_seconds)
    try:
        task = await engine.ledger.add(
            wanted,
            repeats_since=since,
            most=engine.policy.max_concurrent_tasks,
            # With the row, so that no other process's sweep comes between: whoever was asked for the task follows it.
            leased=Leased(holder=engine.holder, seconds=engine.timing.lease_seconds),
        )
    except TooMany as error:
        raise engine.policy.too_many(error.unfinished) from None
    if task.fingerprint != wanted.fingerprint:
        raise Conflict(f"This idempotency_key was used before for other work: task {task.task_id}.", sent=False)
    if not task.state.ended:
        engine.follow(task.task_id)
    return Started(task=task, reused=task.task_id != task_id)


async def _standing(
    engine: Engine, request: TaskRequest, *, principal: str, caller_key: str | None, now: datetime
) -> Task | None:
    """The task that this start repeats, as `Ledger.add` would find it, and also one that the user has confirmed."""
    wanted, since = fingerprint(request, account=engine.account), now - timedelta(seconds=engine.timing.repeat_seconds)
    for task in await engine.ledger.page(principal, states=None, limit=_NEWEST, before=None):
        if task.fingerprint != wanted:
            continue
        if caller_key is not None and task.caller_key == caller_key:
            return task
        if caller_key is None and not task.state.ended and task.created_at >= since:
            return task
    return None


def fingerprint(request: TaskRequest, *, account: str) -> str:
    """Of a request's arguments: equal for two that ask for the same on the same account."""
    facts = json.dumps([account, request.set_fields()], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(facts.encode()).hexdigest()

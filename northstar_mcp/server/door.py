"""The door to the user: their word for a start that the operator wants confirmed, and their help where a task waits for a person.

The host puts the question, by the road that it has (eliciting.py); where it has none, the answer holds the live-view link, and a start
that must be confirmed is refused. What the user said stands in the answer. What was confirmed is sealed in the request state of
2026-07-28 (the SDK encrypts it, and binds it to the call, its arguments and the principal), so that no model can give the user's word.
"""

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_types import ElicitRequest, ElicitResult, InputRequiredResult

from northstar_mcp.errors import NorthstarError, Unconfirmed
from northstar_mcp.server.eliciting import elicited, way_in, yes_or_no
from northstar_mcp.server.fence import clean, clean_line, quoted
from northstar_mcp.server.hosts import Host
from northstar_mcp.server.tool import Asking, Call
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import TaskRequest
from northstar_mcp.tasks.persons import Need, Outcome, Question, answered, need_of
from northstar_mcp.tasks.starting import fingerprint

ASK_SECONDS: Final = 45.0
"""How long an older client's user is asked within a call, at most: what the call has waited for the task is taken off. A client of
2026-07-28 has the time that the request state is good for."""

LEAST_ASK_SECONDS: Final = 15.0
"""With less than this left of its call, an older client's user is not asked for help: a question that vanishes helps nobody."""

_CONFIRM: Final = "confirm_start"
_MAX_SHOWN: Final = 10_000  # characters of an instruction in a question
_BLANK_LINES: Final = re.compile(r"\n\s*\n")
_MAX_REASON: Final = 300


# ---- the user's word for a start


async def word_for(call: Call, request: TaskRequest, why: Unconfirmed) -> str:
    """The user's word for this very start: a key for it, the same however often the client brings the same word.

    Args:
        why: The core's demand for it.

    Raises:
        Asking: If they are asked now.
        Unconfirmed: If they did not, or cannot be asked.
    """
    host = Host.of(call.context.request_context)
    if not host.fills_forms:
        raise Unconfirmed(
            f"{why.message} Their host cannot ask them.",
            remedy="Tell the user: a host that supports elicitation can ask them; or the operator of this server changes "
            "its setting confirm.",
            sent=False,
        )
    ask = yes_or_no(_start_question(call.engine.policy.admit(request).request, why.message))
    target = {_CONFIRM: fingerprint(request, account=call.engine.account), "key": secrets.token_urlsafe(18)}
    if not host.modern:
        seconds = min(ASK_SECONDS, call.seconds_left)
        _check(await elicited(call.context.request_context, ask, seconds=seconds))
        return target["key"]
    answer, state = _answer_of(call, _CONFIRM), _state_of(call)
    if answer is None or state.get(_CONFIRM) != target[_CONFIRM]:
        raise Asking(InputRequiredResult(input_requests={_CONFIRM: ask}, request_state=json.dumps(target)))
    _check(answer)
    return str(state["key"])


def _check(answer: ElicitResult | None) -> None:
    if answer is not None and answer.action == "accept":
        return
    if answer is not None and answer.action == "decline":
        raise Unconfirmed("The user declined this start; nothing was started.", sent=False)
    raise Unconfirmed(
        "The user was asked to confirm this start and gave no answer; nothing was started.",
        remedy="Ask the user whether they want it. Calling again asks them again.",
        sent=False,
    )


def _start_question(request: TaskRequest, why: str) -> str:
    """All that the user says yes to: nothing of it is cut, and the host of the page stands by itself.

    Raises:
        Unconfirmed: If the instruction is too long to be read in a question.
    """
    words = _BLANK_LINES.sub("\n\n", clean(request.instruction)).strip()
    if len(words) > _MAX_SHOWN:
        raise Unconfirmed(
            f"The user has to confirm this start, and its instruction is too long for a question: {len(words):,} characters.",
            remedy=f"Call start_task again with an instruction of at most {_MAX_SHOWN:,} characters.",
            sent=False,
        )
    url = request.start_url
    facts = [
        f"at most {request.max_steps} steps and {request.max_duration_seconds} seconds",
        f"beginning at {urlsplit(url).hostname} ({clean_line(url, limit=_MAX_REASON)})" if url is not None else "",
        f"on computer {clean_line(request.computer_id, limit=_MAX_REASON)}" if request.computer_id is not None else "",
        f"in environment {clean_line(request.environment_id, limit=_MAX_REASON)}"
        if request.environment_id is not None
        else "",
    ]
    told = ", ".join(fact for fact in facts if fact)
    return f"Start this Northstar task ({told})? It acts for real. {why}\n\n{words}"


# ---- the user's help


async def step_in(call: Call, task_id: str) -> str:
    """Ask the user to do what the task waits for, if it waits and they can be asked; answers what came of it, in sentences.

    Raises:
        Asking: If they are asked by the answer to this call.
        NotFound: If there is no such task.
    """
    host = Host.of(call.context.request_context)
    said: list[str] = []
    while (need := await need_of(call.engine, task_id, principal=call.principal)) is not None:
        ask = question(need, host)
        if ask is None:
            break
        answer = await _help_from(call, need, ask, host, said)
        if answer is None:
            break
        outcome = outcome_of(need, answer)
        said.append(await _written_down(call.engine, need, outcome, principal=call.principal))
        if outcome is not Outcome.OPENED:
            break
    return " ".join(said)


def question(need: Need, host: Host) -> ElicitRequest | None:
    """What the user is asked next; None where there is nothing to ask, or this host cannot ask it."""
    url = need.task.live_view_url
    if need.question is Question.STEP_IN and host.opens_urls and url is not None:
        return way_in(_step_in_question(need), url, elicitation_id=need.key)
    if need.question is Question.DONE and host.fills_forms:
        return yes_or_no("Northstar waits for you. Have you done your part in the live view? Then it goes on.")
    return None


def outcome_of(need: Need, answer: ElicitResult) -> Outcome:
    """What the answer to the need's question means."""
    if answer.action == "accept":
        return Outcome.DONE if need.question is Question.DONE else Outcome.OPENED
    return Outcome.DECLINED if answer.action == "decline" else Outcome.DISMISSED


async def _help_from(call: Call, need: Need, ask: ElicitRequest, host: Host, said: list[str]) -> ElicitResult | None:
    if not host.modern:
        left = call.seconds_left
        if left < LEAST_ASK_SECONDS:
            return None  # the answer has the way in, and the next call asks
        return await elicited(call.context.request_context, ask, seconds=min(ASK_SECONDS, left))
    target = {"task_id": need.task.task_id, "question": need.key}
    answer = _answer_of(call, need.key)
    if answer is not None and _state_of(call) == target:
        return answer
    if call.context.input_responses and not said:
        return None  # they answer something else: within one call nothing is asked twice
    raise Asking(InputRequiredResult(input_requests={need.key: ask}, request_state=json.dumps(target)))


async def _written_down(engine: Engine, need: Need, outcome: Outcome, *, principal: str) -> str:
    try:
        return await answered(engine, need, outcome, principal=principal)
    except NorthstarError as error:
        return f"The user answered, but: {error.message}"


def _step_in_question(need: Need) -> str:
    why = quoted(need.text, limit=_MAX_REASON)
    return (
        f"Northstar needs you at its computer. Why, in words that may come from a page: {why}. Do it in the live view and "
        "nowhere else; Northstar waits meanwhile."
    )


# ---- what a client of 2026-07-28 brings back


def _answer_of(call: Call, key: str) -> ElicitResult | None:
    answer = (call.context.input_responses or {}).get(key)
    return answer if isinstance(answer, ElicitResult) else None


def _state_of(call: Call) -> Mapping[str, Any]:
    try:
        state = json.loads(call.context.request_state or "{}")
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}

"""start_task: hand work to Northstar."""

from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field, field_validator, model_validator

from northstar_mcp.errors import Unconfirmed
from northstar_mcp.server import outputs
from northstar_mcp.server.arguments import MAX_TEXT, NOT_TRUTH, Arguments, Name, WaitSeconds
from northstar_mcp.server.door import word_for
from northstar_mcp.server.live_view.extension import SHOWN
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.server.waiting import as_it_stands, wait_for
from northstar_mcp.server.words import never_began
from northstar_mcp.tasks.model import TaskRequest
from northstar_mcp.tasks.starting import Started, start

MAX_STEPS: Final = 10_000
MAX_DURATION_SECONDS: Final = 7 * 24 * 3600

_OURS: Final = frozenset({"idempotency_key", "wait_seconds"})  # not Lightcone's


class StartTask(Arguments):
    """Lightcone's names, and its bounds where it has any."""

    instruction: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_TEXT,
            description="Stands alone: where (site or app), what, in which order, what done looks like, what to report "
            "back, and when to stop instead of guessing.",
        ),
    ]
    kind: Annotated[
        Literal["desktop", "browser"] | None,
        Field(description="Default: browser with start_url, else desktop."),
    ] = None
    start_url: Annotated[str | None, Field(max_length=8192, description="Page to open first, in a browser.")] = None
    max_steps: Annotated[
        int | None, Field(ge=1, le=MAX_STEPS, description="Default 100; 15 to 40 for a short job."), NOT_TRUTH
    ] = None
    max_duration_seconds: Annotated[
        int | None, Field(ge=1, le=MAX_DURATION_SECONDS, description="Default 1800."), NOT_TRUTH
    ] = None
    computer_id: Annotated[
        Name | None, Field(description="Go on with the computer, live or saved, of an earlier task.")
    ] = None
    on_missing_computer: Annotated[
        Literal["fail", "restore", "create_new"] | None,
        Field(description="If computer_id is not live. Default: restore."),
    ] = None
    keep_alive: Annotated[
        bool | None, Field(description="Leave the computer running afterwards, for a person or a next task.")
    ] = None
    persistent: Annotated[bool | None, Field(description="Save log-ins and files for later tasks.")] = None
    environment_id: Annotated[Name | None, Field(description="Saved environment; computer_id is newer.")] = None
    model: Annotated[Name | None, Field(description="Leave out unless the user names one.")] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False), NOT_TRUTH] = None
    screenshot_mode: Annotated[
        Literal["url", "base64"] | None, Field(description="How Lightcone sends screenshots. Leave out.")
    ] = None
    viewport_width: Annotated[int | None, Field(ge=100, le=7680, description="Browser window, pixels."), NOT_TRUTH] = (
        None
    )
    viewport_height: Annotated[int | None, Field(ge=100, le=4320), NOT_TRUTH] = None
    idempotency_key: Annotated[
        str | None,
        Field(max_length=255, description="Your id for this work: a repeat returns the same task."),
    ] = None
    wait_seconds: Annotated[
        WaitSeconds,
        Field(description="Wait up to this long for its end. Default: 20 where the host shows progress, else 0."),
    ] = None

    @field_validator("instruction")
    @classmethod
    def _says_something(cls, instruction: str) -> str:
        if not instruction.strip():
            raise ValueError("must say something; it holds only white space")
        return instruction

    @field_validator("start_url")
    @classmethod
    def _is_a_web_address(cls, url: str | None) -> str | None:
        if url is not None and not _is_web_address(url):
            raise ValueError("must be an http or https address such as https://example.com")
        return url

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.start_url is not None and self.kind == "desktop":
            raise ValueError('start_url needs a browser: leave out kind, or set it to "browser"')
        return self


async def _start(call: Call, asked: StartTask) -> CallToolResult:
    request = _request(call, asked)
    started = await _started(call, request, key=asked.idempotency_key)
    task_id = started.task.task_id
    await wait_for(call, task_id, asked=asked.wait_seconds, since_seq=0)
    answer = await as_it_stands(call, task_id, since_seq=0, opening=_opening(started), extra=_extra(started))
    return replace(answer, is_error=never_began(answer.view.task)).told()


async def _started(call: Call, request: TaskRequest, *, key: str | None) -> Started:
    try:
        return await start(call.engine, request, principal=call.principal, caller_key=key)
    except Unconfirmed as why:
        word = await word_for(call, request, why)
        # One word is good for one task: brought again, it finds that one.
        return await start(
            call.engine, request, principal=call.principal, caller_key=key or f"confirmed-{word}", confirmed=True
        )


def _request(call: Call, asked: StartTask) -> TaskRequest:
    usual = call.engine.policy
    return TaskRequest(
        **{
            "max_steps": usual.usual_steps,
            "max_duration_seconds": usual.usual_duration_seconds,
            **asked.model_dump(exclude_none=True, exclude=set(_OURS)),
        }
    )


def _opening(started: Started) -> str:
    if not started.reused:
        return ""
    if started.task.state.ended:
        return "This idempotency_key was used before, and that task has ended: nothing new was started."
    return "The same work is under way already: nothing new was started."


def _extra(started: Started) -> dict[str, Any]:
    clamped = {"clamped": list(started.task.clamped)} if started.task.clamped else {}
    return {"reused": started.reused, **clamped}


def _is_web_address(url: str) -> bool:
    if any(character.isspace() or not character.isprintable() for character in url):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)


OFFER: Final = Offer(
    name="start_task",
    title="Start a Northstar task",
    description=(
        "Hand work that needs a screen to Northstar, which drives a browser or desktop in the cloud. It acts for real: "
        "it clicks, types and submits. Returns a task_id, and the task runs on by itself: never start it again "
        "because a call took long. Next: task_status."
    ),
    arguments=StartTask,
    answer=_start,
    output=outputs.of_a_task(),
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True
    ),
    meta=SHOWN,
)

"""What a task and a computer can be started with, checked here before anything is sent.

Lightcone was seen to answer a bad enum with 503, which looks as if asking again could help. So every parameter has its
type and its bound here. A fault is one sentence with the field, the bound and what was sent, raised as
`InvalidRequest`. Where Lightcone documents no upper bound, ours is generous and only keeps out what cannot be meant.

`None` means "not given": such keys are left out, never sent as null. Anything that is not a field goes through
`extra`, which is sent as it stands.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from northstar_mcp.errors import InvalidRequest
from northstar_mcp.lightcone.words import one_line
from northstar_mcp.tasks.model import Json, TaskRequest

MAX_INSTRUCTION: Final = 100_000
MAX_STEPS: Final = 10_000
MAX_DURATION_SECONDS: Final = 7 * 24 * 3600
MAX_FAULTS: Final = 5  # in one refusal

_Text = Annotated[str, Field(min_length=1, max_length=MAX_INSTRUCTION)]
_Name = Annotated[str, Field(min_length=1, max_length=512)]
_Width = Annotated[int, Field(ge=100, le=7680)]
_Height = Annotated[int, Field(ge=100, le=4320)]


class Params(BaseModel):
    """A request body whose faults are told in sentences."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    extra: Mapping[str, JsonValue] | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _tell_faults(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            # Without its cause: pydantic's text may hold what was sent.
            raise InvalidRequest(_sentences(error), sent=False) from None

    @model_validator(mode="after")
    def _extra_is_extra(self) -> Self:
        for name in self.extra or {}:
            if name in type(self).model_fields:
                raise _refused(f"extra may not carry {name}: it is a parameter of its own.")
        return self

    def body(self) -> dict[str, Json]:
        """The JSON body: what was given, and `extra`."""
        body: dict[str, Json] = self.model_dump(exclude_none=True, exclude={"extra"})
        return {**body, **(self.extra or {})}

    def encoded(self) -> bytes:
        """The body's bytes, compact as the official client writes them."""
        try:
            return json.dumps(self.body(), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                "The request holds half a character (a lone surrogate): send valid Unicode.", sent=False
            ) from None
        except (TypeError, ValueError, RecursionError):
            raise InvalidRequest(
                "extra must be JSON: text, finite numbers, true, false, null, lists and objects.", sent=False
            ) from None


class ContextTurn(BaseModel):
    """One earlier turn of the conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    role: Literal["user", "assistant"]
    content: _Text


class StartParams(Params):
    """POST /agent/tasks and /agent/tasks/stream: every parameter of the official client 2.44.1, under its name there.

    Raises:
        InvalidRequest: On construction, if a parameter is missing, unknown, of the wrong type or out of its bounds.
    """

    instruction: _Text
    kind: Literal["desktop", "browser"] | None = None
    start_url: Annotated[str, Field(max_length=8192)] | None = None
    model: _Name | None = None
    max_steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    max_duration_seconds: Annotated[int, Field(ge=1, le=MAX_DURATION_SECONDS)] | None = None
    computer_id: _Name | None = None
    on_missing_computer: Literal["fail", "restore", "create_new"] | None = None
    environment_id: _Name | None = None
    persistent: bool | None = None
    save_session: bool | None = None
    terminate_on_completion: bool | None = None
    keep_alive: bool | None = None
    context: Annotated[list[ContextTurn], Field(max_length=200)] | None = None
    system_prompt: _Text | None = None
    harness_version: Literal["v1", "v2"] | None = None
    stream_mode: Literal["verbose", "concise"] | None = None
    stream_deltas: bool | None = None
    screenshot_mode: Literal["url", "base64"] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    viewport_width: _Width | None = None
    viewport_height: _Height | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    metadata: Annotated[dict[_Name, Annotated[str, Field(max_length=4096)]], Field(max_length=64)] | None = None
    thread_id: _Name | None = None
    agent_icon: _Name | None = None
    agent_type: _Name | None = None

    @classmethod
    def of(cls, request: TaskRequest, *, idempotency_key: str) -> Self:
        """The parameters of one of the core's requests."""
        return cls.model_validate({**request.set_fields(), "idempotency_key": idempotency_key})

    @field_validator("instruction")
    @classmethod
    def _says_something(cls, instruction: str) -> str:
        if not instruction.strip():
            raise ValueError("instruction must say something; it holds only white space.")
        return instruction

    @field_validator("start_url")
    @classmethod
    def _is_a_web_address(cls, url: str | None) -> str | None:
        if url is not None and not _is_web_address(url):
            raise ValueError(
                f"start_url must be an http or https address such as https://example.com, not {_shown(url)}."
            )
        return url

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.start_url is not None and self.kind == "desktop":
            raise _refused('start_url needs a browser: leave out kind, or set it to "browser".')
        if None not in (self.persistent, self.save_session) and self.persistent != self.save_session:
            raise _refused("save_session is another name for persistent: give one of them, or the same value to both.")
        if self.keep_alive is not None and self.keep_alive == self.terminate_on_completion:
            raise _refused(
                "keep_alive is the opposite of terminate_on_completion: give one of them, or opposite values."
            )
        return self


class Display(BaseModel):
    """The size of a computer's screen, in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    width: _Width | None = None
    height: _Height | None = None
    scale: Annotated[float, Field(gt=0, le=4, allow_inf_nan=False)] | None = None


class ComputerParams(Params):
    """POST /computers."""

    kind: Literal["desktop", "browser"] | None = None
    display: Display | None = None
    persistent: bool | None = None
    environment_id: _Name | None = None
    context_id: _Name | None = None
    stealth: JsonValue = None
    use_advanced_proxy: bool | None = None
    idle_timeout_enabled: bool | None = None
    inactivity_timeout_seconds: Annotated[int, Field(ge=1, le=MAX_DURATION_SECONDS)] | None = None
    max_lifetime_seconds: Annotated[int, Field(ge=1, le=MAX_DURATION_SECONDS)] | None = None


class MessageParams(Params):
    """POST /agent/tasks/{id}/messages."""

    message: _Text


class ScreenshotParams(Params):
    """POST /computers/{id}/screenshot."""

    base64: bool | None = None
    tab_id: _Name | None = None


def _refused(sentence: str) -> InvalidRequest:
    # Raised by validators that run when `_tell_faults` has returned: a ValueError there would come out as pydantic's.
    return InvalidRequest(sentence, sent=False)


def _is_web_address(url: str) -> bool:
    if any(character.isspace() or not character.isprintable() for character in url):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)


def _sentences(error: ValidationError) -> str:
    details = error.errors(include_url=False)
    told = [_sentence(detail) for detail in details[:MAX_FAULTS]]
    if len(details) > MAX_FAULTS:
        told.append(f"{len(details) - MAX_FAULTS} more faults are not listed.")
    return " ".join(dict.fromkeys(told))


_WANTED: Final[Mapping[str, str]] = {
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be greater than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "dict_type": "must be an object",
    "mapping_type": "must be an object",
    "list_type": "must be a list",
    "model_type": "must be an object",
}


def _sentence(detail: ErrorDetails) -> str:
    name = one_line(".".join(str(part) for part in detail["loc"]), limit=120) or "The request"
    context, sent = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "missing":
            return f"{name} is required."
        case "extra_forbidden":
            return f"{name} is not a parameter of this call."
        case "string_too_short":
            return f"{name} must not be empty."
        case "string_too_long":
            return f"{name} may have at most {context['max_length']:,} characters; it has {len(sent):,}."
        case "too_long":
            return f"{name} may have at most {context['max_length']:,} entries; it has {len(sent):,}."
        case "value_error":
            return str(context["error"])
        case known if known in _WANTED:
            return f"{name} {_WANTED[known].format(**context)}, not {_shown(sent)}."
    return f"{name} is not valid: {one_line(detail['msg'], limit=200)}."


def _shown(value: object) -> str:
    """What was sent, short enough to be read."""
    if isinstance(value, str):
        return f'"{one_line(value, limit=60)}"'
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return "a huge number" if isinstance(value, int) and abs(value) >= 10**40 else f"{value}"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return f"a {type(value).__name__}"

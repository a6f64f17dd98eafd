"""Request bodies, checked as the hosted API checks them: a word outside an enumeration is a 503, everything else that
is wrong a 400.

The only place where bytes from outside become values. Unknown keys are allowed and kept, a null counts as absent.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from northstar_mcp.simulator.pages import Kind
from northstar_mcp.simulator.refusals import bad_enum, invalid

LARGEST_BODY: Final = 8_000_000
ENUMERATIONS: Final[Mapping[str, frozenset[str]]] = {
    "kind": frozenset({"desktop", "browser"}),
    "on_missing_computer": frozenset({"fail", "restore", "create_new"}),
    "harness_version": frozenset({"v1", "v2"}),
    "stream_mode": frozenset({"verbose", "concise"}),
    "screenshot_mode": frozenset({"url", "base64"}),
}

JsonObject = dict[str, object]
Pixels = Annotated[int, Field(ge=200, le=3840)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


Body = TypeVar("Body", bound=_Body)


class Turn(_Body):
    """One earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: str


class StartBody(_Body):
    """The parameters of both start operations."""

    instruction: Annotated[str, Field(min_length=1)]
    kind: Kind | None = Field(default=None, strict=False)
    start_url: str | None = None
    model: str | None = None
    max_steps: Annotated[int, Field(ge=1)] | None = None
    max_duration_seconds: Annotated[int, Field(ge=1)] | None = None
    computer_id: str | None = None
    on_missing_computer: str = "restore"
    environment_id: str | None = None
    persistent: bool = False
    save_session: bool = False
    terminate_on_completion: bool | None = None
    keep_alive: bool | None = None
    context: tuple[Turn, ...] = Field(default=(), strict=False)
    system_prompt: str | None = None
    harness_version: str | None = None
    stream_mode: str = "verbose"
    stream_deltas: bool = False
    screenshot_mode: str = "url"
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    viewport_width: Pixels = 1280
    viewport_height: Pixels = 720
    idempotency_key: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)

    @property
    def kind_asked(self) -> Kind:
        """The kind given, else browser where there is a start URL, else desktop."""
        return self.kind or (Kind.BROWSER if self.start_url else Kind.DESKTOP)

    @property
    def kept_alive(self) -> bool | None:
        """Whether the computer stays after the task; None where nothing was said."""
        if self.keep_alive is not None:
            return self.keep_alive
        return None if self.terminate_on_completion is None else not self.terminate_on_completion


class MessageBody(_Body):
    """An injected message."""

    message: Annotated[str, Field(min_length=1)]


class Display(_Body):
    """A computer's screen."""

    width: Pixels = 1280
    height: Pixels = 720


class ComputerBody(_Body):
    """A new computer."""

    kind: Kind = Field(default=Kind.BROWSER, strict=False)
    display: Display = Field(default_factory=Display)
    persistent: bool = False
    environment_id: str | None = None


class ScreenshotBody(_Body):
    """How a screenshot is wanted."""

    base64: bool = False


async def read_words(request: Request) -> JsonObject:
    """The JSON object in the body, without its nulls; 400 where it is none, {} where the body is empty."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY:
            raise invalid(f"the body is larger than {LARGEST_BODY} bytes")
    if not raw:
        return {}
    try:
        words = json.loads(raw)
    except ValueError as error:
        raise invalid("the body is not JSON") from error
    if not isinstance(words, dict):
        raise invalid("the body is not a JSON object")
    return {str(key): value for key, value in words.items() if value is not None}


def start_of(words: JsonObject) -> StartBody:
    """The checked start parameters."""
    body = _checked(StartBody, words)
    if body.start_url is not None and body.kind_asked is Kind.DESKTOP:
        raise invalid("start_url is only allowed for browser tasks")
    return body


def message_of(words: JsonObject) -> MessageBody:
    """The checked message."""
    return _checked(MessageBody, words)


def computer_of(words: JsonObject) -> ComputerBody:
    """The checked parameters of a computer."""
    return _checked(ComputerBody, words)


def screenshot_of(words: JsonObject) -> ScreenshotBody:
    """The checked parameters of a screenshot."""
    return _checked(ScreenshotBody, words)


def _checked(model: type[Body], words: JsonObject) -> Body:
    for name, allowed in ENUMERATIONS.items():
        word = words.get(name)
        if name in model.model_fields and isinstance(word, str) and word not in allowed:
            raise bad_enum()
    try:
        return model.model_validate(words)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error

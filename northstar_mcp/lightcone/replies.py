"""What Lightcone answers to the calls that are no stream.

Only what we cannot do without is demanded; every other field may be absent, of another type (then it reads as absent)
or new (then it is kept in `model_extra`).
"""

from typing import Annotated, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from northstar_mcp.errors import UnreadableReply
from northstar_mcp.lightcone.words import line_of
from northstar_mcp.tasks.model import Json


def _word(value: object) -> str:
    return line_of(value, limit=200) if isinstance(value, str | int | float) else ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _yes_no(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _object(value: object) -> object:
    return value if isinstance(value, dict) else None


Word: TypeAlias = Annotated[str, BeforeValidator(_word)]
Text: TypeAlias = Annotated[str | None, BeforeValidator(_text)]
Whole: TypeAlias = Annotated[int | None, BeforeValidator(_whole)]
YesNo: TypeAlias = Annotated[bool | None, BeforeValidator(_yes_no)]
Object: TypeAlias = Annotated[dict[str, JsonValue] | None, BeforeValidator(_object)]


class Answer(BaseModel):
    """Frozen, and open to fields that are not described here."""

    model_config = ConfigDict(extra="allow", frozen=True)


class StartedTask(Answer):
    """POST /agent/tasks. `reused` is true where the idempotency key named a task that stood already."""

    task_id: Annotated[str, Field(min_length=1, max_length=512)]
    status: Word = ""
    idempotency_key: Text = None
    reused: YesNo = None
    computer_id: Text = None


class TaskStatus(Answer):
    """GET /agent/tasks/{id}. `result`, `error` and `computer_id` are not documented; some servers send them."""

    status: Annotated[Word, Field(min_length=1)]
    task_id: Text = None
    exit_code: Whole = None
    result: JsonValue = None
    error: JsonValue = None
    computer_id: Text = None


class Acknowledged(Answer):
    """Pause, resume and messages: taken, whatever the word says (the vocabulary is not documented)."""

    status: Word = ""


class Computer(Answer):
    """POST /computers and GET /computers/{id}."""

    id: Annotated[str, Field(min_length=1, max_length=512)]
    status: Word = ""
    kind: Text = None
    created_at: Text = None
    expires_at: Text = None
    idle_expires_at: Text = None
    environment_id: Text = None
    endpoints: Object = None


class ActionResult(Answer):
    """What an action on a computer came to: HTTP 200 even where it failed."""

    status: Word = ""
    error_message: Text = None
    result: Object = None
    request_id: Text = None

    @property
    def succeeded(self) -> bool:
        """The documentation says "success", the service was seen to say "SUCCESS"."""
        return self.status.lower() in ("", "success", "ok") and not self.error_message


A = TypeVar("A", bound=Answer)


def read_answer(model: type[A], value: Json) -> A:
    """The answer that a reply holds.

    Raises:
        UnreadableReply: If it lacks what we cannot do without.
    """
    try:
        return model.model_validate({} if value is None else value)
    except ValidationError as error:
        names = ", ".join(
            sorted({str(part) for detail in error.errors(include_url=False) for part in detail["loc"][:1]})
        )
        raise UnreadableReply(
            f"Lightcone's reply lacks a usable {names}." if names else "Lightcone's reply is not a JSON object."
        ) from None

"""What a tool is called with: read leniently where the meaning is plain, refused in one clear sentence per fault elsewhere.

A tool's parameters are one pydantic model, and it is their only source: `schema_of` draws the compact JSON schema from the model's
fields, `read` checks a call against it. A model is built on the first call of its tool: a host starts this server for every
conversation and calls few of its tools.
"""

import json
import types
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from northstar_mcp.errors import InvalidRequest
from northstar_mcp.server.fence import clean_line

MAX_TEXT: Final = 100_000  # characters of an instruction or a message
MAX_WAIT_SECONDS: Final = 45  # hosts abort a call after 45 to 60 s
MAX_FAULTS: Final = 5  # told in one refusal


class Arguments(BaseModel):
    """The parameters of one tool."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_blanks(cls, data: Any) -> Any:
        """Many models send null, or "" for an optional text, where they mean to give nothing."""
        if not isinstance(data, Mapping):
            return data
        return {name: value for name, value in data.items() if not cls._is_blank(name, value)}

    @classmethod
    def _is_blank(cls, name: str, value: object) -> bool:
        field = cls.model_fields.get(name)
        return field is not None and (value is None or (value == "" and not field.is_required()))


def _no_truth(value: object) -> object:
    if isinstance(value, bool):
        # A ValueError becomes a fault in words; pydantic alone would read true as 1.
        raise ValueError("is a number, not true or false")  # noqa: TRY004 - pydantic lets a TypeError through
    return value


# Comes last in an Annotated: bounds that stand behind it would not reach the number's own schema.
NOT_TRUTH: Final = BeforeValidator(_no_truth)

TaskId: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=512)]
WaitSeconds: TypeAlias = Annotated[
    float | None,
    Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False),
    NOT_TRUTH,
]

Read = TypeVar("Read", bound=Arguments)


def read(model: type[Read], arguments: Mapping[str, Any], *, tool: str) -> Read:
    """The call's arguments.

    Raises:
        InvalidRequest: With one sentence per fault: the field, what it must be, and what was sent, cut short.
    """
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        # Without its cause: pydantic's text may hold what was sent.
        raise InvalidRequest(
            _sentences(error, model),
            remedy=f"Correct the arguments and call {tool} again; nothing was done by this call.",
            sent=False,
        ) from None


# ---- faults


_WANTED: Final[Mapping[str, str]] = {
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of a sensible size",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
}


def _sentences(error: ValidationError, model: type[Arguments]) -> str:
    details = error.errors(include_url=False)
    told = [_sentence(detail, model) for detail in details[:MAX_FAULTS]]
    if len(details) > MAX_FAULTS:
        told.append(f"{len(details) - MAX_FAULTS} more faults are not listed.")
    return " ".join(dict.fromkeys(told))


def _sentence(detail: ErrorDetails, model: type[Arguments]) -> str:
    name = clean_line(".".join(str(part) for part in detail["loc"]), limit=80) or "The call"
    context, sent = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "missing":
            return f"{name} is required."
        case "extra_forbidden":
            return f"{name} is not a parameter of this tool; {_meant(name, model)}."
        case "string_unicode":
            return f"{name} holds half a character (a lone surrogate); send valid Unicode."
        case "string_too_short":
            return f"{name} must not be empty."
        case "string_too_long":
            return f"{name} may have at most {context['max_length']:,} characters; it has {len(sent):,}."
        case "too_long":
            return f"{name} may have at most {context['max_length']:,} entries; it has {len(sent):,}."
        case "too_short":
            return f"{name} must have at least {context['min_length']} entry."
        case "value_error":
            return f"{name} {context['error']}." if detail["loc"] else f"{context['error']}."
        case known if known in _WANTED:
            return f"{name} {_WANTED[known].format(**context)}, not {_shown(sent)}."
    return f"{name} cannot be read."


def _meant(name: str, model: type[Arguments]) -> str:
    import difflib

    names = list(model.model_fields)
    if close := difflib.get_close_matches(name, names, n=1):
        return f"{close[0]} is"
    return f"it has {', '.join(names[:-1])} and {names[-1]}" if names[1:] else f"it has {names[0]} only"


def _shown(value: object) -> str:
    """What was sent, short enough to be read."""
    if isinstance(value, str):
        return f'"{clean_line(value, limit=40)}"'
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return "a huge number" if isinstance(value, int) and abs(value) >= 10**15 else f"{value}"
    return "an object" if isinstance(value, dict) else "a list"


# ---- the schema


_JSON_TYPES: Final[Mapping[type, str]] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(model: type[Arguments]) -> dict[str, Any]:
    """The JSON schema that a host shows its model: short, since it stands in every conversation's context."""
    fields = model.model_fields
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _property(field) for name, field in fields.items()},
        "additionalProperties": False,
    }
    if required := [name for name, field in fields.items() if field.is_required()]:
        schema["required"] = required
    return schema


def _property(field: FieldInfo) -> dict[str, Any]:
    drawn = _type(field.annotation)
    is_list = drawn.get("type") == "array"
    for bound in field.metadata:
        match bound:
            case Ge(ge=least):
                drawn["minimum"] = least
            case Le(le=most):
                drawn["maximum"] = most
            case MinLen(min_length=least) if is_list:
                drawn["minItems"] = least
            case MaxLen(max_length=most) if is_list:
                drawn["maxItems"] = most
    if field.description:
        drawn["description"] = field.description
    return drawn


def _type(annotation: Any) -> dict[str, Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        (kind,) = (part for part in get_args(annotation) if part is not types.NoneType)
        return _type(kind)
    if origin is Literal:
        return {"type": "string", "enum": list(get_args(annotation))}
    if origin is list:
        return {"type": "array", "items": _type(get_args(annotation)[0])}
    return {"type": _JSON_TYPES[annotation]}

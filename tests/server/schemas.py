"""JSON schemas, checked as a client would."""

from collections.abc import Mapping
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types


def check_schema(schema: Mapping[str, Any]) -> None:
    """Fails where it is no JSON schema."""
    jsonschema.Draft202012Validator.check_schema(schema)


def check_fits(value: object, schema: Mapping[str, Any]) -> None:
    """Fails where the value is not what the schema says."""
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())

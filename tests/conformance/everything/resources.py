"""Resources."""

import base64
import json
from typing import Any

from mcp.server import MCPServer

from tests.conformance.everything.contents import RED_DOT


def add_to(server: MCPServer[Any]) -> None:
    """Register them."""
    server.resource("test://static-text")(static_text)
    server.resource("test://static-binary")(static_binary)
    server.resource("test://template/{id}/data")(templated)
    server.resource("test://watched-resource")(watched)


def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    """A picture."""
    return base64.b64decode(RED_DOT)


def templated(id: str) -> str:  # noqa: A002 - the suite's name
    """One of many."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def watched() -> str:
    """What can be subscribed to."""
    return "Watched resource content"

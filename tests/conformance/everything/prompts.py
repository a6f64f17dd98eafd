"""Prompts. What completes their arguments is the product's own."""

from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

from tests.conformance.everything.contents import RED_DOT


def add_to(server: MCPServer[Any]) -> None:
    """Register them."""
    for prompt in (
        test_simple_prompt,
        test_prompt_with_arguments,
        test_prompt_with_embedded_resource,
        test_prompt_with_image,
    ):
        server.prompt()(prompt)


def test_simple_prompt() -> list[UserMessage]:
    """Without arguments."""
    return [_text("This is a simple prompt for testing.")]


def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """With arguments."""
    return [_text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
    """With a resource."""
    resource = TextResourceContents(
        uri=resourceUri, mime_type="text/plain", text="Embedded resource content for testing."
    )
    return [
        UserMessage(EmbeddedResource(resource=resource)),
        _text("Please process the embedded resource above."),
    ]


def test_prompt_with_image() -> list[UserMessage]:
    """With a picture."""
    return [UserMessage(ImageContent(data=RED_DOT, mime_type="image/png")), _text("Please analyze the image above.")]


def _text(words: str) -> UserMessage:
    return UserMessage(TextContent(text=words))

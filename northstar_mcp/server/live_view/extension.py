"""What hosts that render apps are offered: the page, as a `ui://` resource, and the word that there is one.

A client that does not declare the extension sees neither the page nor the page's tool in its lists: there they would cost context, or
stand among what a person can attach. The page is one file without a request to anywhere, so it asks for no domains and no permissions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mcp.server.apps import APP_MIME_TYPE, Apps, client_supports_apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.resources import FileResource

URI: Final = "ui://northstar/live-view.html"
SHOWN: Final[Mapping[str, Any]] = {"ui": {"resourceUri": URI}}  # `_meta` of a tool whose answers the page can show
APP_ONLY: Final[Mapping[str, Any]] = {"ui": {"visibility": ["app"]}}  # `_meta` of a tool that only the page calls
PAGE: Final = Path(__file__).with_name("page.html")


def apps() -> Apps:
    """The extension as the SDK takes it. The page is read when it is asked for."""
    extension = Apps()
    extension.add_resource(
        FileResource(
            uri=URI,
            name="live_view",
            title="Live view of a task",
            description="A page that hosts with MCP Apps show beside a task.",
            mime_type=APP_MIME_TYPE,
            meta={"ui": {"prefersBorder": True}},
            path=PAGE,
        )
    )
    return extension


async def hide_from_others(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: lists hold what is for apps only where the client renders apps."""
    result = await call_next(ctx)
    if not isinstance(result, dict) or client_supports_apps(ctx):
        return result
    match ctx.method:
        case "tools/list":
            result["tools"] = [tool for tool in result["tools"] if not _is_app_only(tool)]
        case "resources/list":
            result["resources"] = [resource for resource in result["resources"] if resource["uri"] != URI]
    return result


def _is_app_only(tool: Mapping[str, Any]) -> bool:
    return "model" not in tool.get("_meta", {}).get("ui", {}).get("visibility", ["model"])

"""northstar_mcp: hand computer-use work to Northstar from any MCP host.

For who embeds it: `build_server(settings)` gives the MCP server, `LightconeClient` the API client. Each is imported on first use, since
it pulls in libraries that the rest has no need of.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from northstar_mcp.app import build_server
    from northstar_mcp.lightcone.client import LightconeClient
    from northstar_mcp.settings import Settings

__version__ = "0.1.0"
__all__ = ["LightconeClient", "Settings", "__version__", "build_server"]

_HOMES = {
    "LightconeClient": "northstar_mcp.lightcone.client",
    "Settings": "northstar_mcp.settings",
    "build_server": "northstar_mcp.app",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

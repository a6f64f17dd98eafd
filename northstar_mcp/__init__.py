"""northstar_mcp: hand computer-use work to Northstar from any MCP host.

`LightconeClient` is meant for embedding. It is imported on first use, since it pulls in libraries that the rest has no need of.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from northstar_mcp.lightcone.client import LightconeClient

__version__ = "0.1.0"
__all__ = ["LightconeClient", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "LightconeClient":
        from northstar_mcp.lightcone.client import LightconeClient

        return LightconeClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

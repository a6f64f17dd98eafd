"""What somebody sees who starts the server by hand, where a host would have been expected on the other side."""

from typing import Final

from northstar_mcp import __version__

_WELCOME: Final = """\
northstar-mcp {version}: hand computer-use tasks to Northstar from any MCP host.

This program speaks MCP on stdin and stdout, so a host has to start it. Add this to the host's
configuration (Claude Desktop: claude_desktop_config.json) and restart the host:

  {{
    "mcpServers": {{
      "northstar": {{
        "command": "uvx",
        "args": ["northstar-mcp"],
        "env": {{"TZAFON_API_KEY": "sk_..."}}
      }}
    }}
  }}

To see it work without a host and without a key:  northstar-mcp demo
To hand over one task from this terminal:         northstar-mcp run "..."
Everything else:                                  northstar-mcp --help
"""


def greet() -> None:
    """Say what this is and how it is used."""
    print(_WELCOME.format(version=__version__), end="")

"""Who calls: the one place that knows."""

from northstar_mcp.tasks.model import LOCAL


def principal() -> str:
    """Whose tasks a request may see. On stdio, and over HTTP without authentication, there is one."""
    return LOCAL

"""A handle's standing as either generation of MCP tasks writes it. Nothing here decides anything."""

from datetime import UTC, datetime
from typing import Any

from northstar_mcp.server.handles.port import Standing, Status


def seed(standing: Standing) -> dict[str, Any]:
    """What both generations say of a task while nothing has come of it. The names of times differ (`modern`, `legacy`)."""
    return {
        "taskId": standing.handle_id,
        "status": str(standing.status),
        "statusMessage": standing.message,
        "createdAt": _moment(standing.created_at),
        "lastUpdatedAt": _moment(standing.updated_at),
    }


def modern(standing: Standing) -> dict[str, Any]:
    """`Task` of the extension (ext-tasks, specification/draft/tasks.md)."""
    wire = seed(standing) | {"ttlMs": _milliseconds(standing.ttl_seconds)}
    if standing.poll_seconds is not None:
        wire["pollIntervalMs"] = _milliseconds(standing.poll_seconds)
    return wire


def detailed(standing: Standing) -> dict[str, Any]:
    """`DetailedTask` of the extension: with what has come of it, or what the user is asked."""
    wire = modern(standing)
    match standing.status:
        case Status.COMPLETED if standing.result is not None:
            wire["result"] = standing.result.model_dump(by_alias=True, mode="json", exclude_none=True)
        case Status.FAILED if standing.error is not None:
            wire["error"] = standing.error.model_dump(by_alias=True, mode="json", exclude_none=True)
        case Status.INPUT_REQUIRED:
            wire["inputRequests"] = {
                key: ask.model_dump(by_alias=True, mode="json", exclude_none=True) for key, ask in standing.asks.items()
            }
    return wire


def legacy(standing: Standing) -> dict[str, Any]:
    """`Task` of 2025-11-25."""
    wire = seed(standing) | {"ttl": _milliseconds(standing.ttl_seconds)}
    if standing.poll_seconds is not None:
        wire["pollInterval"] = _milliseconds(standing.poll_seconds)
    return wire


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)

"""What a model reads when something did not work: the fact, what to do, and whether asking again can help.

No text from a screen or a page comes here: errors are built of our own sentences and Lightcone's short words, and are cleaned even so.
"""

from typing import Any, Final

from mcp_types import CallToolResult, TextContent

from northstar_mcp.errors import NorthstarError
from northstar_mcp.server.fence import clean_line
from northstar_mcp.tasks.model import TaskError

_MAX_MESSAGE: Final = 1_000
_NOTHING_TO_DO: Final = "Tell the user."


def told(error: NorthstarError) -> CallToolResult:
    """The error as an answer."""
    facts = facts_of(TaskError.of(error))
    again = "Calling again can help" if error.retryable else "Calling again unchanged will not help"
    if error.retryable and error.retry_after_seconds is not None:
        again += f", after {error.retry_after_seconds:.0f} s"
        facts["retry_after_seconds"] = round(error.retry_after_seconds, 1)
    return _answer(facts, again=again)


def unexpected(tool: str) -> CallToolResult:
    """A fault of this server. What it was stands in its log only."""
    facts = {
        "category": "internal",
        "message": f"An internal error of this server stopped {tool}; its log has the details.",
        "retryable": False,
        "remedy": "Tell the user. Before you repeat anything, call list_tasks to see what stands.",
    }
    return _answer(facts, again="Calling again may fail the same way")


def facts_of(error: TaskError) -> dict[str, Any]:
    """`error` of structuredContent."""
    return {
        "category": clean_line(error.category, limit=80),
        "message": clean_line(error.message, limit=_MAX_MESSAGE),
        "retryable": error.retryable,
        "remedy": clean_line(error.remedy, limit=_MAX_MESSAGE) or _NOTHING_TO_DO,
    }


def _answer(facts: dict[str, Any], *, again: str) -> CallToolResult:
    text = f"{facts['message']}\n\nNext: {facts['remedy']}\n\n({again}; error: {facts['category']}.)"
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content={"summary": facts["message"], "next_step": facts["remedy"], "error": facts},
        is_error=True,
    )

"""Errors as a person at a terminal is told them: the fact, then what to do, and no traceback.

The remedies of `errors.py` speak to a model ("call task_status"). Where a person has to do something else, `_REMEDIES` says it.
"""

import sys
from collections.abc import Mapping
from typing import Final

from northstar_mcp import errors
from northstar_mcp.tasks.model import TaskError

_REMEDIES: Final[Mapping[type[errors.NorthstarError], str]] = {
    errors.KeyMissing: (
        "Create an API key in the Lightcone dashboard (https://lightcone.ai), then: export TZAFON_API_KEY=sk_...\n"
        "Without a key, `northstar-mcp demo` shows everything against a simulator."
    ),
    errors.KeyRejected: "Check TZAFON_API_KEY before you try again: ten failed attempts block this address.",
    errors.OutOfCredits: "Add credits in the Lightcone dashboard, then run it again.",
    errors.PlanLapsed: "Renew the subscription in the Lightcone dashboard, then run it again.",
    errors.NotAllowed: "Check in the Lightcone dashboard whether the key's scope and plan cover this.",
    errors.NotFound: "`northstar-mcp tasks list` shows the tasks there are.",
    errors.WrongState: "`northstar-mcp tasks show ID` shows how the task stands.",
    errors.Unconfirmed: "NORTHSTAR_MCP_CONFIRM demands your word for it: run this at a terminal, and say yes.",
    errors.PolicyRefused: "It is this server's own policy: see its configuration.",
    errors.ConcurrentLimit: "Wait for a running task to end (`northstar-mcp tasks list`), then try again.",
    errors.LedgerUnavailable: "Try again shortly; if it stays so, look at the disk that holds the data directory.",
    errors.Broken: "This is a fault of the service, not of what you asked for; please report it.",
    errors.Unreachable: "Try again in a few seconds.",
}


def tell(error: Exception) -> bool:
    """Say on stderr what went wrong. False where the error is none that was foreseen; then nothing is said."""
    cause = only_cause(error)
    if not isinstance(cause, errors.NorthstarError):
        return False
    complain(cause.message, remedy_for(cause))
    return True


def complain(message: str, remedy: str = "") -> None:
    """One failure, on stderr."""
    print(f"northstar-mcp: {message}", file=sys.stderr)
    if remedy:
        print(remedy, file=sys.stderr)


def remedy_for(error: errors.NorthstarError) -> str:
    """What a person can do about it. A remedy that was written for this one error goes before the general one."""
    if error.remedy and error.remedy != error.default_remedy and not _is_for_models(error.remedy):
        return error.remedy
    return next((_REMEDIES[kind] for kind in type(error).__mro__ if kind in _REMEDIES), "")


def remedy_of(error: TaskError) -> str:
    """The same for an error that was recorded with a task."""
    general = (remedy for kind, remedy in _REMEDIES.items() if kind.category == error.category)
    return next(general, error.remedy if not _is_for_models(error.remedy) else "")


def _is_for_models(remedy: str) -> bool:
    return "the user" in remedy or any(tool in remedy for tool in _TOOLS)


_TOOLS: Final = ("task_status", "start_task", "stop_task", "list_tasks", "wait_for_tasks", "task_screenshot")


def only_cause(error: BaseException) -> BaseException:
    """The one error inside the groups that task groups wrap it in; a group of several stays as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error

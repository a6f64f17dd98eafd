"""The operator's ceilings: what no argument, header or model can raise.

A limit that is None is not set; an empty set allows nothing. Too large a number is clamped, and it is said; what cannot be clamped is
refused. Pure: the request and the policy give the answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from northstar_mcp.errors import PolicyRefused
from northstar_mcp.tasks.model import Kind, TaskRequest

_USUAL_STEPS: Final = 100  # Lightcone's own default in its older documents
_USUAL_SECONDS: Final = 1800

Confirm: TypeAlias = Literal["never", "risky", "always"]

_RISKS: Final[Mapping[str, str]] = {
    "computer_id": "goes on with a computer on which somebody may be logged in",
    "environment_id": "uses a saved environment, with its log-ins",
    "persistent": "saves log-ins and files for later tasks",
    "keep_alive": "leaves its computer running afterwards",
}
"""What makes a start a risky one, by the argument that asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request that may be sent, and what was changed about it: one sentence each."""

    request: TaskRequest
    clamped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator allows.

    Attributes:
        max_steps: Steps that one task may take at most.
        max_duration_seconds: Wall-clock time that one task may take at most.
        max_concurrent_tasks: Tasks of one principal that may be unfinished at once.
        kinds: Kinds of computer that may be used.
        start_url_hosts: Hosts that `start_url` may name: exact, or "*.example.com" for the hosts below it.
        confirm: Which starts the user has to confirm: none, those that reach for what a person has saved, or all.
    """

    max_steps: int | None = None
    max_duration_seconds: int | None = None
    max_concurrent_tasks: int | None = None
    kinds: frozenset[Kind] | None = None
    start_url_hosts: frozenset[str] | None = None
    confirm: Confirm = "never"

    @property
    def usual_steps(self) -> int:
        """How many steps a task gets that does not ask for a number."""
        return min(_USUAL_STEPS, self.max_steps or _USUAL_STEPS)

    @property
    def usual_duration_seconds(self) -> int:
        """How long a task may take that does not ask for a time."""
        return min(_USUAL_SECONDS, self.max_duration_seconds or _USUAL_SECONDS)

    def admit(self, request: TaskRequest) -> Admitted:
        """The request as it may be sent.

        Raises:
            PolicyRefused: If the policy forbids it.
        """
        clamped: list[str] = []
        request = self._limit_numbers(request, clamped.append)
        request = self._limit_kind(request, clamped.append)
        self._check_host(request)
        return Admitted(request=request, clamped=tuple(clamped))

    def to_confirm(self, request: TaskRequest) -> str | None:
        """Why the user has to confirm this start; None where they need not."""
        if self.confirm == "never":
            return None
        risks = [words for name, words in _RISKS.items() if getattr(request, name)]
        if risks:
            return f"It {' and '.join(risks)}."
        return "Every task has to be confirmed on this server." if self.confirm == "always" else None

    def too_many(self, unfinished: int) -> PolicyRefused:
        """What is said where one more unfinished task would be too many."""
        return PolicyRefused(
            f"{unfinished} {'task is' if unfinished == 1 else 'tasks are'} unfinished, and this server allows "
            f"{self.max_concurrent_tasks} at once.",
            remedy="Wait for one to end (wait_for_tasks), then start this one again.",
            sent=False,
        )

    def _limit_numbers(self, request: TaskRequest, say: Callable[[str], None]) -> TaskRequest:
        if self.max_steps is not None and request.max_steps > self.max_steps:
            say(f"max_steps was lowered from {request.max_steps} to {self.max_steps}, this server's limit.")
            request = replace(request, max_steps=self.max_steps)
        limit = self.max_duration_seconds
        if limit is not None and request.max_duration_seconds > limit:
            say(
                f"max_duration_seconds was lowered from {request.max_duration_seconds} to {limit}, this server's limit."
            )
            request = replace(request, max_duration_seconds=limit)
        return request

    def _limit_kind(self, request: TaskRequest, say: Callable[[str], None]) -> TaskRequest:
        if self.kinds is None:
            return request
        # Left out, Lightcone takes a browser where there is a start_url and a desktop elsewhere.
        kind: Kind = request.kind or ("browser" if request.start_url is not None else "desktop")
        if kind in self.kinds:
            return replace(request, kind=kind)
        if request.kind is None and len(self.kinds) == 1:
            (only,) = self.kinds
            say(f"kind was set to {only}, the only one that this server allows.")
            return replace(request, kind=only)
        allowed = " or ".join(sorted(self.kinds)) or "none"
        raise PolicyRefused(f"This server does not allow the kind {kind}; allowed: {allowed}.", sent=False)

    def _check_host(self, request: TaskRequest) -> None:
        if self.start_url_hosts is None or request.start_url is None:
            return
        host = (_host_of(request.start_url) or "").rstrip(".").lower()
        if not any(_matches(host, pattern.lower()) for pattern in self.start_url_hosts):
            raise PolicyRefused(
                "This server does not allow start_url to name that host; allowed: "
                f"{', '.join(sorted(self.start_url_hosts)) or 'none'}.",
                sent=False,
            )


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern

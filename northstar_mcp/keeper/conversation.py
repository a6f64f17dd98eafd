"""What a host's conversation has said and is still waiting for, so that a new keeper can be told when the one it spoke to is gone.

It is given each line after the line was passed on, and answers what has to be said again. It knows no socket. What a host may have
wanted done is never said twice: a tool call that the lost keeper had is answered with an error that says how to go on. Everything else
asks for something or sets something, and can be said again.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Id = str | int

MAX_WAITING = 1024
"""Requests that may wait for their answers before no more are read from the host."""

_MODERN = "io.modelcontextprotocol/protocolVersion"  # in a request's _meta, since 2026-07-28
_LISTENING = "io.modelcontextprotocol/subscriptionId"
_MESSAGE = (
    "The background process that serves this host (the keeper) ended while this call was under way, and another has taken its "
    "place. Whether the call had an effect is not known; tasks that were started are recorded and go on."
)
_REMEDY = (
    "Call list_tasks, or task_status for one task, to see how things stand, and then call again what is missing. The same start_task "
    "again gives the same task for as long as that is unfinished."
)


class Waiting:
    """A request that has no answer yet."""

    __slots__ = ("is_modern", "line", "method")

    def __init__(self, method: str, line: bytes, *, is_modern: bool) -> None:
        self.method = method
        self.line = line
        self.is_modern = is_modern


class Again:
    """What has to be said after the keeper was lost.

    Attributes:
        first: To the new keeper; whatever else is to be said waits for its answer. Empty where nothing has to wait.
        then: To the new keeper, after that.
        to_host: Answers to the calls that were lost.
    """

    __slots__ = ("first", "then", "to_host")

    def __init__(self, *, first: bytes, then: bytes, to_host: bytes) -> None:
        self.first = first
        self.then = then
        self.to_host = to_host


class Conversation:
    """One host's conversation. `heard` and `answered` are to be given every line, in order."""

    def __init__(self) -> None:
        self.waiting: dict[Id, Waiting] = {}
        self._opening: list[bytes] = []  # initialize and notifications/initialized, in the era that has them
        self._opening_id: Id | None = None
        self._log_level = b""
        self._subscribed: dict[str, bytes] = {}
        self._muted: set[Id] = set()
        self._asked: set[Id] = set()  # what the keeper asked the host, under the ids that the host knows
        self._keepers_lost = 0

    @property
    def is_muting(self) -> bool:
        """Whether some line of the keeper must be kept from the host: it has had that answer from the keeper before."""
        return bool(self._muted)

    def heard(self, line: bytes) -> None:
        """The host has said this."""
        for message in _messages(line):
            method, parameters = message.get("method"), message.get("params")
            if not isinstance(method, str):
                self._asked -= set(_ids(line))
            else:
                self._hear(method, message.get("id"), parameters if isinstance(parameters, dict) else {}, line)

    def answered(self, line: bytes) -> bool:
        """The keeper has said this; whether the host is to hear it."""
        for message in _messages(line):
            identity = message.get("id")
            if "method" in message:
                self._asked.update({identity} if isinstance(identity, str | int) else ())
                return self._is_news(message)
            if not isinstance(identity, str | int):
                continue
            self.waiting.pop(identity, None)
            if identity in self._muted:
                self._muted.discard(identity)
                return False
        return True

    @property
    def is_opened(self) -> bool:
        """Whether the new keeper has answered what must be answered before anything else is said."""
        return self._opening_id is None or self._opening_id not in self._muted

    @property
    def is_silent(self) -> bool:
        """Whether the host expects nothing from the keeper until it speaks again."""
        return not self.waiting and not self._subscribed

    def again(self, *, unsent: bytes) -> Again:
        """The keeper was lost: tell it all to another.

        Args:
            unsent: What the lost one was not sent any more. Calls that are in there whole it cannot have acted on.
        """
        unheard = set(unsent.splitlines(keepends=True))
        calls = {identity: waiting for identity, waiting in self.waiting.items() if waiting.method == "tools/call"}
        lost = {identity: call for identity, call in calls.items() if call.line not in unheard}
        self.waiting = {identity: waiting for identity, waiting in self.waiting.items() if identity not in lost}
        settled = [*self._opening, self._log_level, *self._subscribed.values()]
        self._muted = {identity for line in settled for identity in _ids(line)} - self.waiting.keys()
        first = self._opening[0] if not self.is_opened else b""
        then = [line for line in settled if line != first] + [waiting.line for waiting in self.waiting.values()]
        listening = (identity for identity, waiting in self.waiting.items() if waiting.method == "subscriptions/listen")
        self._muted |= {_acknowledgement(identity) for identity in listening}
        answers = [_lost(identity, is_modern=waiting.is_modern) for identity, waiting in lost.items()]
        answers += [_cancelled(identity) for identity in self._asked]
        self._asked.clear()
        self._keepers_lost += 1
        # A line that is settled and waiting at once, or that holds several messages, is said once.
        return Again(first=first, then=b"".join(dict.fromkeys(then)), to_host=b"".join(answers))

    # ---- what keepers ask

    def as_asked(self, line: bytes) -> bytes:
        """The keeper's line as the host is to see it.

        Each keeper counts its requests from the beginning. An answer to a lost one's must not pass for an answer to another's: the
        user would have said yes to what they never saw. So the requests of a later keeper are named after it.
        """
        if not self._keepers_lost or b'"method"' not in line:
            return line
        return _renamed(line, self._name)

    def as_answered(self, line: bytes) -> bytes:
        """The host's line as the keeper is to see it; empty where it answers what a lost keeper asked."""
        if not self._keepers_lost or (b'"method"' in line and b'"result"' not in line and b'"error"' not in line):
            return line
        return _renamed(line, self._own_name)

    def _name(self, message: dict[str, Any]) -> bool:
        parameters = message.get("params")
        if message.get("method") == "notifications/cancelled" and isinstance(parameters, dict):
            parameters["requestId"] = f"{self._keepers_lost}:{json.dumps(parameters.get('requestId'))}"
        if "id" in message and "method" in message:
            message["id"] = f"{self._keepers_lost}:{json.dumps(message['id'])}"
        return True

    def _own_name(self, message: dict[str, Any]) -> bool:
        if "method" in message:
            return True  # the host asks
        keeper, colon, own = str(message.get("id")).partition(":")
        if not colon or keeper != str(self._keepers_lost):
            return False
        try:
            message["id"] = json.loads(own)
        except ValueError:
            return False
        return True

    def _hear(self, method: str, identity: Any, parameters: Mapping[str, Any], line: bytes) -> None:
        match method:
            case "initialize":
                self._opening, self._opening_id = [line], identity
            case "notifications/initialized":
                self._opening = [*self._opening[:1], line]
            case "logging/setLevel":
                self._log_level = line
            case "resources/subscribe":
                self._subscribed[str(parameters.get("uri"))] = line
            case "resources/unsubscribe":
                self._subscribed.pop(str(parameters.get("uri")), None)
            case "notifications/cancelled":
                self.waiting.pop(parameters.get("requestId", ""), None)
        if isinstance(identity, str | int):
            modern = _MODERN in (parameters.get("_meta") or {})
            self.waiting[identity] = Waiting(method, line, is_modern=modern)

    def _is_news(self, message: Mapping[str, Any]) -> bool:
        if message["method"] == "notifications/cancelled":
            parameters = message.get("params")
            taken_back = parameters.get("requestId") if isinstance(parameters, dict) else None
            self._asked -= {taken_back} if isinstance(taken_back, str | int) else set()
        if message["method"] != "notifications/subscriptions/acknowledged":
            return True
        listening = _acknowledgement((message.get("params") or {}).get("_meta", {}).get(_LISTENING))
        known = listening in self._muted
        self._muted.discard(listening)
        return not known


def _messages(line: bytes) -> Iterator[dict[str, Any]]:
    """The messages of a line. What is none is for the keeper to complain of."""
    try:
        said = json.loads(line)
    except ValueError:
        return
    for message in said if isinstance(said, list) else [said]:
        if isinstance(message, dict):
            yield message


def _renamed(line: bytes, rename: Callable[[dict[str, Any]], bool]) -> bytes:
    """The line with its messages' ids renamed, and without the messages for which `rename` says no."""
    try:
        said = json.loads(line)
    except ValueError:
        return line
    if isinstance(said, dict):
        return json.dumps(said).encode() + b"\n" if rename(said) else b""
    if not isinstance(said, list):
        return line
    kept = [message for message in said if not isinstance(message, dict) or rename(message)]
    return json.dumps(kept).encode() + b"\n" if kept else b""


def _cancelled(identity: Id) -> bytes:
    """Tells the host that nobody waits for its user's answer any more."""
    parameters = {"requestId": identity, "reason": "The process that asked has ended."}
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": parameters}).encode() + b"\n"


def _ids(line: bytes) -> Iterator[Id]:
    for message in _messages(line):
        if isinstance(identity := message.get("id"), str | int):
            yield identity


def _acknowledgement(listening: object) -> str:
    return f"acknowledged\0{listening}"  # no request has such an id


def _lost(identity: Id, *, is_modern: bool) -> bytes:
    facts = {"category": "disconnected", "message": _MESSAGE, "retryable": True, "remedy": _REMEDY}
    text = f"{_MESSAGE}\n\nNext: {_REMEDY}\n\n(Calling again can help; error: disconnected.)"
    result = {
        **({"resultType": "complete"} if is_modern else {}),
        "content": [{"type": "text", "text": text}],
        "structuredContent": {"summary": _MESSAGE, "next_step": _REMEDY, "error": facts},
        "isError": True,
    }
    return json.dumps({"jsonrpc": "2.0", "id": identity, "result": result}).encode() + b"\n"

"""Hosts by what they declare, as plain clients over the road that each of them uses. Everything that the server says is kept.

What each declares is from public reports (docs/hosts.md names them); none of these is the host itself.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from typing_extensions import override

from tests.hosts.conftest import Place
from tests.keeper.host import COMMAND, Host, Message

URI_OF_VIEW: Final = "ui://northstar/live-view.html"
TASKS: Final = "io.modelcontextprotocol/tasks"
MODERN: Final = "2026-07-28"
_META: Final = "io.modelcontextprotocol/"
_APPS: Final[Message] = {"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}}
_FORMS_AND_URLS: Final[Message] = {"elicitation": {"form": {}, "url": {}}}
_OLDER_TASKS: Final[Message] = {"tasks": {"list": {}, "cancel": {}, "requests": {"elicitation": {"create": {}}}}}
_ROOTS: Final[Message] = {"roots": {"listChanged": True}}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One host.

    Attributes:
        road: What it is reached by; the names are those of the fixture `road`.
        shows_progress: It sends a progress token with each call.
        takes_handles: It asks for handles, in its protocol's way.
        asked: The kinds of questions that its user gets for a task that waits for them.
    """

    name: str
    version: str
    protocol: str
    capabilities: Message = field(default_factory=dict)
    road: str = "keeper"
    shows_progress: bool = False
    takes_handles: bool = False
    asked: tuple[str, ...] = ()

    @property
    def modern(self) -> bool:
        return self.protocol == MODERN

    @property
    def renders_apps(self) -> bool:
        return "io.modelcontextprotocol/ui" in self.capabilities.get("extensions", {})

    @property
    def info(self) -> Message:
        return {"name": self.name, "version": self.version}

    @property
    def meta(self) -> Message:
        """What each request of it carries, in the newest protocol."""
        if not self.modern:
            return {}
        facts = {"protocolVersion": self.protocol, "clientCapabilities": self.capabilities, "clientInfo": self.info}
        return {f"{_META}{name}": fact for name, fact in facts.items()}


PROFILES: Final[Mapping[str, Profile]] = {
    "Claude Desktop, older": Profile(name="claude-ai", version="0.1.0", protocol="2025-06-18", capabilities=_APPS),
    "Claude Desktop": Profile(name="claude-ai", version="0.1.0", protocol="2025-11-25", capabilities=_APPS),
    "Claude Code": Profile(
        name="claude-code",
        version="2.1.259",
        protocol="2025-11-25",
        capabilities={**_ROOTS, "elicitation": {}},
        shows_progress=True,
    ),
    "Claude Code, HTTP": Profile(
        name="claude-code",
        version="2.1.259",
        protocol="2025-11-25",
        capabilities={**_ROOTS, "elicitation": {}},
        shows_progress=True,
        road="http",
    ),
    "Claude Code, newest protocol": Profile(
        name="claude-code",
        version="2.1.273",
        protocol=MODERN,
        capabilities={**_ROOTS, "elicitation": {}},
        shows_progress=True,
    ),
    "Claude Code, that promised too much": Profile(
        name="claude-code",
        version="2.1.87",
        protocol="2025-11-25",
        capabilities={**_ROOTS, **_FORMS_AND_URLS},
        shows_progress=True,
    ),
    "VS Code": Profile(
        name="Visual Studio Code",
        version="1.132.0",
        protocol="2025-11-25",
        capabilities={**_ROOTS, "sampling": {}, **_FORMS_AND_URLS, **_OLDER_TASKS, **_APPS},
        shows_progress=True,
        takes_handles=True,
        asked=("url", "form"),
    ),
    "VS Code, HTTP": Profile(
        name="Visual Studio Code",
        version="1.132.0",
        protocol="2025-11-25",
        capabilities={**_ROOTS, "sampling": {}, **_FORMS_AND_URLS, **_OLDER_TASKS, **_APPS},
        shows_progress=True,
        takes_handles=True,
        asked=("url", "form"),
        road="http",
    ),
    "VS Code, without tasks": Profile(
        name="Visual Studio Code",
        version="1.132.0",
        protocol="2025-11-25",
        capabilities={**_ROOTS, "sampling": {}, **_FORMS_AND_URLS},
        shows_progress=True,
        asked=("url", "form"),
    ),
    "Cursor": Profile(
        name="cursor-vscode",
        version="1.0.0",
        protocol="2025-06-18",
        capabilities={**_ROOTS, "elicitation": {}, **_APPS},
        shows_progress=True,
    ),
    "Codex": Profile(
        name="codex-mcp-client", version="0.146.0", protocol="2025-06-18", capabilities={**_FORMS_AND_URLS}
    ),
    "a bare client": Profile(name="bare", version="1", protocol="2024-11-05"),
    "a full client": Profile(
        name="full",
        version="1",
        protocol=MODERN,
        capabilities={**_FORMS_AND_URLS, "extensions": {**_APPS["extensions"], TASKS: {}}},
        shows_progress=True,
        takes_handles=True,
        asked=("url", "form"),
    ),
    "a full client, HTTP": Profile(
        name="full",
        version="1",
        protocol=MODERN,
        capabilities={**_FORMS_AND_URLS, "extensions": {**_APPS["extensions"], TASKS: {}}},
        shows_progress=True,
        takes_handles=True,
        asked=("url", "form"),
        road="http",
    ),
    "a client without tasks, HTTP": Profile(
        name="full",
        version="1",
        protocol=MODERN,
        capabilities=_FORMS_AND_URLS,
        asked=("url", "form"),
        road="http",
    ),
}


@dataclass
class Conversation:
    """What a host asked, and all that it heard.

    Attributes:
        heard: Each message that was no answer, with the id of the request that was under way or was asked next.
        answers: Each request's method and its answer's result, in order.
        questions: What its user was asked, by whichever road.
    """

    profile: Profile
    heard: list[tuple[int, Message]] = field(default_factory=list)
    answers: list[tuple[str, Message]] = field(default_factory=list)
    questions: list[Message] = field(default_factory=list)
    _asked: int = 0

    def open(self) -> Message:
        """Begin as the protocol does; what the server says that it can."""
        profile = self.profile
        if profile.modern:
            return self.ask("server/discover")
        said = self.ask(
            "initialize",
            protocolVersion=profile.protocol,
            capabilities=profile.capabilities,
            clientInfo=profile.info,
        )
        assert said["protocolVersion"] == profile.protocol
        self.say({"method": "notifications/initialized"})
        return said

    def ask(self, method: str, **parameters: Any) -> Message:
        """The result of a request."""
        self._asked += 1
        meta = dict(self.profile.meta)
        if self.profile.shows_progress and method == "tools/call":
            meta["progressToken"] = self._asked
        params = {**parameters, **({"_meta": meta} if meta else {})}
        answer = self.answer_to({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        assert "result" in answer, answer
        result: Message = answer["result"]
        self.answers.append((method, result))
        return result

    def call(self, tool: str, **arguments: Any) -> Message:
        """A tool's good answer."""
        result = self.answered(tool, **arguments)
        assert not result.get("isError"), result
        return result

    def answered(self, tool: str, **arguments: Any) -> Message:
        """A tool's answer, whichever; the user's questions on the way are answered."""
        result = self.ask("tools/call", name=tool, arguments=arguments)
        while result.get("resultType") == "input_required":
            given = {key: self.reply_to(request) for key, request in result["inputRequests"].items()}
            more = {"inputResponses": given, "requestState": result["requestState"]}
            result = self.ask("tools/call", name=tool, arguments=arguments, **more)
        return result

    def hear(self, message: Message) -> None:
        """A message that is no answer."""
        self.heard.append((self._asked, message))
        if "id" in message:
            self.say({"id": message["id"], "result": self.reply_to(message)})

    def reply_to(self, request: Message) -> Message:
        """The user agrees to everything."""
        assert request["method"] == "elicitation/create", request
        params = request["params"]
        self.questions.append(params)
        return {"action": "accept", **({} if params.get("mode") == "url" else {"content": {}})}

    def say(self, message: Message) -> None:
        raise NotImplementedError

    def answer_to(self, request: Message) -> Message:
        raise NotImplementedError


class OverStdio(Conversation):
    """Lines to a process that it started."""

    def __init__(self, profile: Profile, host: Host) -> None:
        super().__init__(profile)
        self._host = host

    @override
    def say(self, message: Message) -> None:
        self._host.say(message)

    @override
    def answer_to(self, request: Message) -> Message:
        self.say(request)
        while "method" in (message := json.loads(self._host._line())):
            self.hear(message)
        assert message["id"] == request["id"]
        answer: Message = message
        return answer


class OverHttp(Conversation):
    """Requests to a server that runs already."""

    def __init__(self, profile: Profile, client: httpx.Client, url: str) -> None:
        super().__init__(profile)
        self._client = client
        self._url = url
        self._headers = {"Accept": "application/json, text/event-stream"}
        if profile.modern:
            self._headers["MCP-Protocol-Version"] = profile.protocol

    @override
    def say(self, message: Message) -> None:
        reply = self._client.post(self._url, json={"jsonrpc": "2.0", **message}, headers=self._headers)
        assert reply.status_code == 202, reply.text

    @override
    def answer_to(self, request: Message) -> Message:
        with self._client.stream("POST", self._url, json=request, headers=self._headers_for(request)) as reply:
            if reply.status_code >= 400:
                reply.read()
                raise AssertionError(reply.text)
            if request["method"] == "initialize":
                self._headers["Mcp-Session-Id"] = reply.headers["Mcp-Session-Id"]
                self._headers["MCP-Protocol-Version"] = self.profile.protocol
            answers = [message for message in self._messages(reply) if not self._is_news(message)]
        (answer,) = answers
        assert answer["id"] == request["id"]
        return answer

    def _is_news(self, message: Message) -> bool:
        if "method" in message:
            self.hear(message)
        return "method" in message

    def _headers_for(self, request: Message) -> dict[str, str]:
        if not self.profile.modern:
            return self._headers
        params = request["params"]
        named = next((params[key] for key in ("name", "uri", "taskId") if key in params), None)
        return self._headers | {"Mcp-Method": request["method"], **({"Mcp-Name": named} if named else {})}

    @staticmethod
    def _messages(reply: httpx.Response) -> Iterator[Message]:
        if "json" in reply.headers["content-type"]:
            yield json.loads(reply.read())
            return
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))


@contextmanager
def conversing(profile: Profile, place: Place, url: str | None) -> Iterator[Conversation]:
    """A host's conversation by its road."""
    if url is not None:
        with httpx.Client(timeout=50) as client:
            yield OverHttp(profile, client, url)
        return
    pipe = subprocess.PIPE
    env = {**os.environ, **place.env}
    with subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, env=env) as process:
        host = Host(process, era="legacy")
        try:
            yield OverStdio(profile, host)
            assert host.close() == 0
        finally:
            if process.poll() is None:
                process.terminate()

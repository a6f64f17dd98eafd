"""A host as plain as can be: it starts `northstar-mcp`, writes lines and reads lines, and can be closed, killed or left silent."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SECONDS = 40
COMMAND = (sys.executable, "-m", "northstar_mcp")
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "plain", "version": "1"},
}
Message = dict[str, Any]


class Host:
    """One conversation. `heard` holds every message that was no answer to what was asked for."""

    def __init__(self, process: subprocess.Popen[bytes], *, era: str) -> None:
        self.process = process
        self.era = era
        self.capabilities: Message = {}
        self.heard: list[Message] = []
        self._answers: dict[int, Message] = {}
        self._begun = b""
        self._asked = 0

    def open(self) -> None:
        """What the era begins with."""
        if self.era == "legacy":
            client = {"name": "plain", "version": "1"}
            self.ask("initialize", protocolVersion="2025-11-25", capabilities=self.capabilities, clientInfo=client)
            self.say({"method": "notifications/initialized"})

    def say(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def begin(self, method: str, **parameters: object) -> int:
        """Ask, without waiting for the answer; the request's id."""
        self._asked += 1
        meta = {"_meta": MODERN_META} if self.era == "modern" else {}
        self.say({"id": self._asked, "method": method, "params": {**parameters, **meta}})
        return self._asked

    def answer_to(self, identity: int) -> Message:
        while identity not in self._answers:
            self._hear()
        return self._answers.pop(identity)

    def ask(self, method: str, **parameters: object) -> Message:
        answer = self.answer_to(self.begin(method, **parameters))
        assert "result" in answer, answer
        result: Message = answer["result"]
        return result

    def call(self, tool: str, **arguments: object) -> Message:
        """A tool's structured answer."""
        result = self.ask("tools/call", name=tool, arguments=arguments)
        assert not result.get("isError"), result
        facts: Message = result["structuredContent"]
        return facts

    def begin_call(self, tool: str, **arguments: object) -> int:
        return self.begin("tools/call", name=tool, arguments=arguments)

    def finished(self, task_id: str) -> Message:
        """The task's facts at its end."""
        told = self.call("task_status", task_id=task_id)
        while "result" not in told:
            told = self.call("task_status", task_id=task_id, since_seq=told["seq"], wait_seconds=20)
        return told

    def close(self) -> int:
        """Say nothing more; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=SECONDS)

    def complaints(self) -> str:
        """What it wrote to standard error, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def until(self, method: str, count: int = 1) -> Message:
        """The message of that method that comes as the `count`th."""
        while len(told := [said for said in self.heard if said["method"] == method]) < count:
            self._hear()
        return told[count - 1]

    def _hear(self) -> None:
        message = json.loads(self._line())
        if "method" in message:
            self.heard.append(message)
        else:
            assert message["id"] not in self._answers, "answered twice"
            self._answers[message["id"]] = message

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        ends_at = time.monotonic() + SECONDS
        while b"\n" not in self._begun:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, ends_at - time.monotonic()))
            assert ready, "nothing came"
            part = os.read(self.process.stdout.fileno(), 65536)
            assert part, f"the server has gone: {self.process.wait(SECONDS)}: {self.complaints()}"
            self._begun += part
        line, _, self._begun = self._begun.partition(b"\n")
        return line


@contextmanager
def hosting(
    env: Mapping[str, str], *arguments: str, era: str = "legacy", capabilities: Message | None = None
) -> Iterator[Host]:
    """A conversation that is open, and ends with the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env)) as process:
        host = Host(process, era=era)
        host.capabilities = capabilities or {}
        try:
            host.open()
            yield host
        finally:
            if process.poll() is None:
                process.terminate()

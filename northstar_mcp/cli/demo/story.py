"""The job, step by step, through the SDK's own client. What is shown is what came over the wire."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anyio
from mcp import Client
from mcp_types import CallToolResult, ImageContent, TextContent

from northstar_mcp.cli.demo.evidence import Evidence
from northstar_mcp.cli.demo.job import Job
from northstar_mcp.cli.demo.picture import Unreadable, save
from northstar_mcp.cli.demo.stage import Stage
from northstar_mcp.cli.words import shortened

_GOING_ON: Final = frozenset({"starting", "running", "paused"})
_TAKEN: Final = frozenset({"accepted", "queued", "picked_up"})
_TITLE: Final = 70
_LINES: Final = {"start_task": 1, "task_status": 1, "task_screenshot": 1}
"""How much of an answer is shown, where what follows was shown already as progress or is shown as the result."""


class _Refused(Exception):
    """A tool answered with an error: the story cannot go on."""


class Story:
    """Tells one job.

    Args:
        evidence: Filled as things happen.
    """

    def __init__(self, client: Client, stage: Stage, job: Job, evidence: Evidence) -> None:
        self._client = client
        self._stage = stage
        self._job = job
        self._evidence = evidence
        self._task_id = ""
        self._seq = 0

    async def tell(self, picture: Path) -> None:
        """From the list of tools to the screenshot, which is saved as `picture`. Where it cannot go on, the evidence says why."""
        try:
            with anyio.fail_after(self._job.most_seconds):
                await self._from_beginning_to_end(picture)
        except (_Refused, Unreadable) as error:
            self._evidence.faults.append(str(error))
        except TimeoutError:
            self._evidence.faults.append(f"It took longer than {self._job.most_seconds:g} seconds.")

    async def _from_beginning_to_end(self, picture: Path) -> None:
        await self._list_tools()
        await self._hand_over()
        await self._pause()
        await self._say_something()
        await self._resume()
        await self._wait_for_the_end()
        await self._look(picture)

    async def _list_tools(self) -> None:
        self._stage.chapter("What the host's model gets")
        tools = (await self._client.list_tools()).tools
        self._evidence.tools = frozenset(tool.name for tool in tools)
        self._stage.listing((tool.name, shortened(tool.title or tool.description or "", _TITLE)) for tool in tools)

    async def _hand_over(self) -> None:
        self._stage.chapter("Hand over a task, and see it work")
        asked: dict[str, Any] = {"instruction": self._job.instruction, "max_steps": self._job.max_steps}
        if self._job.start_url is not None:
            asked["start_url"] = self._job.start_url
        started = await self._call("start_task", {**asked, "wait_seconds": self._job.watch_seconds})
        self._task_id = str(started.get("task_id", ""))

    async def _pause(self) -> None:
        self._stage.chapter("Pause it")
        self._evidence.paused = (await self._call("pause", {"task_id": self._task_id})).get("state") == "paused"

    async def _say_something(self) -> None:
        self._stage.chapter("Tell it something while it waits")
        told = await self._call("inject_message", {"task_id": self._task_id, "message": self._job.message})
        receipts = told.get("receipts") or []
        self._evidence.message_taken = any(receipt.get("state") in _TAKEN for receipt in receipts)

    async def _resume(self) -> None:
        self._stage.chapter("Let it go on")
        self._evidence.resumed = (await self._call("resume", {"task_id": self._task_id})).get("state") == "running"

    async def _wait_for_the_end(self) -> None:
        self._stage.chapter("Wait for the answer")
        self._evidence.state = "running"
        while self._evidence.state in _GOING_ON:
            asked = {"task_id": self._task_id, "since_seq": self._seq, "wait_seconds": self._job.wait_seconds}
            status = await self._call("task_status", asked)
            self._evidence.state = str(status.get("state", ""))
            self._evidence.result = str(status.get("result") or "")
        if self._evidence.result:
            self._stage.result(self._evidence.result)

    async def _look(self, picture: Path) -> None:
        self._stage.chapter("Look at the last screen")
        answer = await self._answer("task_screenshot", {"task_id": self._task_id})
        image = next((part for part in answer.content if isinstance(part, ImageContent)), None)
        if image is None:
            return
        saved = save(base64.b64decode(image.data), picture)
        self._evidence.picture = str(saved.path)
        self._stage.note(f"saved as {saved.path} ({image.mime_type}, {saved.width} x {saved.height})", style="bold")

    # ---- calls

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The structured half of the answer; its `seq` is where the next look begins."""
        known: dict[str, Any] = (await self._answer(tool, arguments)).structured_content or {}
        self._seq = int(known.get("seq") or self._seq)
        return known

    async def _answer(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        self._stage.call(tool, arguments)
        answer = await self._client.call_tool(tool, dict(arguments), progress_callback=self._on_progress)
        text = "\n".join(part.text for part in answer.content if isinstance(part, TextContent))
        if answer.is_error:
            raise _Refused(f"{tool} answered with an error: {text}")
        self._stage.answer(text, lines=_LINES.get(tool, 3))
        return answer

    async def _on_progress(self, progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG002 - the SDK's
        self._evidence.progress += 1
        self._stage.progress(progress, message or "")

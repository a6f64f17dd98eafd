"""A small HTTP client of the simulator, for what the official one cannot show: ids, comments, refusals, headers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from northstar_mcp.simulator import Dialect, Faults, Journal, SimulatorSettings, running

TIME_LIMIT = 30
JSON = dict[str, Any]


@dataclass
class Reading:
    """One stream, read to its end."""

    headers: httpx.Headers
    frames: list[tuple[str | None, JSON]] = field(default_factory=list)
    pings: int = 0
    id_only: list[str] = field(default_factory=list)
    broken: bool = False

    @property
    def types(self) -> list[str]:
        return [frame["type"] for _, frame in self.frames]

    @property
    def last(self) -> JSON:
        return self.frames[-1][1]

    def of(self, frame_type: str) -> list[JSON]:
        return [frame for _, frame in self.frames if frame["type"] == frame_type]


class Visitor:
    """Speaks to one simulator."""

    def __init__(self, http: httpx.AsyncClient, journal: Journal, faults: Faults) -> None:
        self.http = http
        self.journal = journal
        self.faults = faults

    async def post(self, path: str, body: JSON | None = None) -> httpx.Response:
        return await self.http.post(path, json=body) if body is not None else await self.http.post(path)

    async def get(self, path: str) -> JSON:
        answer = await self.http.get(path)
        answer.raise_for_status()
        told: JSON = answer.json()
        return told

    async def start(self, instruction: str, **more: object) -> str:
        answer = await self.post("/agent/tasks", {"instruction": instruction, **more})
        answer.raise_for_status()
        return str(answer.json()["task_id"])

    async def status(self, task_id: str) -> str:
        return str((await self.get(f"/agent/tasks/{task_id}"))["status"])

    async def until(self, task_id: str, status: str) -> None:
        """Ask until the status is this one (the caller's time limit bounds it)."""
        while await self.status(task_id) != status:
            pass

    @asynccontextmanager
    async def opened(
        self,
        body: JSON | None = None,
        *,
        task_id: str | None = None,
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> AsyncIterator[httpx.Response]:
        """A stream: a new one for a body, or that of a task."""
        if task_id is None:
            asked = self.http.stream("POST", f"/agent/tasks/stream{query}", json=body, headers=headers)
        else:
            asked = self.http.stream("GET", f"/agent/tasks/{task_id}/stream{query}", headers=headers)
        async with asked as answer:
            yield answer

    async def stream(self, instruction: str, **more: Any) -> Reading:
        """Start by stream and read to the end."""
        async with self.opened({"instruction": instruction, **more}) as answer:
            return await read(answer)

    async def replay(self, task_id: str, *, after: int | None = None, query: str = "") -> Reading:
        """Read a task's stream again."""
        headers = None if after is None else {"Last-Event-ID": str(after)}
        async with self.opened(task_id=task_id, headers=headers, query=query) as answer:
            answer.raise_for_status()
            return await read(answer)


async def read(
    answer: httpx.Response, *, pings_at_most: int | None = None, frames_at_most: int | None = None
) -> Reading:
    """Decode a stream until it ends, or until enough was seen."""
    reading = Reading(answer.headers)
    frame_id: str | None = None
    data: str | None = None
    try:
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                reading.pings += 1
            elif line.startswith("id: "):
                frame_id = line[4:]
            elif line.startswith("data: "):
                data = line[6:]
            elif data is not None:
                reading.frames.append((frame_id, json.loads(data)))
                frame_id = data = None
            elif frame_id is not None:
                reading.id_only.append(frame_id)
                frame_id = None
            if reading.pings == pings_at_most or len(reading.frames) == frames_at_most:
                break
    except httpx.RemoteProtocolError:
        reading.broken = True
    return reading


@asynccontextmanager
async def visiting(dialect: str = "", *, key: str = "sk_test_key", **settings: Any) -> AsyncIterator[Visitor]:
    """A simulator in this process, whose steps take no time unless said otherwise, and a visitor; bounded in time."""
    journal, faults = Journal(), Faults()
    chosen = SimulatorSettings(**{"dialect": Dialect.parse(dialect), "step_seconds": 0.0, **settings})
    with anyio.fail_after(TIME_LIMIT):
        async with (
            running(chosen, journal=journal, faults=faults) as base_url,
            httpx.AsyncClient(
                base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=TIME_LIMIT
            ) as http,
        ):
            yield Visitor(http, journal, faults)

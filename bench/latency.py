"""From an event at Lightcone to the progress notification at an MCP client, beside a bare httpx-sse loop on the same stream.

`python -m bench.latency [STEPS]`. The simulator runs in a process of its own and writes down when it emitted each frame; our server
is a real process over stdio. Both readers are in this process and read the same task at the same time; the wall clock is one. Only
events that both have seen are counted: a screenshot, or a step that says nothing new, makes no progress notification. Nor are those
counted that came within half a second of a notification, since two are sent in a second at most: they wait on purpose.
"""

import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from statistics import median, quantiles
from typing import Any

import anyio
import httpx
from httpx_sse import aconnect_sse
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

Moments = dict[int, float]  # by the frame's number
_APART = 0.51  # seconds, a little more than the shortest time between two notifications


async def _read_bare(base_url: str, northstar_task_id: str, arrived: Moments) -> None:
    headers = {"Authorization": "Bearer sk_bench"}
    async with (
        httpx.AsyncClient(base_url=base_url, headers=headers, timeout=None) as http,  # noqa: S113 - it ends with the task
        aconnect_sse(http, "GET", f"/agent/tasks/{northstar_task_id}/stream") as source,
    ):
        async for frame in source.aiter_sse():
            if frame.data:
                arrived.setdefault(int(frame.id), time.time())


async def _journal(base_url: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=base_url) as http:
        told: dict[str, Any] = (await http.get("/_simulator/journal")).json()
        return told


async def _measure(base_url: str, steps: int) -> tuple[Moments, Moments, Moments]:
    """When each frame was emitted, read bare, and told as progress."""
    progressed: Moments = {}
    bare: Moments = {}

    async def note(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the client names them
        progressed.setdefault(round(progress), time.time())

    with tempfile.TemporaryDirectory() as folder:
        env = {
            **os.environ,
            "TZAFON_API_KEY": "sk_bench",
            "LIGHTCONE_BASE_URL": base_url,
            "NORTHSTAR_MCP_DATA_DIR": folder,
            "NORTHSTAR_MCP_KEEPER": "off",
        }
        ours = StdioServerParameters(command=sys.executable, args=["-m", "northstar_mcp"], env=env)
        async with Client(stdio_client(ours)) as client:
            asked = {"instruction": f"[steps={steps}]", "max_steps": steps + 1, "wait_seconds": 0.5}
            facts: dict[str, Any] = (await client.call_tool("start_task", asked)).structured_content or {}
            first = facts["seq"] + 1
            async with anyio.create_task_group() as group:
                group.start_soon(_read_bare, base_url, facts["northstar_task_id"], bare)
                while "result" not in facts:
                    more = {"task_id": facts["task_id"], "since_seq": facts["seq"], "wait_seconds": 45}
                    answer = await client.call_tool("task_status", more, progress_callback=note)
                    facts = answer.structured_content or {}
    frames = (await _journal(base_url))["frames"][facts["northstar_task_id"]]
    # What came before both were listening was replayed to the bare reader: it says nothing.
    emitted = {frame["id"]: frame["at"] for frame in frames if frame["id"] > first + 8}
    return emitted, bare, progressed


def _told(name: str, emitted: Moments, arrived: Moments) -> float:
    took = [(arrived[number] - emitted[number]) * 1000 for number in emitted]
    print(f"{name}: median {median(took):.2f} ms, p95 {quantiles(took, n=20)[-1]:.2f} ms, of {len(took)} events")
    return median(took)


async def main(steps: int) -> None:
    """Print both latencies and what ours adds: durable writing, the feed, and the way through MCP."""
    command = [sys.executable, "-m", "northstar_mcp.simulator", "--step-seconds", "2.4"]
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(await anyio.open_process(command, stdout=None))
        stack.callback(process.terminate)
        if process.stderr is None:
            raise RuntimeError("no pipe")
        base_url = (await process.stderr.receive()).decode().split()[-1]
        emitted, bare, progressed = await _measure(base_url, steps)
        told = sorted(progressed.values())
        emitted = {
            number: at
            for number, at in emitted.items()
            if number in bare and number in progressed and not any(at - _APART < moment < at for moment in told)
        }
        first = _told("bare httpx-sse loop", emitted, bare)
        ours = _told("progress notification", emitted, progressed)
        print(f"added by northstar-mcp: {ours - first:.2f} ms at the median")


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 25)

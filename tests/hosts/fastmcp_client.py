"""Task handles with fastmcp's client, which takes them wherever it meets the protocol of 2026-07-28.

A program of its own, told and telling as the Node clients are: fastmcp is large, and its warnings are not ours to answer for.
"""

import json
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from fastmcp_tasks import call_tool_task

Report = dict[str, Any]
SECONDS = 60


async def main(plan: Mapping[str, Any]) -> None:
    """Do the plan's jobs side by side, and print what came of each."""
    questions: list[str] = []

    async def answer(_message: str, _kind: object, params: Any, _context: object) -> ElicitResult[Any]:
        questions.append(params.mode)
        return ElicitResult(action="accept", content={} if params.mode == "form" else None)

    done: Report = {"questions": questions}
    with anyio.fail_after(SECONDS):
        async with Client(_transport(plan), elicitation_handler=answer) as client, anyio.create_task_group() as group:
            for name, instruction in plan["jobs"].items():
                group.start_soon(partial(_do, client, done, name, instruction, cancelled=name == "stopped"))
    sys.stdout.write(json.dumps(done))


def _transport(plan: Mapping[str, Any]) -> StdioTransport | StreamableHttpTransport:
    if "url" in plan:
        return StreamableHttpTransport(plan["url"])
    return StdioTransport(plan["command"], plan["args"], env=plan["env"], keep_alive=False)


async def _do(client: Client[Any], done: Report, name: str, instruction: str, *, cancelled: bool) -> None:
    task = await call_tool_task(client, "start_task", {"instruction": instruction}, raise_on_error=False)
    if cancelled:
        await task.cancel()
    answer = await task.result()
    status = await task.status()
    done[name] = {
        "handle": task.task_id,
        "statuses": [task.create_result.status, status.status],
        "answer": {"structuredContent": answer.structured_content, "isError": answer.is_error},
    }


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]))

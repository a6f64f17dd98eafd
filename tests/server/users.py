"""A user behind a host: what they are asked, and what they answer. And a client that takes task handles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from mcp.client.extension import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp_types import (
    CallToolResult,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    NotificationParams,
    Request,
    Result,
)
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import override

from northstar_mcp.tasks.model import Task
from tests.server.conftest import Desk

TASKS = "io.modelcontextprotocol/tasks"
Action = Literal["accept", "decline", "cancel"]


@dataclass
class User:
    """Answers what they are asked, in turn; `cancel` once they have nothing more to say."""

    says: list[Action] = field(default_factory=list)
    asked: list[ElicitRequestParams] = field(default_factory=list)
    is_away: bool = False

    async def __call__(self, _: Any, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params)
        if self.is_away:
            await anyio.sleep_forever()
        return ElicitResult(action=self.says.pop(0) if self.says else "cancel")

    @property
    def urls(self) -> list[str]:
        return [each.url for each in self.asked if isinstance(each, ElicitRequestURLParams)]


class Handle(Result):
    """What a call is answered with, to be asked for later."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = "task"


class News(NotificationParams):
    model_config = ConfigDict(extra="allow")


@dataclass
class TakesHandles(ClientExtension):
    """Declares the extension. Where nobody asks for the handle itself, it is waited for."""

    told: list[dict[str, Any]] = field(default_factory=list)
    identifier = TASKS

    @override
    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Handle, resolve=self._resolve)]

    @override
    def notifications(self) -> Sequence[NotificationBinding[Any]]:
        return [NotificationBinding(method="notifications/tasks", params_type=News, handler=self._hear)]

    async def _resolve(self, handle: Handle, ctx: ClaimContext) -> CallToolResult:
        facts = handle.model_dump(by_alias=True)
        while facts["status"] in ("working", "input_required"):
            await anyio.sleep(0.05)
            facts = await asked(ctx.session, "tasks/get", facts["taskId"])
        return CallToolResult.model_validate(facts["result"], by_name=False)

    async def _hear(self, news: News) -> None:
        self.told.append(news.model_dump(by_alias=True))


async def asked(session: Any, method: str, task_id: str, **more: Any) -> dict[str, Any]:
    """The answer to one of the extension's requests."""
    request: Any = Request[dict[str, Any], str](method=method, params={"taskId": task_id, **more})
    answer: dict[str, Any] = await session.send_request(request, TypeAdapter(dict[str, Any]))
    return answer


async def handle_of(desk: Desk, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a call is answered with by a server that gives handles."""
    answer = await desk.client.session.call_tool(tool, arguments, allow_claimed=True)
    assert isinstance(answer, Handle), answer
    return answer.model_dump(by_alias=True, exclude_none=True)


async def until(desk: Desk, task_id: str, *statuses: str) -> dict[str, Any]:
    """The handle, once it stands so."""
    with anyio.fail_after(10):
        while True:
            facts = await asked(desk.client.session, "tasks/get", task_id)
            if facts["status"] in statuses:
                return facts
            await anyio.sleep(0.02)  # as a client does it


async def heard(true: Callable[[], bool]) -> None:
    """Wait until the client has been told something."""
    with anyio.fail_after(10):
        while not true():  # noqa: ASYNC110 - a list of what was told has no event
            await anyio.sleep(0.02)


async def standing(desk: Desk, task_id: str, state: str) -> Task:
    """The task, once its record says so."""
    with anyio.fail_after(10), desk.engine.feed.watch(task_id) as watch:
        while (task := await desk.task(task_id)).state != state:
            await watch.changed()
    return task

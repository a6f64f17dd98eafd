"""Northstar as the core wants it (`tasks/ports.py`, `Agent`), over the Lightcone client.

It says what Lightcone said and decides nothing.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Self

from northstar_mcp.errors import NoReattach, TimedOut, Unavailable, UnreadableReply
from northstar_mcp.lightcone.client import LightconeClient
from northstar_mcp.lightcone.params import StartParams
from northstar_mcp.lightcone.pictures import screen_of
from northstar_mcp.lightcone.streams import TaskStream
from northstar_mcp.lightcone.translate import happening_of, observe
from northstar_mcp.lightcone.words import line_of, one_line
from northstar_mcp.tasks.model import EventType, Identified, Json, Observation, Screen, TaskRequest, UpstreamStatus
from northstar_mcp.tasks.states import Happening

_PICTURE_FIELDS: Final = (
    "base64",
    "screenshot_base64",
    "image",
    "image_data",
    "screenshot",
    "data",
    "screenshot_url",
    "url",
    "image_url",
)


class SecondTask(NoReattach):
    """Lightcone took the repeated start for a new one: another task runs now, and somebody must stop it.

    Attributes:
        second_task_id: Lightcone's id of the task that nobody asked for.
    """

    def __init__(self, second_task_id: str) -> None:
        shown = one_line(second_task_id, limit=120)
        super().__init__(f"Reattaching by POST started a second task, {shown}, instead of reopening the stream.")
        self.second_task_id: str | None = second_task_id


class AgentStream:
    """An open stream, in the core's words.

    Args:
        expected_task_id: Where given, a frame that names another task ends the stream with SecondTask.
    """

    def __init__(self, stream: TaskStream, *, expected_task_id: str | None = None) -> None:
        self._stream = stream
        self._expected_task_id = expected_task_id
        self._reply = stream.reply

    @property
    def northstar_task_id(self) -> str | None:
        return self._stream.task_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Observation:
        if self._reply is not None:
            reply, self._reply = self._reply, None
            return _started_without_stream(reply, self._stream.task_id)
        observation = observe(await anext(self._stream))
        named = observation.northstar_task_id
        if self._expected_task_id is not None and named not in (None, self._expected_task_id):
            raise SecondTask(str(named))
        return observation


class LightconeAgent:
    """Fulfils `tasks.ports.Agent`. The client is opened and closed by whoever made it."""

    def __init__(self, client: LightconeClient) -> None:
        self._client = client

    def check_ready(self) -> None:
        self._client.check_ready()

    def start(self, request: TaskRequest, *, idempotency_key: str) -> AbstractAsyncContextManager[AgentStream]:
        return self._start(request, idempotency_key)

    @asynccontextmanager
    async def _start(self, request: TaskRequest, idempotency_key: str) -> AsyncIterator[AgentStream]:
        params = StartParams.of(request, idempotency_key=idempotency_key)
        async with self._client.stream_task(params, once=True) as stream:
            yield AgentStream(stream)

    def reattach(
        self, request: TaskRequest, *, northstar_task_id: str, idempotency_key: str, after: str | None
    ) -> AbstractAsyncContextManager[AgentStream]:
        if self._client.reattach == "post":
            return self._reattach_by_post(request, northstar_task_id, idempotency_key, after)
        return self._reattach_by_get(northstar_task_id, after)

    @asynccontextmanager
    async def _reattach_by_get(self, northstar_task_id: str, after: str | None) -> AsyncIterator[AgentStream]:
        if self._client.reattach == "off":
            raise NoReattach("No way back into a stream is configured.", sent=False)
        async with self._client.follow_task(northstar_task_id, after=after) as stream:
            if stream.reply is not None:
                raise NoReattach("Lightcone answered with JSON where a stream was hoped for.")
            yield AgentStream(stream)

    @asynccontextmanager
    async def _reattach_by_post(
        self, request: TaskRequest, northstar_task_id: str, idempotency_key: str, after: str | None
    ) -> AsyncIterator[AgentStream]:
        params = StartParams.of(request, idempotency_key=idempotency_key)
        async with self._client.stream_task(params, after=after) as stream:
            if stream.task_id not in (None, northstar_task_id):
                raise SecondTask(str(stream.task_id))
            if stream.reply is not None:
                raise NoReattach("Lightcone knows the task and answered without a stream.")
            yield AgentStream(stream, expected_task_id=northstar_task_id)

    async def identify(self, request: TaskRequest, *, idempotency_key: str) -> Identified:
        started = await self._client.start_task(StartParams.of(request, idempotency_key=idempotency_key), once=True)
        return Identified(northstar_task_id=started.task_id, reused=started.reused)

    async def status(self, northstar_task_id: str) -> UpstreamStatus:
        status = await self._client.retrieve_status(northstar_task_id)
        return UpstreamStatus(
            word=status.status,
            happening=happening_of(status.status, exit_code=status.exit_code),
            exit_code=status.exit_code,
            result=status.result if isinstance(status.result, str) else (line_of(status.result, limit=100_000) or None),
            error=line_of(status.error) or None,
            computer_id=status.computer_id,
        )

    async def pause(self, northstar_task_id: str) -> str:
        return (await self._client.pause(northstar_task_id)).status

    async def resume(self, northstar_task_id: str) -> str:
        return (await self._client.resume(northstar_task_id)).status

    async def inject(self, northstar_task_id: str, message: str) -> str:
        return (await self._client.inject_message(northstar_task_id, message)).status

    async def end_computer(self, computer_id: str) -> None:
        await self._client.delete_computer(computer_id)

    async def look(self, computer_id: str) -> Screen:
        shot = await self._client.screenshot(computer_id, base64=True)
        if not shot.succeeded:
            why = one_line(shot.error_message or shot.status, limit=200)
            kind = TimedOut if "timeout" in why.lower() or "timed out" in why.lower() else Unavailable
            raise kind(f"The computer could not take a screenshot: {why}")
        screen = _picture_in(shot.result or {})
        return await self._client.fetch_screen(screen.url) if screen.url is not None else screen

    async def fetch(self, url: str) -> Screen:
        return await self._client.fetch_screen(url)


def _picture_in(result: Mapping[str, Json]) -> Screen:
    """The picture in an action's result: `screenshot_url` is documented, the name of the base64 field is not."""
    for name in _PICTURE_FIELDS:
        value = result.get(name)
        if isinstance(value, str) and (screen := _screen_or_path(value)) is not None:
            return screen
    raise UnreadableReply("Lightcone's reply to the screenshot holds no picture.")


def _screen_or_path(value: str) -> Screen | None:
    return Screen(url=value) if value.startswith("/") and len(value) < 4096 else screen_of(value)


def _started_without_stream(reply: Mapping[str, Json], task_id: str | None) -> Observation:
    return Observation(
        type=EventType.STARTED,
        text="Northstar started; Lightcone sent no stream.",
        happening=Happening.STARTED,
        northstar_task_id=task_id,
        payload=reply,
    )

"""The Lightcone API, one method per operation: agent tasks, and what of the computers API a task needs.

    async with LightconeClient(api_key=key) as lightcone:
        params = StartParams(instruction="Open example.com", idempotency_key="job-1")
        async with lightcone.stream_task(params) as stream:
            async for received in stream:
                print(received.event)

Every method raises an error of `northstar_mcp.errors` or returns a value; every error says whether asking again can
help. This file knows paths and bodies. Sending, retrying and the key are in transport.py; nothing here reads the
environment.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import random as roll
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias
from urllib.parse import quote

import anyio
import httpx

from northstar_mcp.errors import Conflict, InvalidRequest, UnreadableReply, WrongState
from northstar_mcp.lightcone.failures import words_of
from northstar_mcp.lightcone.params import ComputerParams, MessageParams, ScreenshotParams, StartParams
from northstar_mcp.lightcone.replies import Acknowledged, ActionResult, Computer, StartedTask, TaskStatus, read_answer
from northstar_mcp.lightcone.retries import Again
from northstar_mcp.lightcone.screens import ScreenFetcher
from northstar_mcp.lightcone.streams import TaskStream
from northstar_mcp.lightcone.transport import Call, Transport
from northstar_mcp.lightcone.words import from_html, one_line
from northstar_mcp.tasks.model import Json, Screen

DEFAULT_BASE_URL: Final = "https://api.tzafon.ai"

Reattach: TypeAlias = Literal["off", "get", "post"]


class LightconeClient:
    """An asynchronous client of the Lightcone API. An async context manager; one per key.

    Args:
        api_key: Sent as a bearer token to `base_url` and nowhere else. Without one, every call raises KeyMissing.
        base_url: Where Lightcone is.
        timeout_seconds: For each single attempt of a call that is no stream.
        connect_timeout_seconds: For making a connection.
        max_retries: Attempts beyond the first, with growing pauses; see retries.py for what is retried.
        extra_headers: Sent with every call. `Authorization`, `Accept` and `Content-Type` stay ours.
        reattach: How a broken stream may be reopened. Lightcone documents that it can be and not how: "get" tries a
            path that can do no harm; "post" repeats the start under its key, which may start a second task where keys
            are not honoured.
        stream_read_timeout_seconds: How long a stream may send no byte at all. Lightcone pings every 20 s.
        screen_hosts: Patterns such as "*.tzafon.ai" of hosts from which pictures may be fetched; None for Tzafon's
            own. The host of `base_url` is always allowed.
        censor: Takes out of a text of Lightcone's what nobody shall read, beyond the key: errors quote such texts.
        trust_env: Whether httpx may read the environment for proxies and certificates (HTTPS_PROXY, SSL_CERT_FILE).
        sleep: Waits between attempts.
        random: Dice for the jitter of these pauses, from [0, 1).
    """

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str = DEFAULT_BASE_URL,
        timeout_seconds: float = 60.0,
        connect_timeout_seconds: float = 5.0,
        max_retries: int = 2,
        extra_headers: Mapping[str, str] | None = None,
        reattach: Reattach = "off",
        stream_read_timeout_seconds: float = 90.0,
        screen_hosts: frozenset[str] | None = None,
        trust_env: bool = False,
        censor: Callable[[str], str] | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        random: Callable[[], float] = roll,
    ) -> None:
        self.reattach: Final = reattach
        self._stream_read_timeout_seconds = stream_read_timeout_seconds
        self._transport = Transport(
            api_key=api_key,
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
            max_retries=max_retries,
            extra_headers=extra_headers or {},
            trust_env=trust_env,
            censor=censor,
            sleep=sleep,
            random=random,
        )
        self._screens = ScreenFetcher(base_url=base_url, hosts=screen_hosts)

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.close()

    def check_ready(self) -> None:
        """Raises KeyMissing, or KeyRejected once Lightcone has answered 401: this client sends nothing more."""
        self._transport.check_ready()

    # Agent tasks

    async def start_task(self, params: StartParams, *, once: bool = False) -> StartedTask:
        """Start a task without a stream. Retried only under an idempotency key; without one, sent exactly once.

        Args:
            once: Never send it again, also under a key: the answer is that of the first attempt, or there is none.
        """
        call = self._start("/agent/tasks", params)
        reply = await self._transport.send(replace(call, again=Again.NEVER) if once else call)
        return read_answer(StartedTask, reply.value)

    @asynccontextmanager
    async def stream_task(
        self, params: StartParams, *, after: str | None = None, once: bool = False
    ) -> AsyncIterator[TaskStream]:
        """Start a task and open its stream (with `after`: from behind that frame). Leaving ends the stream only.

        Args:
            once: Send it again only where it certainly was not carried out. A start that is repeated under its key finds the task that
                runs, and its stream may lack what came before.
        """
        call = self._start("/agent/tasks/stream", params, accept="text/event-stream", after=after)
        call = replace(call, again=Again.UNDONE) if once else call
        async with self._transport.stream(call) as response, await self._stream_of(response) as stream:
            yield stream

    @asynccontextmanager
    async def follow_task(self, task_id: str, *, after: str | None = None) -> AsyncIterator[TaskStream]:
        """Open the stream of a running task by GET: a guess at an undocumented path, which can do no harm."""
        call = Call(
            method="GET",
            path=_path("/agent/tasks/{}/stream", task_id),
            again=Again.HARMLESS,
            accept="text/event-stream",
            headers=_last_event_id(after),
            read_timeout_seconds=self._stream_read_timeout_seconds,
        )
        async with self._transport.stream(call) as response, await self._stream_of(response) as stream:
            yield stream

    async def retrieve_status(self, task_id: str) -> TaskStatus:
        """How the task is going: a word and perhaps an exit code. The answer is on the stream only."""
        call = Call(method="GET", path=_path("/agent/tasks/{}", task_id), again=Again.HARMLESS)
        return read_answer(TaskStatus, (await self._transport.send(call)).value)

    async def inject_message(self, task_id: str, message: str) -> Acknowledged:
        """Say something to the running agent. Sent again only where it certainly did not arrive."""
        body = MessageParams(message=message).encoded()
        return await self._steer(
            Call(method="POST", path=_path("/agent/tasks/{}/messages", task_id), again=Again.UNSENT, body=body)
        )

    async def pause(self, task_id: str) -> Acknowledged:
        """Pause the task."""
        return await self._steer(
            Call(method="POST", path=_path("/agent/tasks/{}/pause", task_id), again=Again.HARMLESS)
        )

    async def resume(self, task_id: str) -> Acknowledged:
        """Let a paused task go on."""
        return await self._steer(
            Call(method="POST", path=_path("/agent/tasks/{}/resume", task_id), again=Again.HARMLESS)
        )

    # Computers

    async def create_computer(self, params: ComputerParams) -> Computer:
        """Make a computer. Sent exactly once: the call has no idempotency key, and each computer costs."""
        call = Call(method="POST", path="/computers", again=Again.NEVER, body=params.encoded())
        return read_answer(Computer, (await self._transport.send(call)).value)

    async def retrieve_computer(self, computer_id: str) -> Computer:
        """A computer and its state."""
        call = Call(method="GET", path=_path("/computers/{}", computer_id), again=Again.HARMLESS)
        return read_answer(Computer, (await self._transport.send(call)).value)

    async def screenshot(
        self, computer_id: str, *, base64: bool | None = None, tab_id: str | None = None
    ) -> ActionResult:
        """A picture of the screen. Look at `succeeded`: a failed action is a 200 as well."""
        params = ScreenshotParams(base64=base64, tab_id=tab_id)
        path = _path("/computers/{}/screenshot", computer_id)
        call = Call(method="POST", path=path, again=Again.HARMLESS, body=params.encoded())
        return read_answer(ActionResult, (await self._transport.send(call)).value)

    async def delete_computer(self, computer_id: str) -> None:
        """Terminate a computer, and whatever runs on it.

        Raises:
            NotFound: If there was none.
        """
        path = _path("/computers/{}", computer_id)
        await self._transport.send(Call(method="DELETE", path=path, again=Again.HARMLESS, accept="*/*", deletes=True))

    async def fetch_screen(self, url: str) -> Screen:
        """The bytes of a picture that an event or a screenshot pointed to. Sent without the key."""
        return await self._screens.fetch(url)

    def _start(
        self, path: str, params: StartParams, *, accept: str = "application/json", after: str | None = None
    ) -> Call:
        streams = accept != "application/json"
        return Call(
            method="POST",
            path=path,
            again=Again.HARMLESS if params.idempotency_key else Again.NEVER,
            body=params.encoded(),
            accept=accept,
            headers=_last_event_id(after),
            read_timeout_seconds=self._stream_read_timeout_seconds if streams else None,
        )

    async def _steer(self, call: Call) -> Acknowledged:
        try:
            reply = await self._transport.send(call)
        except Conflict as error:
            # No key is in play here: Lightcone can only mean the task's state.
            raise WrongState(error.message) from error
        return read_answer(Acknowledged, reply.value)

    async def _stream_of(self, response: httpx.Response) -> TaskStream:
        """The stream that a success holds, or the plain reply that came in its place."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not (kind.endswith("json") or kind == "text/html"):
            return TaskStream(response)
        body = await self._transport.read(response)
        if kind == "text/html":
            words = self._transport.censored(from_html(body))
            raise UnreadableReply(f"Lightcone answered with a web page instead of a stream: {words}")
        reply: Json = self._transport.parse(body, response)
        if isinstance(reply, dict) and isinstance(reply.get("task_id"), str) and reply["task_id"]:
            return TaskStream(response, reply=reply)
        words = self._transport.censored(words_of(reply) or one_line(body))
        raise UnreadableReply(f"Lightcone answered with JSON instead of a stream: {words}")


def _path(template: str, name: str) -> str:
    """The path with the id in it, percent-encoded.

    Raises:
        InvalidRequest: If the id is empty, too long, or would lead to another path.
    """
    if not name.strip():
        raise InvalidRequest("The id must not be empty.", sent=False)
    if name in (".", "..") or len(name) > 512:
        raise InvalidRequest(f'"{one_line(name, limit=60)}" cannot be an id.', sent=False)
    return template.format(quote(name, safe="", errors="replace"))


def _last_event_id(after: str | None) -> dict[str, str]:
    # A header cannot carry control characters. Without the header the stream begins anew, and the core drops what it
    # has.
    return {"Last-Event-ID": after} if after and after.isprintable() else {}

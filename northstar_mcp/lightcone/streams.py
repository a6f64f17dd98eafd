"""An open event stream: frames off the connection, read as events.

The stream ends when Lightcone closes it. A break is raised, but only after every whole frame that came before it was
delivered; the core decides what a break means.
"""

from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self, cast

import httpx

from northstar_mcp.errors import Disconnected, NorthstarError, TimedOut
from northstar_mcp.lightcone import failures
from northstar_mcp.lightcone.events import Received, read_event
from northstar_mcp.lightcone.frames import Frame, FrameParser
from northstar_mcp.tasks.model import Json


class TaskStream:
    """Iterate it for what arrives.

    Attributes:
        task_id: Lightcone's id of the task, where the reply's `X-Task-ID` header or its JSON body gave it.
        reply: The JSON object that came instead of a stream (a start's plain reply); None for a stream.
    """

    def __init__(self, response: httpx.Response, *, reply: dict[str, Json] | None = None) -> None:
        self.reply = reply
        named = reply.get("task_id") if reply is not None else None
        self.task_id: str | None = response.headers.get("x-task-id") or (
            named if isinstance(named, str) and named else None
        )
        self._parser = FrameParser()
        self._ready: deque[Frame] = deque()
        self._chunks = None if reply is not None else cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
        self._break: NorthstarError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received:
        while True:
            while self._ready:
                if (received := read_event(self._ready.popleft())) is not None:
                    return received
            if self._chunks is None:
                if self._break is not None:
                    raise self._break
                raise StopAsyncIteration
            await self._read()

    async def _read(self) -> None:
        """One more piece of the stream, or its end."""
        if self._chunks is None:
            return
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            pass
        except httpx.TimeoutException as error:
            self._break = TimedOut("Lightcone's stream fell silent: not even a ping came.")
            self._break.__cause__ = error
        except httpx.DecodingError as error:
            self._break = Disconnected("Lightcone's stream is damaged: it cannot be decompressed.")
            self._break.__cause__ = error
        except (httpx.HTTPError, httpx.StreamError) as error:
            self._break = (
                failures.failure(error)
                if isinstance(error, httpx.HTTPError)
                else Disconnected("The stream was closed.")
            )
            self._break.__cause__ = error
        else:
            self._ready.extend(self._parser.feed(chunk))
            return
        self._chunks = None
        self._ready.extend(self._parser.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._chunks is not None:
            chunks, self._chunks = self._chunks, None
            await chunks.aclose()

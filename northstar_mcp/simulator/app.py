"""The HTTP surface: every route of the simulator, and nothing that decides.

`create_app` is the whole of it. Routes of the API need a key; screenshot URLs carry their signature; `/_simulator/…` is
for tests and is open to whoever reaches the port.
"""

import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from northstar_mcp.simulator.computers import Computer
from northstar_mcp.simulator.dialect import Reattach, TaskIdPlace
from northstar_mcp.simulator.faults import FaultInjection, Faults
from northstar_mcp.simulator.frames import Frame
from northstar_mcp.simulator.journal import Journal
from northstar_mcp.simulator.own_routes import OwnRoutes
from northstar_mcp.simulator.pages import Kind
from northstar_mcp.simulator.refusals import Refused, invalid, invalid_token, not_found, problem, unrouted, wrong_method
from northstar_mcp.simulator.requests import computer_of, message_of, read_words, screenshot_of
from northstar_mcp.simulator.settings import SimulatorSettings
from northstar_mcp.simulator.shots import Shot, Signature
from northstar_mcp.simulator.simulation import Simulation
from northstar_mcp.simulator.tasks import AgentTask

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(
    settings: SimulatorSettings | None = None, *, journal: Journal | None = None, faults: Faults | None = None
) -> Starlette:
    """A Lightcone stand-in as an ASGI app. Give a journal or faults to hold on to them in process."""
    return app_of(Simulation(settings or SimulatorSettings(), journal=journal, faults=faults))


def app_of(simulation: Simulation) -> Starlette:
    """The routes over a simulation, which the app's lifespan opens and closes."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with simulation.opened():
            yield

    return Starlette(
        routes=[
            *_TaskRoutes(simulation).routes(),
            *_ComputerRoutes(simulation).routes(),
            *OwnRoutes(simulation).routes(),
        ],
        middleware=[Middleware(FaultInjection, faults=simulation.faults, journal=simulation.journal)],
        exception_handlers={Refused: problem, 404: unrouted, 405: wrong_method},
        lifespan=lifespan,
    )


def _guarded(simulation: Simulation, endpoint: Endpoint) -> Endpoint:
    """The endpoint, for callers with a key only."""
    accepted = simulation.settings.accepted_keys

    async def with_key(request: Request) -> Response:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        good = key.startswith("sk_") if accepted is None else key in accepted
        if scheme.lower() != "bearer" or not good:
            raise invalid_token()
        return await endpoint(request)

    return with_key


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


class _TaskRoutes:
    """/agent/tasks and below."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._dialect = simulation.settings.dialect

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Endpoint]] = [
            ("POST", "/agent/tasks", self._start),
            ("POST", "/agent/tasks/stream", self._start_stream),
            ("GET", "/agent/tasks/{id}", self._status),
            ("POST", "/agent/tasks/{id}/messages", self._message),
            ("POST", "/agent/tasks/{id}/pause", self._pause),
            ("POST", "/agent/tasks/{id}/resume", self._resume),
        ]
        if self._dialect.reattach is Reattach.GET:
            table.append(("GET", "/agent/tasks/{id}/stream", self._reattach))
        return [Route(path, _guarded(self._simulation, endpoint), methods=[method]) for method, path, endpoint in table]

    async def _started(self, request: Request, *, streamed: bool) -> tuple[AgentTask, bool]:
        words = await read_words(request)
        return self._simulation.start(
            words,
            streamed=streamed,
            resuming=streamed and ("last-event-id" in request.headers or "from" in request.query_params),
            headers=dict(request.headers),
            base_url=_base_url(request),
        )

    async def _start(self, request: Request) -> Response:
        task, reused = await self._started(request, streamed=False)
        body: dict[str, object] = {"status": task.status, "task_id": task.id}
        if task.start.idempotency_key:
            body |= {"idempotency_key": task.start.idempotency_key, "reused": reused}
        return JSONResponse(body)

    async def _start_stream(self, request: Request) -> Response:
        """A new task's stream; for a known key, a replay, or `started` and what comes (see Dialect)."""
        task, reused = await self._started(request, streamed=True)
        if not reused:
            return self._stream(task, after=0)
        if self._dialect.reattach is Reattach.POST:
            return self._stream(task, after=_last_seen(request))
        return self._stream(task, after=task.frames.last_id, again=task.frames.first)

    async def _reattach(self, request: Request) -> Response:
        task = self._simulation.tasks.get(request.path_params["id"])
        return self._stream(task, after=_last_seen(request))

    def _stream(self, task: AgentTask, *, after: int, again: Frame | None = None) -> Response:
        if task.stream_gone:
            raise not_found()
        frames = self._simulation.stream(task, after=after)
        if again is not None and again.type == "started":
            frames = _preceded(again.encoded, frames)
        headers = {"cache-control": "no-cache"}
        if self._dialect.task_id is TaskIdPlace.HEADER:
            headers["x-task-id"] = task.id
        return StreamingResponse(frames, headers=headers, media_type="text/event-stream")

    async def _status(self, request: Request) -> Response:
        return JSONResponse(self._simulation.tasks.get(request.path_params["id"]).describe())

    async def _message(self, request: Request) -> Response:
        body = message_of(await read_words(request))
        task = self._simulation.steered(request.path_params["id"])
        if task is not None:
            task.message(body.message)
        return JSONResponse({"status": "injected"})

    async def _pause(self, request: Request) -> Response:
        task = self._simulation.steered(request.path_params["id"])
        if task is not None:
            task.pause()
        return JSONResponse({"status": "paused"})

    async def _resume(self, request: Request) -> Response:
        task = self._simulation.steered(request.path_params["id"])
        if task is not None:
            task.resume()
        return JSONResponse({"status": "running"})


async def _preceded(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _last_seen(request: Request) -> int:
    """`Last-Event-ID: n` means after frame n, `?from=n` means frame n and what follows."""
    last, first = request.headers.get("last-event-id"), request.query_params.get("from")
    try:
        if last is not None:
            return max(int(last), 0)
        return max(int(first) - 1, 0) if first is not None else 0
    except ValueError:
        raise invalid("Last-Event-ID and from are numbers of frames") from None


class _ComputerRoutes:
    """/computers and below, and the pictures."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._computers = simulation.computers

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Endpoint]] = [
            ("POST", "/computers", self._create),
            ("GET", "/computers", self._list),
            ("GET", "/computers/{id}", self._retrieve),
            ("DELETE", "/computers/{id}", self._delete),
            ("GET", "/computers/{id}/status", self._retrieve),
            ("POST", "/computers/{id}/keepalive", self._keepalive),
            ("POST", "/computers/{id}/screenshot", self._screenshot),
        ]
        guarded = [
            Route(path, _guarded(self._simulation, endpoint), methods=[method]) for method, path, endpoint in table
        ]
        return [*guarded, Route("/screens/{id}.png", self._picture, methods=["GET"])]

    def _computer(self, request: Request) -> Computer:
        return self._computers.get(request.path_params["id"])

    async def _create(self, request: Request) -> Response:
        computer = self._simulation.create_computer(computer_of(await read_words(request)))
        return JSONResponse(computer.describe("ready"))

    async def _list(self, request: Request) -> Response:
        live = [computer.describe("RUNNING") for computer in self._computers.live.values()]
        saved = [
            {"id": saved.id, "kind": str(saved.kind), "status": "SAVED"} for saved in self._computers.saved.values()
        ]
        match request.query_params.get("type"):
            case "persistent":
                return JSONResponse(saved)
            case _:
                return JSONResponse(live)

    async def _retrieve(self, request: Request) -> Response:
        return JSONResponse(self._computer(request).describe("RUNNING"))

    async def _delete(self, request: Request) -> Response:
        self._simulation.delete_computer(request.path_params["id"])
        return Response(status_code=204)

    async def _keepalive(self, request: Request) -> Response:
        computer = self._computer(request)
        computer.touch()
        return JSONResponse(computer.describe("RUNNING"))

    async def _screenshot(self, request: Request) -> Response:
        body = screenshot_of(await read_words(request))
        computer = self._computer(request)
        computer.touch()
        shots = self._simulation.shots
        shot_id = shots.add(Shot(computer.page, computer.width, computer.height))
        if body.base64:
            result = {"base64": base64.b64encode(await shots.png(shot_id) or b"").decode(), "mime_type": "image/png"}
        else:
            result = {"screenshot_url": shots.signed_url(_base_url(request), shot_id)}
        return JSONResponse(_action_result(computer, result))

    async def _picture(self, request: Request) -> Response:
        shots, shot_id, query = self._simulation.shots, request.path_params["id"], request.query_params
        worth = shots.check(shot_id, query.get("expires", ""), query.get("signature", ""))
        if worth is not Signature.GOOD:
            return PlainTextResponse(
                "Request has expired" if worth is Signature.EXPIRED else "Signature does not match", 403
            )
        picture = await shots.png(shot_id)
        if picture is None:
            raise not_found()
        return Response(picture, media_type="image/png", headers={"cache-control": "private, max-age=60"})


def _action_result(computer: Computer, result: dict[str, str]) -> dict[str, object]:
    """As every action on a computer answers; a desktop has no page."""
    page = computer.page
    context = {
        "url": page.url,
        "title": page.title,
        "viewport_width": computer.width,
        "viewport_height": computer.height,
        "is_main_tab": True,
    }
    return {
        "status": "SUCCESS",
        "result": result,
        "error_message": None,
        "page_context": context if computer.kind is Kind.BROWSER else None,
        "request_id": f"req_{secrets.token_hex(8)}",
        "timestamp": datetime.now(UTC).isoformat(),
    }

"""What the API does, without HTTP: start tasks, steer them, keep computers.

One `Simulation` owns all state and the task group in which agents run; app.py's lifespan opens and closes it. Raises
`Refused`.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

import anyio
from anyio.abc import TaskGroup

from northstar_mcp.simulator.agent import Agent
from northstar_mcp.simulator.computers import Computer, Computers, Saved
from northstar_mcp.simulator.dialect import AfterEnd, Reattach, Switch, TaskIdPlace
from northstar_mcp.simulator.faults import Faults
from northstar_mcp.simulator.journal import Journal
from northstar_mcp.simulator.pages import Kind
from northstar_mcp.simulator.refusals import conflict, invalid, not_found
from northstar_mcp.simulator.requests import ComputerBody, JsonObject, StartBody, start_of
from northstar_mcp.simulator.settings import SimulatorSettings
from northstar_mcp.simulator.shots import Shots
from northstar_mcp.simulator.tasks import SESSION_EXPIRED, AgentTask, Ending, Tasks

logger = logging.getLogger(__name__)


class Simulation:
    """All there is in one simulator."""

    def __init__(
        self, settings: SimulatorSettings, *, journal: Journal | None = None, faults: Faults | None = None
    ) -> None:
        self.settings = settings
        self.journal = journal or Journal(kept=settings.kept_journal_entries)
        self.faults = faults or Faults()
        self.tasks = Tasks(kept=settings.kept_tasks)
        self.computers = Computers(live_at_most=settings.max_computers, kept_saved=settings.kept_computers)
        self.shots = Shots(kept=settings.kept_screens, valid_seconds=settings.scaled(settings.screenshot_url_seconds))
        self._group: TaskGroup | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Agents run inside this block; leaving it ends them and their streams."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield self
            finally:
                self._group = None
                self.close_streams()
                group.cancel_scope.cancel()

    def close_streams(self) -> None:
        """End every open stream, so that a server can close its connections."""
        for task in self.tasks:
            task.frames.close(orderly=False)

    def start(
        self, words: JsonObject, *, streamed: bool, resuming: bool, headers: Mapping[str, str], base_url: str
    ) -> tuple[AgentTask, bool]:
        """Start a task, or find the one that the same key started; True where it was found.

        `resuming`: the caller names the frame it saw last, so it means a stream that it already had.
        """
        body = start_of(words)
        realm = self._realm(streamed=streamed)
        task = self._known(body, realm, streamed=streamed, resuming=resuming)
        reused = task is not None
        if task is None:
            task = self._begin(body, realm=realm, base_url=base_url)
        self.journal.started(
            task.id,
            operation="start_stream" if streamed else "start",
            idempotency_key=body.idempotency_key,
            reused=reused,
            body=words,
            headers=headers,
        )
        return task, reused

    def _realm(self, *, streamed: bool) -> str:
        apart = self.settings.dialect.shared_keys is Switch.NO
        return "stream" if apart and streamed else "tasks"

    def _known(self, body: StartBody, realm: str, *, streamed: bool, resuming: bool) -> AgentTask | None:
        dialect = self.settings.dialect
        reattaching = resuming and dialect.reattach is Reattach.POST
        if streamed and dialect.idempotent_stream is Switch.NO and not reattaching:
            return None
        return self.tasks.with_key(realm, body.idempotency_key)

    def _begin(self, body: StartBody, *, realm: str, base_url: str) -> AgentTask:
        if self._group is None:
            raise RuntimeError("the simulation is not open: its app needs a lifespan")
        self.tasks.make_room()
        computer, owned = self._computer_for(body)
        task = AgentTask(
            f"task_{secrets.token_hex(12)}",
            start=body,
            computer=computer,
            owns_computer=owned,
            base_url=base_url,
            settings=self.settings,
            journal=self.journal,
        )
        computer.task_id = task.id
        self.tasks.add(task, realm=realm, key=body.idempotency_key)
        self._group.start_soon(self._run, task, name=f"agent {task.id}")
        return task

    async def _run(self, task: AgentTask) -> None:
        try:
            await Agent(task, settings=self.settings, shots=self.shots).run()
        except Exception as error:
            # A fault of the script must fail one task, not the whole simulator.
            logger.exception("the scripted agent of %s broke", task.id)
            frame = {"type": "failed", "error_code": "exec_failed", "retryable": False, "error": repr(error)}
            task.end(Ending(status="failed", frame=frame))
        if task.over:
            self._leave_computer(task)

    def _leave_computer(self, task: AgentTask) -> None:
        computer = task.computer
        computer.task_id = None
        kept = task.start.kept_alive
        if not (kept if kept is not None else not task.owns_computer):
            self.computers.end(computer)

    def _computer_for(self, body: StartBody) -> tuple[Computer, bool]:
        """The computer that a task runs on, and whether the task brought it up."""
        computer, owned = self._found_computer(body)
        if computer.task_id is not None:
            raise conflict("another task is running on this computer")
        if body.start_url is not None and computer.kind is Kind.DESKTOP:
            raise invalid("start_url is only allowed for browser tasks")
        computer.persistent = computer.persistent or body.persistent or body.save_session
        return computer, owned

    def _found_computer(self, body: StartBody) -> tuple[Computer, bool]:
        if body.computer_id is None:
            saved = self._saved(body.environment_id) if body.environment_id is not None else None
            return self._created(body, saved), True
        if body.computer_id in self.computers.live:
            return self.computers.live[body.computer_id], False
        if body.on_missing_computer != "fail" and body.computer_id in self.computers.saved:
            return self.computers.restore(self.computers.saved[body.computer_id]), True
        if body.on_missing_computer == "create_new":
            return self._created(body, None), True
        raise not_found()

    def _created(self, body: StartBody, saved: Saved | None) -> Computer:
        return self.computers.create(
            kind=saved.kind if saved else body.kind_asked,
            width=body.viewport_width,
            height=body.viewport_height,
            persistent=body.persistent or body.save_session,
            origin=saved,
        )

    def _saved(self, environment_id: str) -> Saved:
        saved = self.computers.saved.get(environment_id)
        if saved is None:
            raise not_found()
        return saved

    def steered(self, task_id: str) -> AgentTask | None:
        """The task to pause, resume or talk to; None where it has ended and the dialect accepts that in silence."""
        task = self.tasks.get(task_id)
        if not task.over:
            return task
        match self.settings.dialect.after_end:
            case AfterEnd.CONFLICT:
                raise conflict("the task has ended")
            case AfterEnd.MISSING:
                raise not_found()
            case AfterEnd.ACCEPTED:
                return None

    def stream(self, task: AgentTask, *, after: int) -> AsyncIterator[bytes]:
        """The frames of a task after the given id, as long as they come."""
        dialect = self.settings.dialect
        named = {"task_id": task.id} if dialect.task_id is TaskIdPlace.FRAMES else {}
        ping = self.settings.scaled(self.settings.ping_seconds)
        return task.frames.follow(after=after, ping_seconds=ping, gap=named)

    def create_computer(self, body: ComputerBody) -> Computer:
        """A computer made by hand."""
        saved = self._saved(body.environment_id) if body.environment_id is not None else None
        return self.computers.create(
            kind=saved.kind if saved else body.kind,
            width=body.display.width,
            height=body.display.height,
            persistent=body.persistent,
            origin=saved,
        )

    def delete_computer(self, computer_id: str) -> None:
        """End a computer, and with it the task that runs on it."""
        computer = self.computers.get(computer_id)
        if computer.task_id is not None:
            task = self.tasks.get(computer.task_id)
            task.end(SESSION_EXPIRED)
            task.work.cancel()
            computer.task_id = None
        self.computers.end(computer)

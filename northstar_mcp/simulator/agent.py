"""The scripted agent: works through a script on a computer and tells it as frames.

Runs in the simulator's own task group, never in a request: a reader that leaves changes nothing. It obeys pause,
messages, `max_steps` and `max_duration_seconds` at step boundaries (the clock also within a step), and ends by
returning an `Ending`. What the brackets of an instruction demand is in hooks.py.
"""

import base64
import re
from collections import deque
from collections.abc import Iterable
from typing import Final

import anyio
import anyio.lowlevel

from northstar_mcp.simulator.dialect import ActionShape, OutOfSteps
from northstar_mcp.simulator.hooks import Interruption
from northstar_mcp.simulator.layout import lay_out
from northstar_mcp.simulator.pages import Kind, Page, page_after
from northstar_mcp.simulator.script import Script, Step, Verb, asks_to_stop, following, write_script
from northstar_mcp.simulator.settings import SimulatorSettings
from northstar_mcp.simulator.shots import Shot, Shots
from northstar_mcp.simulator.tasks import AgentTask, Ending

MODEL: Final = "tzafon.lightcone-1"
RETRYABLE: Final = frozenset({"session_expired", "exec_failed"})
TELLING: Final = frozenset({Verb.READ, Verb.SEARCH, Verb.VERIFY})


class Agent:
    """One run over one task."""

    def __init__(self, task: AgentTask, *, settings: SimulatorSettings, shots: Shots) -> None:
        self._task = task
        self._settings = settings
        self._shots = shots
        self._concise = task.start.stream_mode == "concise"
        self._script: Script = write_script(
            task.start.instruction,
            start_url=task.start.start_url,
            browser=task.computer.kind is Kind.BROWSER,
        )
        hooked = self._script.hooks.step_seconds
        self._half_step = (settings.step_seconds if hooked is None else hooked) / 2
        self._done: list[Step] = []

    async def run(self) -> None:
        """Work until an end is reached or the computer is gone, and write that end down."""
        task = self._task
        limit = task.start.max_duration_seconds
        seconds = None if limit is None else self._settings.scaled(limit)
        ending: Ending | None = None
        with task.work, anyio.move_on_after(seconds) as clock:
            ending = await self._work()
        if ending is None and clock.cancelled_caught:
            frame: dict[str, object] = {"type": "max_duration", "status": "max_duration", "max_duration_seconds": limit}
            ending = Ending(status="max_duration", frame=frame)
        if ending is not None:
            task.end(ending)

    async def _work(self) -> Ending:
        task = self._task
        task.emit("started", **self._introduction())
        queue = deque(self._script.steps)
        number = 0
        while True:
            await self._login(number + 1)
            await task.gate()
            if self._take_messages(queue):
                return self._completed(stopped=True)
            interruption = self._interruption(number + 1, last=not queue)
            if interruption is not None:
                return interruption
            if not queue:
                return self._completed()
            if task.start.max_steps is not None and number >= task.start.max_steps:
                return self._out_of_steps(number)
            number += 1
            await self._take(queue.popleft(), number, number + len(queue))

    def _introduction(self) -> dict[str, object]:
        start, computer = self._task.start, self._task.computer
        told: dict[str, object] = {
            "computer_id": computer.id,
            "model": start.model or MODEL,
            "kind": str(computer.kind),
        }
        told |= {} if start.max_steps is None else {"max_steps": start.max_steps}
        return told | ({"restored_from": computer.environment_id} if computer.environment_id else {})

    async def _take(self, step: Step, number: int, total: int) -> None:
        """One step: think, act, show."""
        task = self._task
        computer = task.computer
        page = page_after(computer.page, step, instruction=self._script.instruction, number=number, total=total)
        await self._think(step.thought, number)
        await anyio.sleep(self._half_step)
        self._mishaps(step, number)
        computer.page = page
        computer.touch()
        if not self._concise:
            task.emit("executed", step=number, action=self._action(step, page), description=page.caption)
        task.emit("screenshot", step=number, image=await self._image(page))
        task.steps_done = number
        self._done.append(step)
        task.emit("progress_update", state="working", step=number, steps=total, message=page.caption)
        await anyio.sleep(self._half_step)

    async def _think(self, thought: str, number: int) -> None:
        if self._task.start.stream_deltas:
            for piece in re.findall(r"\S+\s*", thought):
                self._task.emit("progress_update", state="thinking", **{str(self._settings.dialect.delta_field): piece})
                await anyio.lowlevel.checkpoint()
        if not self._concise:
            self._task.emit("thinking", step=number, content=thought)

    def _mishaps(self, step: Step, number: int) -> None:
        if number in self._script.hooks.errors_at:
            self._task.emit("error", step=number, error=f"{step.verb} did not work at the first try; trying again")
        if number in self._script.hooks.unknown_at:
            self._task.emit("weather_report", step=number, note="no document names this type")

    def _action(self, step: Step, page: Page) -> object:
        computer = self._task.computer
        layout = lay_out(page, computer.width, computer.height)
        x, y = (round(units * layout.scale) for units in layout.pointer(page))
        if self._settings.dialect.action is ActionShape.TEXT:
            return f"{step.verb}({x}, {y}) {step.what}".rstrip()
        action: dict[str, object] = {"type": str(step.verb), "x": x, "y": y}
        return action | ({"text": step.what} if step.what else {})

    async def _image(self, page: Page) -> str:
        shot_id = self._shots.add(Shot(page, self._task.computer.width, self._task.computer.height))
        if self._task.start.screenshot_mode == "url":
            return self._shots.signed_url(self._task.base_url, shot_id)
        picture = await self._shots.png(shot_id)
        return "data:image/png;base64," + base64.b64encode(picture or b"").decode()

    async def _login(self, number: int) -> None:
        if number not in self._script.hooks.logins_at:
            return
        page = self._task.computer.page
        self._task.emit(
            "login_required", url=page.url, message="Please sign in on the live view, then resume the task."
        )
        self._task.emit("computer_parked", computer_id=self._task.computer.id)
        self._task.pause()

    def _take_messages(self, queue: deque[Step]) -> bool:
        """Put what the messages ask for before the rest of the plan; True where one says to stop."""
        steps: list[Step] = []
        stop = False
        while self._task.inbox:
            message = self._task.inbox.popleft()
            self._task.picked_up.append(message)
            stop = stop or asks_to_stop(message)
            steps += following(message)
            if self._concise:
                self._task.emit("progress_update", state="message_received", message=steps[-2].thought)
        if stop and not self._concise:
            self._task.emit("thinking", step=self._task.steps_done, content=steps[-2].thought)
        queue.extendleft(reversed(steps))
        return stop

    def _interruption(self, number: int, *, last: bool) -> Ending | None:
        hooks = self._script.hooks
        if hooks.interruption is None or not (last or number == hooks.interruption_at):
            return None
        match hooks.interruption:
            case Interruption.FAIL:
                code = hooks.code or "exec_failed"
                words = f"Step {number} could not be carried out."
                frame = {"error_code": code, "retryable": code in RETRYABLE, "error": words}
                return Ending(status="failed", frame={"type": "failed", "status": "failed", **frame})
            case Interruption.CONFIG_ERROR:
                code = hooks.code or "model_not_found"
                return Ending(status="failed", frame={"type": "config_error", "error_code": code, "error": code})
            case Interruption.CANCELLED:
                return Ending(status="cancelled", frame={"type": "cancelled", "status": "cancelled"})
            case Interruption.CRASH:
                return Ending(status="failed", cut=True)
            case Interruption.WEDGE:
                return Ending(status="running")

    def _out_of_steps(self, number: int) -> Ending:
        frame: dict[str, object] = {"type": "max_steps", "status": "max_steps", "step": number, "max_steps": number}
        match self._settings.dialect.out_of_steps:
            case OutOfSteps.ENDS:
                return Ending(status="max_steps", frame=frame)
            case OutOfSteps.STATUS_RUNNING:
                return Ending(status="running", frame=frame)
            case OutOfSteps.SILENT:
                return Ending(status="running")

    def _completed(self, *, stopped: bool = False) -> Ending:
        result = self._script.hooks.result
        if result is None or stopped:
            result = self._report(stopped=stopped)
        frame: dict[str, object] = {"type": "completed", "status": "completed", "result": result}
        return Ending(status="completed", frame=frame)

    def _report(self, *, stopped: bool) -> str:
        """What was done, what was seen, which messages were followed."""
        page = self._task.computer.page
        opening = f"I stopped after step {self._task.steps_done}, as asked." if stopped else "Done."
        parts = [f"{opening} I {_joined(step.done for step in self._done)}." if self._done else opening]
        if any(step.verb in TELLING for step in self._done) and page.rows:
            seen = "; ".join(f"{row.title} ({row.value})" if row.value else row.title for row in page.rows[:3])
            parts.append(f"At the top of the page ({page.heading}) I saw: {seen}.")
        parts += [f"On your message “{message}”, I changed course." for message in self._task.picked_up if not stopped]
        parts.append(f"The screen now shows {page.url or page.title}.")
        return " ".join(parts)


def _joined(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last

"""/_simulator: what tests ask of the simulator itself. No client of Lightcone comes here, and no key is needed."""

from dataclasses import asdict
from typing import Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from northstar_mcp.simulator.faults import Fault
from northstar_mcp.simulator.refusals import invalid
from northstar_mcp.simulator.requests import read_words
from northstar_mcp.simulator.simulation import Simulation
from northstar_mcp.simulator.tasks import AgentTask

JOURNAL_PAGE: Final = 500
"""The newest entries of each kind that one reply shows; `counts` is always of everything."""


class OwnRoutes:
    """/_simulator: the journal, the tasks seen from inside, the faults."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[Route]:
        """Every one of them."""
        return [
            Route("/_simulator/journal", self._journal, methods=["GET"]),
            Route("/_simulator/tasks", self._tasks, methods=["GET"]),
            Route("/_simulator/faults", self._faults, methods=["GET"]),
            Route("/_simulator/faults", self._add_fault, methods=["POST"]),
            Route("/_simulator/faults", self._clear_faults, methods=["DELETE"]),
        ]

    async def _journal(self, _request: Request) -> Response:
        journal = self._simulation.journal
        frames = {
            task_id: [asdict(frame) for frame in kept] for task_id, kept in list(journal.frames.items())[-JOURNAL_PAGE:]
        }
        return JSONResponse(
            {
                "counts": dict(journal.counts),
                "starts": [asdict(start) for start in list(journal.starts)[-JOURNAL_PAGE:]],
                "calls": [asdict(call) for call in list(journal.calls)[-JOURNAL_PAGE:]],
                "frames": frames,
            }
        )

    async def _tasks(self, _request: Request) -> Response:
        return JSONResponse([_seen_from_inside(task) for task in self._simulation.tasks][-JOURNAL_PAGE:])

    async def _faults(self, _request: Request) -> Response:
        return JSONResponse(self._simulation.faults.describe())

    async def _add_fault(self, request: Request) -> Response:
        try:
            self._simulation.faults.add(Fault.model_validate(await read_words(request)))
        except (ValidationError, ValueError) as error:
            raise invalid(str(error)) from error
        return JSONResponse(self._simulation.faults.describe(), 201)

    async def _clear_faults(self, _request: Request) -> Response:
        self._simulation.faults.clear()
        return Response(status_code=204)


def _seen_from_inside(task: AgentTask) -> dict[str, object]:
    return {
        "task_id": task.id,
        "status": task.status,
        "over": task.over,
        "steps_done": task.steps_done,
        "computer_id": task.computer.id,
        "instruction": task.start.instruction[:2_000],
        "idempotency_key": task.start.idempotency_key,
        "metadata": task.start.metadata,
        "messages_waiting": list(task.inbox),
        "messages_picked_up": list(task.picked_up),
        "frames": task.frames.last_id,
        "result": task.result,
        "error": task.error,
    }

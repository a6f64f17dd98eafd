"""Ordered faults: what is replaced, delayed, cut; and that the rest stays as it is."""

import anyio
import httpx
import pytest

from northstar_mcp.simulator import Deed, Fault, Match

from .visitor import visiting

pytestmark = pytest.mark.anyio
INSTRUCTION = "Open example.com and read the heading"
STREAM = Match(method="POST", path="/agent/tasks/stream")


async def test_an_answer_is_replaced_as_often_as_ordered_and_nothing_is_started() -> None:
    async with visiting() as visitor:
        order = {
            "match": {"method": "POST", "path": "/agent/tasks"},
            "times": 2,
            "skip": 1,
            "do": {"status": 503, "body": {"title": "Service unavailable"}, "headers": {"Retry-After": "3"}},
        }
        assert (await visitor.post("/_simulator/faults", order)).status_code == 201
        answers = [await visitor.post("/agent/tasks", {"instruction": INSTRUCTION}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 503, 503, 200]
        assert answers[1].headers["retry-after"] == "3"
        assert answers[1].headers["content-type"] == "application/problem+json"
        assert visitor.journal.counts["tasks_started"] == 2
        assert [call.fault is not None for call in visitor.journal.calls] == [False, True, True, False]
        assert (await visitor.http.get("/_simulator/faults")).json()[0]["done"] == 2
        await visitor.http.delete("/_simulator/faults")
        assert (await visitor.http.get("/_simulator/faults")).json() == []


async def test_an_answer_may_be_replaced_after_the_work_was_done() -> None:
    async with visiting() as visitor:
        visitor.faults.add(Fault(match=Match(path="/agent/tasks*"), do=Deed(status=502, body="<html>", processed=True)))
        answer = await visitor.post("/agent/tasks/stream", {"instruction": INSTRUCTION})
        assert (answer.status_code, answer.text) == (502, "<html>")
        assert visitor.journal.counts["tasks_started"] == 1


@pytest.mark.parametrize(("drop", "started"), [("before_request", 0), ("before_response", 1)])
async def test_a_connection_is_dropped_before_the_answer(drop: str, started: int) -> None:
    async with visiting() as visitor:
        visitor.faults.add(Fault.model_validate({"do": {"drop": drop}}))
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending a response"):
            await visitor.post("/agent/tasks", {"instruction": INSTRUCTION})
        assert visitor.journal.counts["tasks_started"] == started
        assert (await visitor.http.get("/computers")).status_code == 200


async def test_a_stream_is_dropped_after_some_frames_while_the_task_goes_on() -> None:
    async with visiting() as visitor:
        visitor.faults.add(Fault(match=STREAM, do=Deed(drop="after_frames", count=3)))
        reading = await visitor.stream(f"{INSTRUCTION} [step_seconds=0.01]")
        assert (len(reading.frames), reading.broken) == (3, True)
        rest = await visitor.replay(reading.last["task_id"], after=3)
        assert rest.frames[0][0] == "4"
        assert rest.last["type"] == "completed"


async def test_a_delay_comes_before_the_answer() -> None:
    async with visiting() as visitor:
        visitor.faults.add(Fault(match=Match(method="GET"), do=Deed(delay_seconds=3600)))
        with pytest.raises(httpx.ReadTimeout):
            await visitor.http.get("/computers", timeout=0.05)
        visitor.faults.add(Fault(match=Match(method="GET"), do=Deed(delay_seconds=0.05)))
        asked_at = anyio.current_time()
        assert (await visitor.http.get("/computers")).status_code == 200
        assert anyio.current_time() - asked_at >= 0.05


@pytest.mark.parametrize(
    "order",
    [{}, {"do": {"drop": "sideways"}}, {"do": {"status": 500, "drop": "before_response"}}, {"do": {}, "when": "now"}],
)
async def test_an_order_that_makes_no_sense_is_a_400(order: dict[str, object]) -> None:
    async with visiting() as visitor:
        assert (await visitor.post("/_simulator/faults", order)).status_code == 400

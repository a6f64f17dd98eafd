"""A call that its host gives up frees whoever waits and does nothing else: by a cancellation, by a broken connection, in both eras."""

import json
import os
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.hosts.conftest import Place
from tests.keeper.host import MODERN_META, hosting

LONG = "Watch the page. [steps=25] [result=Forty-two.]"
ERAS = ["legacy", "modern"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("road", ["stdio", "keeper"])
def test_a_cancelled_wait_leaves_the_task_alone(place: Place, era: str) -> None:
    with hosting({**os.environ, **place.env}, era=era) as host:
        started = host.call("start_task", instruction=LONG, wait_seconds=0.3)
        wait = host.begin_call("task_status", task_id=started["task_id"], since_seq=started["seq"], wait_seconds=45)
        host.say(
            {"method": "notifications/cancelled", "params": {"requestId": wait, "reason": "The user pressed Stop."}}
        )
        assert host.call("task_status", task_id=started["task_id"])["state"] == "running"
        assert host.finished(started["task_id"])["result"] == "Forty-two."
        host.close()
    assert place.lightcone.steering() == []


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("road", ["stdio", "keeper"])
def test_a_start_that_is_cancelled_at_once_has_started_one_task_or_none(place: Place, era: str) -> None:
    """The host gave up, and asks again as a person would: there is one task."""
    with hosting({**os.environ, **place.env}, era=era) as host:
        start = host.begin_call("start_task", instruction=LONG, wait_seconds=30)
        host.say({"method": "notifications/cancelled", "params": {"requestId": start}})
        again = host.call("start_task", instruction=LONG, wait_seconds=0.3)
        assert host.finished(again["task_id"])["result"] == "Forty-two."
        assert len(host.call("list_tasks")["tasks"]) == 1
        host.close()
    assert len(place.lightcone.starts()) == 1
    assert place.lightcone.steering() == []


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("road", ["http"])
def test_a_connection_that_breaks_during_a_wait_leaves_the_task_alone(place: Place, http_server: str, era: str) -> None:
    with httpx.Client(headers=_headers(http_server, era)) as client:
        started = _call(client, http_server, era, "start_task", instruction=LONG, wait_seconds=0.3)
        asked = {"task_id": started["task_id"], "since_seq": started["seq"], "wait_seconds": 45}
        with pytest.raises(httpx.ReadTimeout):
            _call(client, http_server, era, "task_status", timeout=0.5, **asked)
        told = _call(client, http_server, era, "task_status", **asked)
    assert (told["state"], told["result"]) == ("completed", "Forty-two.")
    assert place.lightcone.steering() == []


def _headers(url: str, era: str) -> dict[str, str]:
    """What every request of a conversation carries, which is opened first in the era that does so."""
    headers = {"Accept": "application/json, text/event-stream"}
    if era == "modern":
        return headers | {"MCP-Protocol-Version": "2026-07-28"}
    client = {"name": "plain", "version": "1"}
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    opened = httpx.post(
        url, headers=headers, json={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening}
    )
    return headers | {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}


def _call(
    client: httpx.Client, url: str, era: str, tool: str, *, timeout: float = 60, **arguments: object
) -> Mapping[str, Any]:
    parameters: dict[str, Any] = {"name": tool, "arguments": arguments}
    headers = {"Mcp-Method": "tools/call", "Mcp-Name": tool} if era == "modern" else {}
    if era == "modern":
        parameters["_meta"] = MODERN_META
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}
    reply = client.post(url, json=message, headers=headers, timeout=timeout).raise_for_status().text
    events = [line.removeprefix("data: ") for line in reply.splitlines() if line.startswith("data: {")] or [reply]
    facts: Mapping[str, Any] = json.loads(events[-1])["result"]["structuredContent"]
    return facts

"""A call that its host gives up frees whoever waits and does nothing else: by a cancellation, by a broken connection, in both eras."""

import os

import httpx
import pytest

from tests.hosts.conftest import Place
from tests.hosts.plain_http import call, headers_for
from tests.keeper.host import hosting

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
    with httpx.Client(headers=headers_for(http_server, era)) as client:
        started = call(client, http_server, era, "start_task", instruction=LONG, wait_seconds=0.3)
        asked = {"task_id": started["task_id"], "since_seq": started["seq"], "wait_seconds": 45}
        with pytest.raises(httpx.ReadTimeout):
            call(client, http_server, era, "task_status", timeout=0.5, **asked)
        told = call(client, http_server, era, "task_status", **asked)
    assert (told["state"], told["result"]) == ("completed", "Forty-two.")
    assert place.lightcone.steering() == []

"""The operator's ceilings."""

import pytest

from northstar_mcp.errors import PolicyRefused
from northstar_mcp.tasks.model import TaskRequest
from northstar_mcp.tasks.policy import Confirm, Policy

REQUEST = TaskRequest(instruction="do it", max_steps=100, max_duration_seconds=1800)


def _request(**more: object) -> TaskRequest:
    return TaskRequest(**{**REQUEST.set_fields(), **more})  # type: ignore[arg-type]


def test_no_limit_changes_nothing() -> None:
    assert Policy().admit(REQUEST).request == REQUEST
    assert Policy().admit(REQUEST).clamped == ()


def test_numbers_are_clamped_and_the_change_is_said() -> None:
    admitted = Policy(max_steps=7, max_duration_seconds=60).admit(REQUEST)
    assert (admitted.request.max_steps, admitted.request.max_duration_seconds) == (7, 60)
    assert admitted.clamped == (
        "max_steps was lowered from 100 to 7, this server's limit.",
        "max_duration_seconds was lowered from 1800 to 60, this server's limit.",
    )


def test_what_is_usual_stays_below_the_limit() -> None:
    policy = Policy(max_steps=7, max_duration_seconds=60)
    assert (policy.usual_steps, policy.usual_duration_seconds) == (7, 60)
    assert (Policy().usual_steps, Policy().usual_duration_seconds) == (100, 1800)


def test_no_list_and_an_empty_list_are_different_things() -> None:
    url = "https://example.com/a"
    assert Policy(start_url_hosts=None).admit(_request(start_url=url)).request.start_url == url
    with pytest.raises(PolicyRefused, match="allowed: none"):
        Policy(start_url_hosts=frozenset()).admit(_request(start_url=url))
    with pytest.raises(PolicyRefused, match="allowed: none"):
        Policy(kinds=frozenset()).admit(REQUEST)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.com/a", True),
        ("https://EXAMPLE.com./", True),
        ("https://a.shop.example/", True),
        ("https://shop.example/", False),
        ("https://evilexample.com/", False),
        ("https://example.com@evil.test/", False),
        ("https://evil.test/?example.com", False),
        ("https://example.com.evil.test/", False),
    ],
)
def test_hosts_match_whole_names(url: str, allowed: bool) -> None:
    policy = Policy(start_url_hosts=frozenset({"example.com", "*.shop.example"}))
    if allowed:
        policy.admit(_request(start_url=url))
    else:
        with pytest.raises(PolicyRefused):
            policy.admit(_request(start_url=url))


def test_a_kind_that_is_not_given_is_held_to_the_list_as_well() -> None:
    browsers = Policy(kinds=frozenset({"browser"}))
    assert browsers.admit(_request(start_url="https://example.com")).request.kind == "browser"
    admitted = browsers.admit(REQUEST)
    assert admitted.request.kind == "browser"
    assert admitted.clamped == ("kind was set to browser, the only one that this server allows.",)
    with pytest.raises(PolicyRefused):
        browsers.admit(_request(kind="desktop"))


def test_one_task_too_many_is_told_with_what_is_allowed() -> None:
    error = Policy(max_concurrent_tasks=2).too_many(3)
    assert str(error) == "3 tasks are unfinished, and this server allows 2 at once."
    assert (error.sent, error.remedy.startswith("Wait")) == (False, True)


@pytest.mark.parametrize(
    ("confirm", "asked", "reason"),
    [
        ("never", {"persistent": True}, None),
        ("risky", {}, None),
        ("risky", {"persistent": False, "keep_alive": False}, None),
        ("risky", {"persistent": True}, "saves log-ins"),
        ("risky", {"computer_id": "comp"}, "may be logged in"),
        ("risky", {"environment_id": "env", "keep_alive": True}, "saved environment, with its log-ins and leaves"),
        ("always", {}, "Every task"),
        ("always", {"environment_id": "env"}, "saved environment"),
    ],
)
def test_what_the_user_has_to_confirm_is_said_with_its_reason(
    confirm: Confirm, asked: dict[str, object], reason: str | None
) -> None:
    why = Policy(confirm=confirm).to_confirm(_request(**asked))

    assert (why is None) is (reason is None)
    assert (reason or "") in (why or "")

"""The official conformance suite: its protocol scenarios against the product's server, and all of it with fixtures on the same code.

The product's server has none of the suite's fixtures, so of a sweep only those scenarios are looked at that need none; the
server of everything/ is built and served by the product's code, and must do everything.
"""

from collections.abc import Mapping
from typing import Final

import pytest

from tests.conformance.suite import Check, Run, Server, Suite, differences, expected

pytestmark = pytest.mark.hosts

STABLE = Run("stable")
LEGACY = Run("draft", "2025-11-25")
MODERN = Run("draft", "2026-07-28")

SCENARIOS: Final = {STABLE: 32, LEGACY: 33, MODERN: 40}
"""How many there are in a sweep: none may be lost unseen."""

_EVERY_ERA: Final = frozenset(
    {
        "tools-list",
        "resources-list",
        "prompts-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    }
)
_OLDER: Final = _EVERY_ERA | {"server-initialize", "ping"}
WITHOUT_FIXTURES: Final[Mapping[tuple[Server, Run], frozenset[str]]] = {
    ("product", STABLE): _OLDER,
    ("product", LEGACY): _OLDER | {"server-session-lifecycle"},
    ("product", MODERN): _EVERY_ERA
    | {
        "server-stateless",
        "caching",
        "http-header-validation",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
    },
    # Two streams of one session there cannot be, and 2026-07-28 is served as ever.
    ("stateless", STABLE): _OLDER - {"server-sse-multiple-streams"},
    ("stateless", LEGACY): _OLDER - {"server-sse-multiple-streams"},
}
"""What each can be asked that has no fixtures."""

TASKS: Final = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-status-notifications",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)


@pytest.mark.parametrize(("server", "run"), WITHOUT_FIXTURES, ids=str)
def test_the_products_server_keeps_to_the_protocol(
    suite: Suite, request: pytest.FixtureRequest, server: Server, run: Run
) -> None:
    judged = WITHOUT_FIXTURES[server, run]
    checks = [check for check in suite.sweep(request.getfixturevalue(server), run) if check.scenario in judged]
    assert {check.scenario for check in checks} == judged
    assert differences(checks, expected(server, run, judged)) == []


@pytest.mark.parametrize("run", SCENARIOS, ids=str)
def test_with_the_suites_fixtures_it_does_all_that_the_suite_asks_for(suite: Suite, everything: str, run: Run) -> None:
    checks = suite.sweep(everything, run)
    scenarios = {check.scenario for check in checks}
    assert len(scenarios) == SCENARIOS[run]
    assert differences(checks, expected("everything", run, scenarios)) == []


@pytest.mark.parametrize("name", TASKS)
def test_the_tasks_extension(suite: Suite, everything: str, name: str) -> None:
    checks = suite.scenario(everything, MODERN, name)
    assert differences(checks, expected("everything", MODERN, {name})) == []


def test_what_is_not_expected_and_what_is_no_longer_found_are_both_told() -> None:
    checks = [
        Check("a", "one", "FAILURE", "broken"),
        Check("a", "two", "SUCCESS"),
        Check("b", "three", "WARNING", "odd"),
    ]
    told = differences(checks, [("b", "three", "WARNING"), ("a", "two", "FAILURE")])
    assert told == ["a one FAILURE: broken", "no longer found: a two FAILURE"]

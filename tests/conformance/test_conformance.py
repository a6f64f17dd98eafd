"""The official conformance suite: its protocol scenarios against the product's server, and all of it with fixtures on the same code.

docs/… The product's server has none of the suite's fixtures, so of a sweep only those scenarios are looked at that need none; the
server of everything/ is built and served by the product's code, and must do everything.
"""

from typing import Final

import pytest

from tests.conformance.suite import Check, Difference, Run, Suite, difference, expected

pytestmark = pytest.mark.hosts

STABLE = Run("stable")
LEGACY = Run("draft", "2025-11-25")
MODERN = Run("draft", "2026-07-28")

SCENARIOS: Final = {STABLE: 32, LEGACY: 33, MODERN: 40}
"""How many there are in a sweep: none may be lost unseen."""

_EVERY_ERA: Final = {
    "tools-list",
    "resources-list",
    "prompts-list",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
}
WITHOUT_FIXTURES: Final = {
    STABLE: _EVERY_ERA | {"server-initialize", "ping"},
    LEGACY: _EVERY_ERA | {"server-initialize", "ping", "server-session-lifecycle"},
    MODERN: _EVERY_ERA
    | {
        "server-stateless",
        "caching",
        "http-header-validation",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
    },
}
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
AS_EXPECTED: Final = Difference(unexpected=(), stale=())


@pytest.mark.parametrize("run", SCENARIOS, ids=str)
def test_the_products_server_keeps_to_the_protocol(suite: Suite, product: str, run: Run) -> None:
    judged = WITHOUT_FIXTURES[run]
    checks = [check for check in suite.sweep(product, run) if check.scenario in judged]
    assert {check.scenario for check in checks} == judged
    assert difference(checks, expected("product", run, judged)) == AS_EXPECTED


@pytest.mark.parametrize("run", SCENARIOS, ids=str)
def test_with_the_suites_fixtures_it_does_all_that_the_suite_asks_for(suite: Suite, everything: str, run: Run) -> None:
    checks = suite.sweep(everything, run)
    scenarios = {check.scenario for check in checks}
    assert len(scenarios) == SCENARIOS[run]
    assert difference(checks, expected("everything", run, scenarios)) == AS_EXPECTED


@pytest.mark.parametrize("name", TASKS)
def test_the_tasks_extension(suite: Suite, everything: str, name: str) -> None:
    checks = suite.scenario(everything, MODERN, name)
    assert difference(checks, expected("everything", MODERN, {name})) == AS_EXPECTED


def test_what_is_not_expected_and_what_is_no_longer_found_are_both_told() -> None:
    checks = [
        Check("a", "one", "FAILURE", "broken"),
        Check("a", "two", "SUCCESS"),
        Check("b", "three", "WARNING", "odd"),
    ]
    told = difference(checks, [("b", "three", "WARNING"), ("a", "two", "FAILURE")])
    assert told == Difference(unexpected=(checks[0],), stale=(("a", "two", "FAILURE"),))

"""What the fault matrix came to, at the end of the run."""

from typing import Any

import pytest

MATRIX: pytest.StashKey[list[tuple[int, int]]] = pytest.StashKey()
"""Cells tried and cells lost, of each share that was dealt out."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MATRIX] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    shares = config.stash[MATRIX]
    if shares:
        tried, lost = map(sum, zip(*shares, strict=True))
        terminalreporter.write_line(f"fault matrix: {tried} cells tried, {lost} lost")

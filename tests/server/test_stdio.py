"""How standard input is cut into messages."""

import io
import logging

import pytest

from northstar_mcp.server.stdio import whole_lines


@pytest.mark.parametrize("length", [9, 10, 11, 25, 30, 31])
def test_a_line_beyond_the_limit_is_left_out_and_costs_no_other(length: int, caplog: pytest.LogCaptureFixture) -> None:
    source = io.BytesIO(b"first\n" + b"x" * length + b"\nlast\n")
    with caplog.at_level(logging.WARNING):
        lines = list(whole_lines(source, limit=10))
    assert lines == ([b"first\n", b"x" * length + b"\n", b"last\n"] if length < 10 else [b"first\n", b"last\n"])
    assert ("was dropped" in caplog.text) is (length >= 10)


def test_a_last_line_without_its_end_is_one() -> None:
    assert list(whole_lines(io.BytesIO(b"first\nlast"), limit=100)) == [b"first\n", b"last"]

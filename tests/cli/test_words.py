"""Text from afar on a terminal, and ids and times made short."""

import pytest

from northstar_mcp.cli.words import ago, duration, one_line, printable, short_ids, shortened


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert printable("\x1b]0;owned\x07 \x1b[2Jred\x9b31m") == "]0;owned [2Jred31m"


def test_what_the_eye_cannot_see_is_taken_out() -> None:
    assert printable("pay\u202e001\u200b0\ufeff") == "pay0010"


def test_line_ends_and_tabs_and_letters_of_every_script_stay() -> None:
    assert printable("één\t二\nתשע") == "één\t二\nתשע"


def test_one_line_is_one_line() -> None:
    assert one_line(" a\r\n b\t\tc\x1b ") == "a b c"


def test_what_is_too_long_says_so() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abc defg", 5) == "abc…"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (59.9, "59 s"), (125, "2:05 min"), (3600, "1:00 h"), (7500, "2:05 h"), (200_000, "2 d")],
)
def test_durations_read_like_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s ago"), (125, "2 min ago"), (7500, "2 h ago"), (200_000, "2 d ago")]
)
def test_moments_past_need_no_precision(seconds: float, words: str) -> None:
    assert ago(seconds) == words


def test_ids_are_cut_where_they_can_still_be_told_apart() -> None:
    assert short_ids(["task_aaaaaaaaaaaa", "task_bbbbbbbbbbbb"]) == {
        "task_aaaaaaaaaaaa": "task_aaaaaaa",
        "task_bbbbbbbbbbbb": "task_bbbbbbb",
    }
    alike = ["task_aaaaaaaaaaa1", "task_aaaaaaaaaaa2"]
    assert short_ids(alike) == dict(zip(alike, alike, strict=True))
    assert short_ids([]) == {}

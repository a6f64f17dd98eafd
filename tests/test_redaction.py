"""Redaction: no text that leaves the process holds a secret, in whichever of its forms."""

import base64
import json
import logging
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from typing_extensions import override

from northstar_mcp.redaction import WHOLE_WORD_BELOW, RedactingFilter, Redactor, secrets_in

KEY = "sk_live_0123456789abcdef"
AWKWARD = 'a"b\\c/d+e=é\n&?§'

long_secrets = st.text(min_size=WHOLE_WORD_BELOW).filter(lambda text: len(text.strip()) >= WHOLE_WORD_BELOW)
likely_secrets = st.text(alphabet="ab[]redct", min_size=WHOLE_WORD_BELOW, max_size=12)


@given(secrets=st.lists(long_secrets | likely_secrets, min_size=1, max_size=3), data=st.data())
@example(secrets=["ab[redact"], data=None)
def test_no_output_ever_contains_a_secret(secrets: list[str], data: st.DataObject | None) -> None:
    pieces = st.lists(st.sampled_from([*secrets, *(text[:3] for text in secrets)]) | st.text(max_size=5), max_size=8)
    text = "ab" + "".join(secrets) if data is None else "".join(data.draw(pieces))
    redacted = Redactor(secrets).text(text)
    for secret in secrets:
        assert secret.strip() not in redacted


@given(secret=long_secrets, before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_base64_of_a_secret_is_removed_wherever_it_stands_in_it(secret: str, before: bytes, after: bytes) -> None:
    secret = secret.strip()
    assume(secret.encode("utf-8", errors="surrogatepass"))
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + secret.encode("utf-8", errors="surrogatepass") + after).decode()
        assert Redactor([secret]).text(encoded) != encoded


@given(secret=long_secrets, text=st.text(max_size=30))
def test_text_without_a_secret_stays_as_it_is(secret: str, text: str) -> None:
    forms = Redactor([secret])
    assume(len(text) < len(secret.strip()) - 2)  # base64 leaves out up to two characters
    assume(not any(character in text for character in secret))
    assert forms.text(text) == text


@pytest.mark.parametrize("secret", [KEY, AWKWARD])
@pytest.mark.parametrize(
    "form",
    [
        str,
        quote,
        quote_plus,
        lambda text: quote(text, safe="").lower(),
        lambda text: urlencode({"key": text}),
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        repr,
        lambda text: repr({"headers": [("authorization", f"Bearer {text}")]}),
        lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    ],
)
def test_every_form_in_which_a_secret_is_repeated_is_removed(secret: str, form: Callable[[str], str]) -> None:
    told = f"before {form(secret)} after"
    redacted = Redactor([secret]).text(told)
    assert form(secret) not in redacted
    assert "[redacted]" in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")


def test_a_short_secret_is_removed_only_where_it_stands_alone() -> None:
    redactor = Redactor(["test"])
    assert redactor.text("the latest test, test_1 and (test)") == "the latest [redacted], test_1 and ([redacted])"


def test_a_short_secret_behind_a_long_one_is_removed_as_well() -> None:
    assert "test" not in Redactor(["test", KEY]).text(f"{KEY}test")


@pytest.mark.parametrize("nothing", [[], [""], ["  "]])
def test_without_secrets_nothing_is_removed(nothing: list[str]) -> None:
    assert Redactor(nothing).text("a b") == "a b"


def test_headers_that_look_secret_are_found_by_name_and_by_value() -> None:
    headers = {
        "X-Team": "blue",
        "Accept-Language": "en",
        "X-Api-Key": "plain",
        "Proxy-Authorization": "Basic dXNlcjpwdw==",
        "X-Trace": "0af7651916cd43dd8448eb211c80319c",
        "X-Forward": "Bearer abc",
    }
    assert secrets_in(headers) == {
        "plain",
        "Basic dXNlcjpwdw==",
        "dXNlcjpwdw==",
        "0af7651916cd43dd8448eb211c80319c",
        "abc",
    }


# ---- log lines


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def log(lines: list[str]) -> Iterator[logging.Logger]:
    """A logger whose only handler redacts."""

    class Kept(logging.Handler):
        @override
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Kept()
    handler.addFilter(RedactingFilter(Redactor([KEY])))
    logger = logging.getLogger("tests.redaction")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def test_messages_and_arguments_are_redacted(log: logging.Logger, lines: list[str]) -> None:
    log.info("key %s in %r", KEY, {"key": KEY})
    log.info(KEY)
    assert lines == ["key [redacted] in {'key': '[redacted]'}", "[redacted]"]


def test_exceptions_and_what_caused_them_are_redacted(log: logging.Logger, lines: list[str]) -> None:
    try:
        try:
            int(KEY)
        except ValueError as error:
            raise RuntimeError(f"outer {KEY}") from error
    except RuntimeError:
        log.exception("failed")
    (line,) = lines
    assert KEY not in line
    assert "with base 10: '[redacted]'" in line
    assert "RuntimeError: outer [redacted]" in line


def test_a_stack_is_redacted(log: logging.Logger, lines: list[str]) -> None:
    log.info("here", stack_info=True)
    assert "Stack (most recent call last)" in lines[0]


def test_arguments_that_do_not_fit_the_message_lose_no_line_and_show_no_secret(
    log: logging.Logger, lines: list[str]
) -> None:
    log.info("%d steps", KEY)
    assert lines == ["%d steps ('[redacted]',)"]

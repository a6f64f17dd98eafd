"""Secrets removed by value from every text that leaves the process.

A secret is looked for as itself and in the forms in which requests, errors and dumps repeat it: quoted for a URL, escaped for JSON
or Python, inside base64. Knows no setting and no key by name: it is told the values. The rule that keeps it whole: what stands in a
secret's place can never become part of a secret together with the text around it.
"""

import base64
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from typing_extensions import override

WHOLE_WORD_BELOW: Final = 8
"""Secrets with fewer characters are removed only where they stand alone: "test" inside "latest" gives nothing away."""

_PLACEHOLDER: Final = "[redacted]"
_SECRET_NAME: Final = re.compile(r"auth|cookie|credential|key|pass|secret|session|signature|token", re.IGNORECASE)
_SCHEME: Final = re.compile(r"^(?:bearer|basic|token|apikey)\s+(\S.*)$", re.IGNORECASE)
_RANDOM_LOOKING: Final = re.compile(r"^(?=.*[0-9])(?=.*[A-Za-z])\S{16,}$")


class Redactor:
    """Removes secrets from text.

    Args:
        secrets: The values. Empty ones are passed over.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {stripped for secret in secrets if (stripped := secret.strip())}
        forms = {form for secret in known if len(secret) >= WHOLE_WORD_BELOW for form in _forms(secret)}
        words = {form for secret in known if len(secret) < WHOLE_WORD_BELOW for form in _escaped(secret)}
        self._placeholder = _placeholder_for(forms | words)
        self._anywhere = _any_of(forms)
        self._alone = _any_of(words, pattern=r"(?<!\w)(?:{})(?!\w)")

    def text(self, text: str) -> str:
        """The text without the secrets."""
        # Long ones first: what is left of a word behind them may be a short secret that now stands alone.
        for pattern in (self._anywhere, self._alone):
            if pattern is not None:
                text = pattern.sub(lambda _: self._placeholder, text)
        return text


class RedactingFilter(logging.Filter):
    """Redacts whatever a record would print. To be put on handlers: a logger's filters do not see its children's records."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without secrets in its message, its arguments, its exception and its stack."""
        record.msg, record.args = self._redactor.text(_message_of(record)), None
        if record.exc_info:
            record.exc_text = record.exc_text or _FORMATTER.formatException(record.exc_info)
            # Some handlers would print the exception itself.
            record.exc_info = None
        if record.exc_text:
            record.exc_text = self._redactor.text(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.text(record.stack_info)
        return True


def secrets_in(headers: Mapping[str, str]) -> frozenset[str]:
    """The values of those headers that look secret, by their name or by themselves; behind "Bearer", the rest alone as well."""
    secret = {
        value for name, value in headers.items() if _SECRET_NAME.search(name) or _RANDOM_LOOKING.match(value.strip())
    }
    return frozenset(secret | {found[1] for value in headers.values() if (found := _SCHEME.match(value.strip()))})


_FORMATTER: Final = logging.Formatter()


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit the message must not lose the line, nor show themselves unredacted
        return f"{record.msg} {record.args!r}"


def _any_of(texts: Iterable[str], *, pattern: str = "{}") -> re.Pattern[str] | None:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile(pattern.format("|".join(map(re.escape, longest_first)))) if longest_first else None


def _forms(secret: str) -> Iterator[str]:
    yield from _escaped(secret)
    yield from _inside_base64(secret.encode("utf-8", errors="surrogatepass"))


def _escaped(secret: str) -> Iterator[str]:
    yield secret
    quoted = [quoting(secret, safe=safe, errors="replace") for quoting in (quote, quote_plus) for safe in ("", "/")]
    yield from quoted
    yield from (re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text) for text in quoted)
    yield from (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    yield repr(secret)[1:-1]


def _inside_base64(secret: bytes) -> Iterator[str]:
    """What every base64 text holds that encodes the secret, alone or behind something else ("user:", "Bearer ").

    Three bytes become four characters, so there are three alignments. Characters that also hold bits of a neighbour are left out.
    """
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret).decode()
        first, last = (0, 2, 3)[before], (len(secret) + before) * 8 // 6
        yield encoded[first:last]
        yield encoded[first:last].replace("+", "-").replace("/", "_")


def _placeholder_for(forms: Iterable[str]) -> str:
    """One that no form can overlap, nor be a part of."""
    joined = "".join(forms)
    if not any(bracket in joined for bracket in "[]") and not any(form in _PLACEHOLDER for form in forms):
        return _PLACEHOLDER
    return next(mark for mark in map(chr, range(0x2588, 0x110000)) if mark not in joined)

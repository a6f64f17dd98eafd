"""Text from afar, made short and single-lined before a person or a model sees it."""

import html
import json
import re
from typing import Final

from northstar_mcp.tasks.model import Json

MAX_TEXT: Final = 500

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
_TITLE: Final = re.compile(r"<title[^>]{0,200}>(.{0,2000}?)</title", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^<>]{0,2000}>", re.IGNORECASE | re.DOTALL)


def one_line(text: str, *, limit: int = MAX_TEXT) -> str:
    """The text with all white space and control characters folded to single spaces, at most `limit` characters."""
    folded = _UNPRINTABLE.sub(" ", text[: limit * 8]).strip()
    if len(folded) > limit or len(text) > limit * 8:
        return folded[: limit - 1].rstrip() + "…"
    return folded


def line_of(value: Json, *, limit: int = MAX_TEXT) -> str:
    """Any JSON value as one line; the empty string for None."""
    if value is None:
        return ""
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), limit=limit)


def from_html(page: str, *, limit: int = MAX_TEXT) -> str:
    """The title of a page, or its text where it has none."""
    page = page[:50_000]
    found = _TITLE.search(page)
    return one_line(html.unescape(found.group(1) if found else _TAG.sub(" ", page)), limit=limit)

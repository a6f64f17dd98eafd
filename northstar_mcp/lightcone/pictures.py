"""What is a picture, told by its first bytes: never by a name, a header or a promise."""

import base64
import binascii
from typing import Final

from northstar_mcp.tasks.model import Screen

MAX_PICTURE_BYTES: Final = 8 * 1024 * 1024
"""A 4K screen as PNG stays below; anything larger is no screenshot."""

_MAX_TEXT: Final = MAX_PICTURE_BYTES * 4 // 3 + 1024  # the same as base64, with its prefix


def media_type_of(data: bytes) -> str | None:
    """`image/png`, `image/jpeg` or `image/webp`; None for everything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def screen_of(text: str) -> Screen | None:
    """The picture that a data URL, a bare base64 text or an http(s) URL stands for; None where it is none of these."""
    text = text.strip()
    if text[:8].lower().startswith(("https://", "http://")):
        return Screen(url=text)
    if len(text) > _MAX_TEXT:
        return None
    head, comma, body = text.partition(",")
    if comma:
        if not head.lower().startswith("data:") or not head.lower().endswith(";base64"):
            return None
    else:
        body = text
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    media_type = media_type_of(data)
    if media_type is None or len(data) > MAX_PICTURE_BYTES:
        return None
    return Screen(data=data, media_type=media_type)

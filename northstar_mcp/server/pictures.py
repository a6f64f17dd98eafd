"""Pictures of a screen, made small enough for a model and a host. Pillow is imported when the first one is asked for.

A picture comes from a page that anybody may have drawn: its size is looked at before a pixel is decoded, and only the formats that
screenshots come in are opened.
"""

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from northstar_mcp.errors import UnreadableReply
from northstar_mcp.tasks.model import Screen

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS: Final = 1_150_000  # beyond this a model's host scales down itself
MAX_EDGE: Final = 1568  # pixels
MAX_BYTES: Final = 700_000  # hosts refuse tool results of more than about 1 MB, and base64 adds a third
MAX_DECODED_PIXELS: Final = 50_000_000
_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_JPEG_QUALITIES: Final = (85, 70, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that can be sent. `scale`: its size, as a part of the screen's."""

    data: bytes
    media_type: str
    width: int
    height: int
    scale: float


async def for_a_model(screen: Screen) -> Picture:
    """The screen's picture within the limits above.

    Raises:
        UnreadableReply: If it is none, or is too large to be opened.
    """
    return await anyio.to_thread.run_sync(_made_small, screen.data or b"")


async def as_png(screen: Screen) -> bytes:
    """The screen's picture in its full size.

    Raises:
        UnreadableReply: If it is none, or is too large to be opened.
    """
    return await anyio.to_thread.run_sync(_png, screen.data or b"")


def _made_small(data: bytes) -> Picture:
    image = _opened(data)
    width, height = image.size
    scale = min(1.0, MAX_EDGE / max(width, height), math.sqrt(MAX_PIXELS / (width * height)))
    if scale == 1 and image.format in ("PNG", "JPEG") and len(data) <= MAX_BYTES:
        _decoded(image)  # a host that cannot open it would drop the whole answer
        return Picture(data=data, media_type=f"image/{image.format.lower()}", width=width, height=height, scale=1)
    small = _plain(_decoded(image))
    if scale < 1:
        small = small.resize((max(1, math.floor(width * scale)), max(1, math.floor(height * scale))))
    encoded, media_type = _encoded(small)
    return Picture(data=encoded, media_type=media_type, width=small.width, height=small.height, scale=round(scale, 4))


def _png(data: bytes) -> bytes:
    image = _opened(data)
    if image.format == "PNG":
        return data
    return _saved(_plain(_decoded(image)), "PNG")


def _opened(data: bytes) -> "Image":
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Exception as error:
        raise _unreadable("it is no picture that can be opened") from error
    if image.width * image.height > MAX_DECODED_PIXELS:
        raise _unreadable(f"it has {image.width} x {image.height} pixels")
    return image


def _decoded(image: "Image") -> "Image":
    try:
        image.load()
    except Exception as error:
        raise _unreadable("it is damaged") from error
    return image


def _plain(image: "Image") -> "Image":
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _encoded(image: "Image") -> tuple[bytes, str]:
    """Sharp if that is small enough, since screens are read; else smaller."""
    encoded = _saved(image, "PNG")
    if len(encoded) <= MAX_BYTES:
        return encoded, "image/png"
    for quality in _JPEG_QUALITIES:
        encoded = _saved(image, "JPEG", quality=quality)
        if len(encoded) <= MAX_BYTES:
            break
    return encoded, "image/jpeg"


def _saved(image: "Image", form: str, **how: int) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **how)
    return out.getvalue()


def _unreadable(why: str) -> UnreadableReply:
    return UnreadableReply(
        f"No image is delivered: Lightcone sent a screenshot, but {why}.",
        remedy="Call task_screenshot with live true for a new one, or ask the user to look at the live view.",
    )

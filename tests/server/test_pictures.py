"""Pictures fit a model, or it is said why there is none."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from northstar_mcp.errors import UnreadableReply
from northstar_mcp.server.pictures import MAX_BYTES, MAX_EDGE, MAX_PIXELS, Picture, as_png, for_a_model
from northstar_mcp.tasks.model import Screen

pytestmark = pytest.mark.anyio


def drawn(width: int, height: int, *, form: str = "PNG", mode: str = "RGB", noise: bool = False) -> bytes:
    image = Image.effect_noise((width, height), 200).convert(mode) if noise else Image.new(mode, (width, height))
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


async def made_small(data: bytes) -> Picture:
    picture = await for_a_model(Screen(data=data))
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.size == (picture.width, picture.height)
        assert image.get_format_mimetype() == picture.media_type
    return picture


async def test_a_picture_that_fits_is_left_as_it_is() -> None:
    data = drawn(1280, 720)

    picture = await made_small(data)

    assert (picture.data, picture.scale, picture.media_type) == (data, 1, "image/png")


@pytest.mark.parametrize("size", [(1920, 1080), (2560, 1600), (3840, 2160), (4000, 100), (100, 4000), (1569, 2)])
async def test_a_larger_one_is_made_to_fit(size: tuple[int, int]) -> None:
    picture = await made_small(drawn(*size))

    assert picture.width * picture.height <= MAX_PIXELS
    assert max(picture.width, picture.height) <= MAX_EDGE
    assert picture.scale < 1
    assert abs(picture.width - size[0] * picture.scale) < 2


async def test_one_that_is_too_heavy_becomes_a_jpeg() -> None:
    picture = await made_small(drawn(1280, 720, noise=True))

    assert picture.media_type == "image/jpeg"
    assert len(picture.data) <= MAX_BYTES


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("WEBP", "RGB"), ("PNG", "RGBA"), ("PNG", "P")])
async def test_usual_formats_are_read(form: str, mode: str) -> None:
    assert (await made_small(drawn(2000, 1000, form=form, mode=mode))).media_type == "image/png"


async def test_the_full_picture_is_always_a_png() -> None:
    for form in ("PNG", "JPEG", "WEBP"):
        with Image.open(io.BytesIO(await as_png(Screen(data=drawn(2000, 1000, form=form))))) as image:
            assert (image.format, image.size) == ("PNG", (2000, 1000))


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims to be large."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>not found</html>",
        drawn(100, 100, form="GIF"),
        drawn(1280, 720, noise=True)[:5000],
        bomb(8_000, 8_000),
        bomb(12_000, 12_000),
        bomb(60_000, 60_000),
    ],
    ids=["nothing", "a page", "a gif", "cut off", "64 MP", "144 MP", "3600 MP"],
)
async def test_what_is_no_picture_is_told_in_a_sentence(data: bytes) -> None:
    with pytest.raises(UnreadableReply, match="No image is delivered: ") as refused:
        await for_a_model(Screen(data=data))

    assert "live true" in refused.value.remedy


@given(st.binary(max_size=200))
async def test_no_bytes_can_do_more_than_be_refused(data: bytes) -> None:
    with pytest.raises(UnreadableReply):
        await for_a_model(Screen(data=b"\x89PNG\r\n\x1a\n" + data))

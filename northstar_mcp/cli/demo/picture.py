"""The screenshot, as a file that every viewer opens."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image


class Unreadable(Exception):
    """What came is no picture, or it cannot be written there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Where it lies and how large it is, in pixels."""

    path: Path
    width: int
    height: int


def save(data: bytes, path: Path) -> Saved:
    """Write the picture in the format that the file's name says; the very bytes where they are in it already.

    Raises:
        Unreadable: If the bytes are no whole picture, or the file cannot be written.
    """
    wanted = Image.registered_extensions().get(path.suffix.lower(), "PNG")
    try:
        with Image.open(BytesIO(data)) as picture:
            picture.load()
            if picture.format == wanted:
                path.write_bytes(data)
            else:
                picture.convert("RGB").save(path, wanted)
            return Saved(path=path, width=picture.width, height=picture.height)
    except OSError as error:
        raise Unreadable(f"The screenshot could not be saved as {path}: {error.strerror or error}.") from error

"""Odd bytes for the reader of streams: whole recordings cut, doubled, torn and mixed, and bytes of any kind.

`python -m tests.lightcone.fuzzing --seconds 120` looks for a fault until the time is up. What breaks a promise is written to `corpus/`,
where test_fuzz.py tries it again for ever; so is the first input of each kind of outcome that the corpus did not have.

The promises: no error whatever comes; where the bytes are cut does not matter; memory has a bound; a frame that cannot be read costs
itself and no other; and the frames are those that a plain reading of the specification gives.
"""

import argparse
import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from northstar_mcp.lightcone.events import read_event
from northstar_mcp.lightcone.frames import Frame, FrameParser
from northstar_mcp.lightcone.translate import observe

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
MAX_BYTES = 4096
"""The parser's bound while fuzzing: small, so that it is met."""
_MAX_CORPUS = 60
_MAX_KEPT = 2048
_PIECES = (
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b":",
        b": ping\n\n",
        b"id: 7\n",
        b"id\n",
        b"event: x\n",
        b"data",
        b"data:",
        b"data: ",
    ),
    *(
        b"retry: 5\n",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xe2\x80\xa8",
        b"\x00",
        b"{}",
        b"[DONE]",
        b'"type"',
        b"null",
        b"[[[[",
        b"}}",
    ),
    *(b'data: {"type":"completed","result":1e999}\n\n', b'data: {"type":"thinking"}\n\n', b"\xed\xa0\x80", b"9" * 400),
)
_MARK = b'\n\ndata: {"type":"weather","mark":"the frame behind it all"}\n\n'


def recordings() -> list[bytes]:
    """The bodies of the recorded streams."""
    found: list[bytes] = []
    for path in sorted((HERE / "wire").glob("*.json")):
        for answer in json.loads(path.read_text()).get("server_script", []):
            parts = answer.get("sse") if isinstance(answer, dict) else None
            if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
                found.append("".join(parts).encode("utf-8", "surrogatepass"))
    return found


def inputs(dice: random.Random, seeds: Sequence[bytes]) -> Iterator[bytes]:
    """Inputs for ever: mutations of what was recorded and kept, now and then mere noise."""
    while True:
        if dice.random() < 0.1:
            yield dice.randbytes(dice.randrange(200))
            continue
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randrange(1, 8)):
            _mutate(data, dice, seeds)
        yield bytes(data)


def _mutate(data: bytearray, dice: random.Random, seeds: Sequence[bytes]) -> None:
    at, to = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
    match dice.randrange(6):
        case 0:
            del data[at:to]
        case 1:
            data[at:at] = dice.choice(_PIECES)
        case 2:
            data[at:at] = data[at:to]
        case 3:
            data[at:to] = dice.choice(_PIECES) * dice.randrange(1, 40)
        case 4 if at < len(data):
            data[at] = dice.randrange(256)
        case _:
            data[at:at] = dice.choice(seeds)[: dice.randrange(1, 400)]


def check(data: bytes, dice: random.Random) -> str:
    """Try one input; a word for its kind of outcome.

    Raises:
        AssertionError: If a promise is broken.
    """
    frames, held = parsed([data])
    cut, held_in_pieces = parsed(_cut(data, dice))
    assert cut == frames, "it matters where the bytes are cut"
    assert max(held, held_in_pieces) <= 2 * MAX_BYTES, "more is held than the bound allows"
    if not any(frame.dropped_bytes for frame in frames):
        plain = plainly(data)
        assert [frame for frame in frames if frame.data] == plain, f"a plain reading gives {plain}, not {frames}"
    behind, _ = parsed([data, _MARK])
    assert any("the frame behind it all" in frame.data for frame in behind), "the next frame is lost"
    kinds = {_kind(frame) for frame in frames}
    return ",".join(sorted(kinds))


def parsed(pieces: Sequence[bytes]) -> tuple[list[Frame], int]:
    """The frames, and the most bytes that were held."""
    parser, frames, held = FrameParser(max_bytes=MAX_BYTES), [], 0
    for piece in pieces:
        frames += parser.feed(piece)
        held = max(held, parser.held_bytes)
    return frames + parser.close(), held


def plainly(data: bytes) -> list[Frame]:
    """The frames as the WHATWG specification reads them, and as frames.py says that it differs; slow, and without a bound."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = re.split("\r\n|\n|\r", text)
    frames: list[Frame] = []
    rest = lines.pop()
    told, own_id, name = _fields([])
    block: list[str] = []
    for line in lines:
        if line:
            block.append(line)
            continue
        told, own_id, name = _fields(block)
        if told.strip():
            frames.append(Frame(data=told, id=own_id, event=name))
        block = []
    told, own_id, name = _fields([*block, *([rest] if rest.startswith("data") else [])])
    if told.strip() and _is_object(told):
        frames.append(Frame(data=told, id=own_id, event=name))
    return frames


def _fields(block: Sequence[str]) -> tuple[str, str | None, str | None]:
    told: list[str] = []
    own_id, name = "", ""
    for line in block:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                told.append(value)
            case "id" if "\0" not in value:
                own_id = value
            case "event":
                name = value
    return "\n".join(told), own_id if 0 < len(own_id) <= 512 else None, None if name in ("", "message") else name


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _kind(frame: Frame) -> str:
    received = read_event(frame)
    if received is None:
        return "nothing"
    observation = observe(received)
    json.dumps(dict(observation.payload), allow_nan=False).encode()
    assert len(observation.text) < 100_000
    return f"{observation.type}{'!' if received.note else ''}"


def _cut(data: bytes, dice: random.Random) -> list[bytes]:
    ends = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 12)))
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def kept() -> list[bytes]:
    """The corpus."""
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]


def _keep(data: bytes, *, as_fault: bool) -> Path:
    path = CORPUS / f"{'fault' if as_fault else 'kind'}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Look for faults until the time is up; 1 where one was found."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--seconds", type=float, default=120.0)
    reader.add_argument("--seed", type=int, default=None, help="to have a run again")
    options = reader.parse_args(arguments)
    seed = random.randrange(2**32) if options.seed is None else options.seed
    dice, seeds = random.Random(seed), recordings() + kept()
    kinds = {check(data, dice) for data in seeds}
    tried, faults, ends_at = 0, 0, time.monotonic() + options.seconds
    for data in inputs(dice, seeds):
        if time.monotonic() > ends_at:
            break
        tried += 1
        try:
            kind = check(data, dice)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
            faults += 1
            print(f"{_keep(data, as_fault=True)}: {error!r}", file=sys.stderr)
            if faults == 10:
                break
            continue
        if kind not in kinds and len(data) <= _MAX_KEPT and len(list(CORPUS.iterdir())) < _MAX_CORPUS:
            kinds.add(kind)
            _keep(data, as_fault=False)
    print(f"{tried} inputs with seed {seed}: {faults} faults; {len(kinds)} kinds of outcome are in the corpus")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

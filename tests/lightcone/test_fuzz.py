"""What fuzzing has kept, tried again, and some hundred new inputs (`make fuzz` tries them for minutes)."""

import random
from itertools import islice
from pathlib import Path

import pytest

from .fuzzing import CORPUS, check, inputs, kept, recordings

NEW = 600
SEED = 20261121


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_a_kept_input_breaks_no_promise(path: Path) -> None:
    for seed in range(5):
        check(path.read_bytes(), random.Random(seed))


def test_every_recording_breaks_no_promise() -> None:
    assert len(recordings()) > 20
    for data in recordings():
        check(data, random.Random(SEED))


def test_new_inputs_break_no_promise() -> None:
    dice = random.Random(SEED)
    for data in islice(inputs(dice, recordings() + kept()), NEW):
        check(data, dice)

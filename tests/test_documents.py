"""Documents say what the code does. `UPDATE_DOCUMENTS=1` writes those anew that are made from it."""

import os

import pytest

from tests.documents import MADE, ROOT


@pytest.mark.parametrize("name", MADE)
def test_a_made_document_is_as_it_would_be_made_now(name: str) -> None:
    path, made = ROOT / name, MADE[name]()
    if os.environ.get("UPDATE_DOCUMENTS"):
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made, f"make it anew: UPDATE_DOCUMENTS=1 pytest {__file__}"

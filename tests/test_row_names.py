"""The name of the image behind a row, whatever was left out before it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfid.engines.local import Local
from fastfid.extraction.recipe import Recipe
from fastfid.images.observed import Seen, Tally
from fastfid.messages import Messages
from fastfid.metrics.rows import ROWS
from fastfid.options import Options
from fastfid.row_names import namer
from fastfid.sides import open_side, read
from pictures import folder, pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def tally(accepted):
    found = Tally()
    found.add([Seen(rejected=None if good else "bad") for good in accepted])
    return found


@given(st.lists(st.booleans(), max_size=12), st.lists(st.booleans(), max_size=12))
def test_the_place_of_a_row(first, second):
    expected = [place for place, good in enumerate(first + second) if good]
    merged = tally(first).merge(tally(second))
    for found in (merged, tally(first + second)):
        assert [found.place_of(row) for row in range(found.accepted)] == expected


@pytest.mark.parametrize("limit", [None, 6])
def test_names_of_rows(tmp_path, limit):
    images = pictures(9)
    path = folder(tmp_path / "a", images)
    (path / "003.png").write_bytes(b"damaged")
    options = Options(limit=limit, on_error="skip", model="inception-v3-random", dims=64)
    side = open_side(path, "a", (ROWS,), options, Messages())
    with Local() as engine:
        facts = engine.open(Recipe("inception-v3-random", dims=64), Messages())
        side = read(side, engine, facts, options, Messages())
        names = list(map(namer(side), range(side.n)))
        chosen = range(9) if limit is None else np.sort(np.random.RandomState(0).permutation(9)[:limit])
        assert names == [str(path / f"{index:03}.png") for index in chosen if index != 3]


def test_a_side_without_images():
    options = Options(features=True)
    side = open_side(np.random.RandomState(0).randn(5, 3), "the features", (ROWS,), options, Messages())
    assert namer(side)(4) == "row 4 of the features (ndarray)"

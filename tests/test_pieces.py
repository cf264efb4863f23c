"""Index arithmetic on top of a source: limit and seed, shards, pieces; and one call of `read` for all pieces."""

import itertools
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfid.errors import InputError
from fastfid.images.decode import Decoded
from fastfid.sources import Item, Source, open_source
from fastfid.sources.kept import Kept
from fastfid.sources.pieces import PIECE, Piece, choose, expected, pieces, read_items, read_pieces


class Numbers(Source):
    """Images of one pixel, each of the value of its place; `calls` has what was asked for, call by call."""

    def __init__(self, size, starts=(), real=None, ordered=False):
        super().__init__("numbers", size, starts=starts, ordered=ordered)
        self.real, self.calls = size if real is None else real, []

    def read(self, indices):
        asked = []
        self.calls.append(asked)
        for index in indices:
            if index >= self.real:
                return
            asked.append(index)
            yield Item(f"number {index}", lambda index=index: np.full((1, 1, 3), index))


def places(items):
    return [int(item.name.split()[1]) for item in items]


def borders(found):
    return [list(piece.indices) for piece in found]


@st.composite
def sizes_and_starts(draw):
    size = draw(st.integers(2, 60))
    return size, sorted(draw(st.lists(st.integers(0, size - 1), max_size=6)))


@given(sizes_and_starts(), st.one_of(st.none(), st.integers(2, 70)), st.integers(0, 2**32 - 1), st.integers(1, 25))
def test_pieces_are_the_chosen_images_cut_between_shards_if_possible(size_and_starts, limit, seed, size):
    n, starts = size_and_starts
    source = Numbers(n, starts)
    chosen = list(range(n)) if limit is None else sorted(np.random.RandomState(seed).permutation(n)[:limit].tolist())
    found = list(pieces(source, limit, seed, size=size))
    assert list(itertools.chain(*borders(found))) == chosen == list(choose(source, limit, seed))
    assert [piece.number for piece in found] == list(range(len(found)))
    assert {piece.of for piece in found} == {len(chosen)} == {expected(source, limit)}
    assert all(0 < len(piece.indices) <= size for piece in found)
    shard = dict(zip(chosen, np.searchsorted(starts, chosen, side="right").tolist(), strict=True))
    of_shard = Counter(shard.values())
    for piece, following in itertools.pairwise(found):
        last, first = int(piece.indices[-1]), int(following.indices[0])
        if shard[last] == shard[first]:  # a border inside a shard, which fits into no piece
            assert len(piece.indices) == size
            assert of_shard[shard[last]] > size
        else:
            assert len(piece.indices) + of_shard[shard[first]] > size


def test_a_plain_source_is_cut_every_8192_images():
    assert PIECE == 8192
    found = list(pieces(Numbers(20_000)))
    assert [piece.indices for piece in found] == [range(8192), range(8192, 16_384), range(16_384, 20_000)]


def test_small_shards_share_a_piece():
    starts = [0, 5, 5, 10, 12, 29]
    assert borders(pieces(Numbers(30, starts), 3, 0, size=2)) == [[2], [13, 28]]
    cut = [piece.indices for piece in pieces(Numbers(30, starts), size=12)]
    assert cut == [range(12), range(12, 24), range(24, 30)]


def test_a_source_of_unknown_size_has_pieces_without_end():
    found = itertools.islice(pieces(Numbers(None), size=5), 1000)
    assert [(piece.indices, piece.of) for piece in found] == [(range(5 * k, 5 * k + 5), None) for k in range(1000)]


@given(st.integers(1, 30), st.integers(1, 8), st.booleans())
def test_one_read_for_all_pieces_however_long_they_are(n, size, known):
    source = Numbers(n if known else None, real=n)
    found = [(piece.number, places(items)) for piece, items in read_pieces(pieces(source, size=size))]
    assert found == [(k, list(range(n))[k * size : (k + 1) * size]) for k in range(-(-n // size))]
    assert source.calls == [list(range(n))]


@pytest.mark.parametrize("size", [1, 3, 4, 9, 20])
def test_a_generator_of_unknown_size_is_read_to_its_end(size):
    images = np.arange(9, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    source = open_source(iter(images))
    found = [[item.decode().pixels[0, 0, 0] for item in items] for _, items in read_pieces(pieces(source, size=size))]
    assert found == [list(range(9))[first : first + size] for first in range(0, 9, size)]


def test_images_are_asked_for_as_they_are_used_and_not_before():
    source = Numbers(12)
    (_, first), *_ = [next(stream := read_pieces(pieces(source, size=5)))]
    assert source.calls == [[0]]
    next(first), next(first)
    assert source.calls == [[0, 1]]
    piece, second = next(stream)  # what is left of the first is skipped
    assert piece.number == 1
    assert places(second) == [5, 6, 7, 8, 9]
    assert places(first) == []


def test_some_of_the_pieces_in_another_process_are_the_same_images():
    source = open_source(np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8))
    for limit in (None, 30):
        whole = [item.decode().pixels for item in read_items(source, limit, 5)]
        parts = []
        for piece in pieces(source, limit, 5, size=7):
            for copy, items in read_pieces([pickle.loads(pickle.dumps(piece))]):
                assert (copy.number, copy.of) == (piece.number, limit or 40)
                parts += [item.decode().pixels for item in items]
        np.testing.assert_array_equal(parts, whole)
    assert list(read_pieces([])) == []


@pytest.mark.parametrize(
    ("limit", "seed", "size", "message"),
    [
        (1, 0, 5, "limit must be at least 2, got 1"),
        (2, -1, 5, "seed must be between 0 and 4294967295, got -1"),
        (None, 0, 0, "size must be at least 1, got 0"),
    ],
)
def test_errors_come_at_once(limit, seed, size, message):
    with pytest.raises(InputError, match=message):
        pieces(Numbers(9), limit, seed, size=size)
    with pytest.raises(InputError, match=r"limit=4 needs to know .* numbers does not say"):
        pieces(Numbers(None), 4)


def test_a_piece_is_frozen():
    with pytest.raises(AttributeError):
        next(pieces(Numbers(9))).number = 3


class TestContract:
    """What `read` may not do, said by name."""

    def source(self, read, size=9, **options):
        kind = type("Own", (Source,), {"read": lambda _, indices: read(indices)})
        return kind("mine", size, **options)

    @pytest.mark.parametrize(
        ("read", "message"),
        [
            (lambda indices: None, "mine: read must yield Items, but returns a NoneType"),
            (
                lambda indices: (np.zeros((2, 2, 3)) for _ in indices),
                "mine: read must yield Items, but yields a ndarray",
            ),
            (lambda _: (Item("x", bytes) for _ in range(9)), "mine: read yields more images than indices"),
            (lambda indices: (Item("x", bytes) for i in [*indices, 9]), "mine: read yields more images than indices"),
            (lambda indices: (Item("x", bytes) for i in indices if i < 7), "mine: read ends after 7 images, although"),
            (lambda indices: (Item("x", bytes) for _ in map(max, range(7), indices)), "mine: read ends after 7 images"),
        ],
    )
    def test_is_an_input_error(self, read, message):
        for size in (3, 7, 20):
            stream = read_pieces(pieces(self.source(read), size=size))
            with pytest.raises(InputError, match=message):
                [list(items) for _, items in stream]

    def test_an_own_error_comes_through(self):
        def read(indices):
            raise KeyError("mine")
            yield

        with pytest.raises(KeyError, match="mine"):
            list(read_items(self.source(read)))

    def test_working_ahead_is_allowed(self):
        source = self.source(lambda indices: (Item(f"number {i}", bytes) for i in list(indices)))
        assert [places(items) for _, items in read_pieces(pieces(source, size=4))] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]

    def test_a_length_that_is_no_length(self):
        class Sized:
            def __len__(self):
                return 5

            def __iter__(self):
                return iter(np.zeros((self.real, 2, 2, 3), np.uint8))

        images = Sized()
        images.real = 3
        assert len(list(read_items(open_source(images)))) == 3
        images.real = 5
        assert len(list(read_items(open_source(images)))) == 5
        images.real = 6
        with pytest.raises(InputError, match=r"a Sized of 5 gives more images than its len\(\) says: give iter\(...\)"):
            list(read_items(open_source(images)))


class TestKept:
    def kept(self, *which):
        source = Numbers(9, [0, 4])
        return Kept(source, {index: Decoded(np.full((1, 1, 3), 100 + index, np.uint8)) for index in which}), source

    def test_is_the_source_but_for_the_images_it_has(self):
        kept, source = self.kept(2, 5)
        assert (kept.name, kept.size, kept.starts) == (source.name, source.size, source.starts)
        values = [item.decode().pixels[0, 0, 0] for item in read_items(kept)]
        assert values == [0, 1, 102, 3, 4, 105, 6, 7, 8]
        assert [item.decode().pixels[0, 0, 0] for item in kept.read([2, 5])] == [2, 5]  # once

    def test_by_place_where_only_some_are_read(self):
        kept, _ = self.kept(2, 5)
        assert [item.decode().pixels[0, 0, 0] for item in kept.read([1, 5, 8])] == [1, 105, 8]
        assert [item.decode().pixels[0, 0, 0] for item in kept.read([2, 5])] == [102, 5]

    def test_a_source_that_works_ahead(self):
        class Ahead(Numbers):
            def read(self, indices):
                return super().read(list(indices))

        kept = Kept(Ahead(9), {5: Decoded(np.full((1, 1, 3), 105, np.uint8))})
        assert [item.decode().pixels[0, 0, 0] for item in read_items(kept)] == [0, 1, 2, 3, 4, 105, 6, 7, 8]

    def test_holds_its_source_to_the_contract(self):
        class More(Numbers):
            def read(self, indices):
                return (Item("x", bytes) for _ in range(3))

        with pytest.raises(InputError, match="read yields more images"):
            list(read_items(Kept(More(9), {})))

    def test_no_pickle_holds_the_images(self):
        source = open_source(np.zeros((9, 1, 1, 3), np.uint8))
        kept = Kept(source, {2: Decoded(np.full((1, 1, 3), 102, np.uint8))})
        copy = pickle.loads(pickle.dumps(kept))
        assert [item.decode().pixels[0, 0, 0] for item in copy.read([1, 2])] == [0, 0]
        assert [item.decode().pixels[0, 0, 0] for item in kept.read([1, 2])] == [0, 102]


def test_pieces_of_one_source_are_made_by_hand():
    source = Numbers(9)
    by_hand = [Piece(source, 0, range(2), 5), Piece(source, 1, np.array([4, 6, 8]), 5)]
    assert [(piece.number, places(items)) for piece, items in read_pieces(by_hand)] == [(0, [0, 1]), (1, [4, 6, 8])]
    assert source.calls == [[0, 1, 4, 6, 8]]
    assert all(type(index) is int for index in source.calls[0])

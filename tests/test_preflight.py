"""Warnings about the two sides: issued once, and only if they apply; they can be silenced, and are in the result."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastfid
from fastfid.cli.main import main
from fastfid.fit import Facts, Side
from fastfid.images import decode as images
from fastfid.images.decode import Decoded
from fastfid.images.observed import Seen, Tally
from fastfid.messages import CODES, Messages, tell_of_sides
from fastfid.sources import folder as folder_source
from fastfid.sources import look, open_source
from fastfid.sources.pieces import read_items
from pictures import folder, pictures


@pytest.fixture(scope="module")
def extractor():
    return fastfid.Extractor("inception-v3-random", dims=64, batch_size=8)


def side(name, images, n=None):
    tally = Tally()
    tally.add(images)
    return Side(name, len(images) if n is None else n, seen=tally)


def seen(n, start=0, **values):
    return [Seen(**{"size": (100, 100), "digest": start + i, **values}) for i in range(n)]


def facts(dims, mode="pytorch"):
    return Facts({"features": dims}, fastfid.Provenance("drawn", "0", mode, dims))


def codes(*sides, dims=2, mode="pytorch"):
    messages = Messages()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastfid.FastFIDWarning)
        tell_of_sides(sides, facts(dims, mode), messages)
    assert all(text.partition(":")[0] in CODES for text in messages.warnings)
    return messages.warnings


def only(found, start):
    assert len(found) == 1, found
    assert found[0].startswith(start), found


def test_nothing_to_say_of_two_sets_made_alike():
    a, b = (side(name, seen(50, start, encoding="PNG")) for name, start in (("a", 0), ("b", 100)))
    assert codes(a, b) == []
    assert codes(a) == []
    assert codes(Side("a", 50), Side("b", None)) == []


class TestFormat:
    def test_jpeg_against_png(self):
        a, b = side("a", seen(9, encoding="JPEG")), side("b", seen(9, 50, encoding="PNG"))
        only(codes(a, b), "format: JPEG in a, PNG in b")

    def test_a_mixture(self):
        mixed = seen(6, encoding="JPEG") + seen(4, 10, encoding="PNG")
        only(codes(side("a", mixed), side("b", seen(9, 50, encoding="PNG"))), "format: 60% JPEG, 40% PNG in a, PNG in")
        assert codes(side("a", mixed[3:]), side("b", seen(6, 50, encoding="JPEG") + seen(5, 70, encoding="PNG"))) == []

    def test_lossless_formats_are_alike(self):
        assert codes(side("a", seen(9, encoding="BMP")), side("b", seen(9, 50, encoding="PNG"))) == []

    def test_arrays_say_nothing(self):
        assert codes(side("a", seen(9)), side("b", seen(9, 50, encoding="JPEG"))) == []


class TestQuality:
    @pytest.mark.parametrize(("one", "other"), [(75, 95), (75, 76)])
    def test_two_uniform_sets(self, one, other):
        a = side("a", seen(9, encoding="JPEG", quality=one))
        b = side("b", seen(9, 50, encoding="JPEG", quality=other))
        only(codes(a, b), f"jpeg-quality: quality about {one} in a, quality about {other} in b")

    def test_mixtures_by_their_middle(self):
        def mixed(start, low):
            return [Seen(size=(9, 9), digest=start + i, encoding="JPEG", quality=low + i % 11) for i in range(40)]

        assert codes(side("a", mixed(0, 70)), side("b", mixed(100, 74))) == []
        only(codes(side("a", mixed(0, 70)), side("b", mixed(100, 80))), "jpeg-quality: ")


class TestSize:
    @pytest.mark.parametrize(("one", "other"), [((32, 32), (256, 256)), ((32, 64), (64, 32))])
    def test_two_uniform_sets(self, one, other):
        a, b = side("a", seen(9, size=one)), side("b", seen(9, 50, size=other))
        only(codes(a, b), f"size: {one[1]}x{one[0]} pixels in a, {other[1]}x{other[0]} pixels in b")

    def test_mixed_sizes(self):
        def mixed(start, scale):
            sizes = [(scale * (300 + i), scale * (500 - i)) for i in range(20)]
            return [Seen(size=size, digest=start + i) for i, size in enumerate(sizes)]

        assert codes(side("a", mixed(0, 1)), side("b", mixed(50, 1)[:10])) == []
        only(codes(side("a", mixed(0, 1)), side("b", mixed(50, 2))), "size: 20 sizes, most often")

    @given(st.integers(0, 2**32 - 1))
    def test_random_halves_of_one_set_are_alike(self, seed):
        rng = np.random.RandomState(seed)
        sizes = [(333, 500), (500, 333), (375, 500), (500, 500)]
        formats = [("JPEG", 90), ("JPEG", 92), ("JPEG", 95), ("PNG", None)]
        images = [
            Seen(size=sizes[i], digest=n, encoding=formats[j][0], quality=formats[j][1])
            for n, (i, j) in enumerate(rng.randint(0, 4, (400, 2)))
        ]
        assert codes(side("a", images[:200]), side("b", images[200:])) == []


@given(st.integers(0, 2**32 - 1))
def test_a_glance_at_two_halves_of_one_set_says_nothing(seed):
    rng = np.random.RandomState(seed)
    encodings, qualities = rng.randint(0, 2, 32), rng.randint(70, 99, 32)
    sizes = np.sort(rng.randint(50, 1000, (32, 2)))
    images = [
        Seen(size=tuple(size), digest=n, encoding=("JPEG", "PNG")[e], quality=int(q) if e == 0 else None)
        for n, (size, e, q) in enumerate(zip(sizes[rng.permutation(32)].tolist(), encodings, qualities, strict=True))
    ]
    a, b = side("a", images[:16]), side("b", images[16:])
    a.seen.sampled = b.seen.sampled = True
    assert codes(a, b, mode="clean") == []


def test_a_glance_is_enough_where_nothing_is_in_common():
    a = side("a", seen(16, size=(32, 32), encoding="JPEG", quality=75))
    b = side("b", seen(16, 50, size=(64, 64), encoding="JPEG", quality=95))
    c = side("c", seen(16, 90, size=(64, 64), encoding="PNG"))
    for each in (a, b, c):
        each.seen.sampled = True
    assert [text.partition(":")[0] for text in codes(a, b)] == ["jpeg-quality", "size"]
    assert [text.partition(":")[0] for text in codes(b, c)] == ["format"]
    assert all("(of 16 images looked at)" in text for text in codes(a, b))


def test_upscaled_only_in_clean():
    a = side("a", seen(3, size=(63, 500)) + seen(1, 10, size=(64, 64)))
    only(codes(a, mode="clean"), "upscaled: a: 75% of the images have a side below 64 pixels")
    assert codes(a) == []


def test_duplicates_within_and_across():
    a = side("a", seen(5) + seen(2))
    only(codes(a), "duplicates: a: 2 of 7 images are copies")
    b = side("b", seen(10, 3))
    only(codes(side("a", seen(5)), b), "duplicates: 2 images are in both a and b")


def test_few_and_unequal_numbers():
    only(codes(Side("a", 9), dims=10), "few-images: a: 9 images are fewer than 10 dims")
    assert codes(Side("a", 10), dims=10) == []
    only(codes(Side("a", 10), Side("b", 50)), "unequal-n: 10 images in a, 50 in b")
    assert codes(Side("a", 10), Side("b", 49)) == []


def test_the_same_is_told_once():
    messages = Messages()
    a, b = side("a", seen(9, encoding="JPEG")), side("b", seen(9, 50, encoding="PNG"))
    with pytest.warns(fastfid.FastFIDWarning, match="format"):
        tell_of_sides([a, b], facts(2), messages)
    more = side("b", seen(9, 50, encoding="PNG") + seen(1, 70, encoding="JPEG"))
    tell_of_sides([a, more], facts(2), messages)  # told again, it would be an error here
    assert messages.warnings == ["format: JPEG in a, 90% PNG, 10% JPEG in b; lossy compression alone changes the FID"]


def test_what_is_seen_of_an_image():
    pixels = np.full((3, 5, 3), 7, np.uint8)
    from_memory = Seen.of(Decoded(pixels, ("alpha",)))
    assert (from_memory.losses, from_memory.largest, from_memory.size) == (("alpha",), 7, (3, 5))
    assert from_memory.digest == Seen.of(Decoded(pixels.copy())).digest != Seen.of(Decoded(pixels + 1)).digest
    assert Seen.of(Decoded(pixels, encoding="MPO", quality=75, digest=3)) == Seen(
        largest=255, size=(3, 5), encoding="JPEG", quality=75, digest=3
    )


def test_a_glance_reads_few_files_and_leaves_bad_ones_to_the_run(tmp_path):
    path = folder(tmp_path / "set", pictures(40))
    seen, _ = look.glance(open_source(path))
    assert sum(seen.sizes.values()) == 16
    assert not seen.digests
    for file in path.iterdir():
        file.write_bytes(b"")
    assert look.glance(open_source(path))[0] is None
    for source in (open_source(pictures(3)), open_source(iter(pictures(3)))):
        assert look.glance(source) == (None, source)


@pytest.mark.parametrize(("limit", "looked_at"), [(None, 16), (5, 5), (20, 16), (99, 16)])
def test_a_glance_looks_at_chosen_images_alone_and_each_is_decoded_once(tmp_path, monkeypatch, limit, looked_at):
    decoded = []

    def counting(file, name):
        decoded.append(name)
        return images.decode(file, name)

    monkeypatch.setattr(folder_source, "decode", counting)
    source = open_source(folder(tmp_path / "set", pictures(40)))
    chosen = [item.name for item in read_items(source, limit, 7)]
    seen, source = look.glance(source, limit, 7)
    assert sum(seen.sizes.values()) == looked_at
    assert set(decoded) <= set(chosen)
    found = [item.load() for item in read_items(source, limit, 7)]
    assert sorted(decoded) == sorted(chosen)
    again = [item.load() for item in read_items(source, limit, 7)]  # nothing is kept for ever
    assert len(decoded) == 2 * len(chosen)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert one[1:] == other[1:]


def test_a_glance_keeps_no_more_than_memory_allows(tmp_path, monkeypatch):
    monkeypatch.setattr(look, "_MOST_KEPT", 5 * 32 * 32 * 3)
    _, source = look.glance(open_source(folder(tmp_path / "set", pictures(40))))
    assert len(source._images) == 5


_SEEN = st.builds(
    Seen,
    losses=st.lists(st.sampled_from(["16-bit", "alpha"]), unique=True).map(tuple),
    largest=st.integers(0, 255),
    size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    encoding=st.sampled_from([None, "JPEG", "PNG"]),
    quality=st.sampled_from([None, 75, 95]),
    digest=st.integers(0, 9),
    damage=st.sampled_from(["", "", "a", "b", "c"]),
    rejected=st.sampled_from([None, None, None, "gone", "broken"]),
)


@given(st.lists(_SEEN, max_size=30), st.lists(st.integers(0, 30), max_size=5), st.booleans())
def test_merged_tallies_are_one_tally(images, cuts, through_a_pickle):
    whole = Tally()
    whole.add(images)
    merged = Tally()
    for begin, end in itertools.pairwise([0, *sorted(cuts), 30]):
        part = Tally()
        part.add(images[begin:end])
        merged = merged.merge(pickle.loads(pickle.dumps(part)) if through_a_pickle else part)
    assert merged == whole
    assert merged.left_out("a") == whole.left_out("a")


@pytest.mark.parametrize(("chunks", "smallest"), [((0, 0), 0), ((0, 8), 8), ((8, 0), 8), ((16, 4), 4), ((4, 16), 4)])
def test_merged_tallies_have_the_smallest_chunk_and_tell_a_sample(chunks, smallest):
    one, other = (Tally(chunk=chunk) for chunk in chunks)
    other.sampled = chunks[0] == 4
    assert one.merge(other) is one
    assert (one.chunk, one.sampled) == (smallest, other.sampled)
    both = Tally()
    for chunk in chunks:
        both.add([], chunk)
    assert both.chunk == smallest


def test_damaged_files_are_counted_and_the_first_are_named():
    damaged = [Seen(size=(9, 9), digest=i, damage=f"{i}.png (its checksum)" if i % 2 else "") for i in range(12)]
    text = "damaged: a: 6 of 12 images were decoded from files with signs of damage: "
    only(codes(side("a", damaged)), f"{text}1.png (its checksum); 3.png (its checksum); 5.png (its checksum), ...")
    only(
        codes(side("a", damaged[:2])),
        "damaged: a: 1 of 2 images was decoded from files with signs of damage: 1.p",
    )


class TestRun:
    @pytest.fixture
    def sets(self, tmp_path):
        a = folder(tmp_path / "a", pictures(70, high=200), "jpg")
        b = folder(tmp_path / "b", pictures(80, size=48, seed=1))
        for i in range(3):
            (b / f"copy{i}.png").write_bytes((b / "000.png").read_bytes())
        return a, b

    def test_told_before_the_network_runs_and_in_the_result(self, extractor, sets):
        events = []
        with warnings.catch_warnings():
            warnings.simplefilter("always", fastfid.FastFIDWarning)
            warnings.showwarning = lambda message, *_: events.append(str(message).partition(":")[0])
            result = fastfid.compare(*sets, model=extractor, progress=lambda *_: events.append("run"))
        assert events.index("run") > events.index("format")
        assert events.index("run") > events.index("size")
        assert events[-1] == "duplicates"
        assert [text.partition(":")[0] for text in result.warnings] == [e for e in events if e != "run"]
        assert "3 of 83 images are copies" in result.warnings[-1]

    def test_what_a_glance_misses_is_told_at_the_end(self, extractor, sets, monkeypatch):
        monkeypatch.setattr("fastfid.sides.glance", lambda source, *_: (None, source))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastfid.FastFIDWarning)
            result = fastfid.compare(*sets, model=extractor)
        assert [text.partition(":")[0] for text in result.warnings] == ["duplicates", "format", "size"]

    def test_silenced_by_code_and_still_in_the_result(self, extractor, sets):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always", fastfid.FastFIDWarning)
            warnings.filterwarnings("ignore", "format:", fastfid.FastFIDWarning)
            result = fastfid.compare(*sets, model=extractor)
        assert not any(str(w.message).startswith("format:") for w in heard)
        assert any(text.startswith("format:") for text in result.warnings)

    def test_on_the_command_line(self, sets, capsys):
        common = [*map(str, sets), "--model", "inception-v3-random", "--dims", "64", "--quiet"]
        silenced = [part for code in ("size", "duplicates") for part in ("--silence", code)]
        assert main([*common, *silenced]) == 0
        err = capsys.readouterr().err
        assert "warning: format:" in err
        assert "size:" not in err
        assert "duplicates:" not in err
        with pytest.raises(SystemExit):
            main([*common, "--silence", "everything"])

    def test_damaged_files_of_each_side_once(self, extractor, tmp_path, capsys):
        sets = [folder(tmp_path / name, pictures(70, seed=seed)) for seed, name in enumerate("ab")]
        for file in [path / f"00{i}.png" for path in sets for i in range(5)]:
            file.write_bytes(file.read_bytes()[:-2] + b"\0\0")
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always", fastfid.FastFIDWarning)
            result = fastfid.compare(*sets, model=extractor)
        assert list(result.warnings) == [str(w.message) for w in heard]
        for path, text in zip(sets, result.warnings, strict=True):
            first = f"{path / '000.png'} (the checksum of its chunk IEND is wrong)"
            say = "images were decoded from files with signs of damage"
            assert text.startswith(f"damaged: {path}: 5 of 70 {say}: {first}; ")
        common = [*map(str, sets), "--model", "inception-v3-random", "--dims", "64", "--quiet"]
        assert main([*common, "--silence", "damaged"]) == 0
        assert "damaged:" not in capsys.readouterr().err

    def test_of_one_side(self, extractor, sets):
        with pytest.warns(fastfid.FastFIDWarning, match="duplicates: .*3 of 83"):
            fastfid.statistics(sets[1], model=extractor)

    def test_real_encoders(self, extractor, tmp_path):
        for name, quality in (("a", 60), ("b", 95)):
            (tmp_path / name).mkdir()
            for i, image in enumerate(pictures(70, seed=quality)):
                Image.fromarray(image).save(tmp_path / name / f"{i}.jpg", quality=quality)
        with pytest.warns(fastfid.FastFIDWarning, match="jpeg-quality: quality about 60 in .* about 95 in"):
            fastfid.score(tmp_path / "a", tmp_path / "b", model=extractor)

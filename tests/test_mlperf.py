"""The accuracy log of MLPerf's loadgen: the images of its entries, and what is no such log."""

import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastfid.errors import ImageError, InputError
from fastfid.files.json_scan import Scanner, Text
from fastfid.sources import open_source, read_items
from pictures import pictures

STACK = pictures(9, 8)


def log(path, entries, end="\n]\n"):
    """Write entries (qsl_idx, data) as loadgen does."""
    texts = [
        f'{{ "seq_id" : {number}, "qsl_idx" : {index}, "data" : "{data.hex().upper()}", "token_count" : 0 }}'
        for number, (index, data) in enumerate(entries)
    ]
    path.write_text("[\n" + ",\n".join(texts) + end)
    return path


def pixels(source):
    return np.array([item.decode().pixels for item in read_items(source)])


def encoded(image, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("write", ["loadgen", "json", "indented"])
def test_images_in_the_order_of_their_prompts(tmp_path, write):
    order = [4, 0, 8, 2, 6, 1, 3, 7, 5]
    path = tmp_path / "mlperf_log_accuracy.json"
    if write == "loadgen":
        log(path, [(index, STACK[index].tobytes()) for index in order])
    else:
        entries = [{"data": STACK[index].tobytes().hex(), "x": -1.5, "qsl_idx": index, "y": None} for index in order]
        path.write_text(json.dumps(entries, indent=2 if write == "indented" else None))
    source = open_source(path)
    assert (source.size, source.ordered, source.notes) == (9, False, ())
    np.testing.assert_array_equal(pixels(source), STACK)
    again = pickle.loads(pickle.dumps(source))
    (item,) = again.read([3])
    assert (item.name, again.key_of(3)) == (f"{path}: qsl_idx 3", "qsl_idx 3")
    assert list(again.proofs([3], content=True)) == list(source.proofs([0], content=True)) != [""]
    np.testing.assert_array_equal(item.decode().pixels, STACK[3])


def test_the_first_response_counts_as_in_mlperfs_check(tmp_path):
    entries = [(1, STACK[1]), (0, STACK[0]), (1, STACK[5]), (0, STACK[6]), (1, STACK[7])]
    source = open_source(log(tmp_path / "a.json", [(index, image.tobytes()) for index, image in entries]))
    np.testing.assert_array_equal(pixels(source), STACK[:2])
    assert source.notes == (
        f"{tmp_path / 'a.json'}: 3 responses to a prompt that has one already; the first counts, as in MLPerf's check",
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_data_that_are_image_files(tmp_path, kind):
    files = [encoded(image, kind) for image in STACK]
    items = list(read_items(open_source(log(tmp_path / "a.json", enumerate(files)))))
    for item, file in zip(items, files, strict=True):
        found = item.decode()
        assert found.encoding == kind
        np.testing.assert_array_equal(found.pixels, np.asarray(Image.open(io.BytesIO(file)).convert("RGB")))


@pytest.mark.parametrize("begin", [b"BM", b"\xff\xd8\xff", b"\xff\xd8\xff\xff", b"P6 ", b"GIF8"])
def test_pixels_that_begin_like_a_file_are_pixels(tmp_path, begin):
    images = STACK.copy()
    for image in images:
        image.reshape(-1)[: len(begin)] = list(begin)
    source = open_source(log(tmp_path / "a.json", [(i, image.tobytes()) for i, image in enumerate(images)]))
    np.testing.assert_array_equal(pixels(source), images)


def test_a_response_that_is_no_image_can_be_left_out(tmp_path):
    path = log(tmp_path / "a.json", [(0, STACK[0].tobytes()), (1, b"12345"), (2, encoded(STACK[2])[:60])])
    text = path.read_text().replace("}\n]", '},\n{"qsl_idx": 3, "data": "0g"},\n{"qsl_idx": 4, "data": ""}\n]')
    path.write_text(text)
    items = list(read_items(open_source(path)))
    items[0].decode()
    for index, message in enumerate(["neither an image file nor", "cannot decode", "Non-hex", "its 0 bytes"], 1):
        with pytest.raises(ImageError, match=message) as caught:
            items[index].decode()
        assert f"qsl_idx {index}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "was expected before byte 0"),
        ("{}", r"\[ was expected"),
        ("[]", "empty: no images"),
        ("[1]", "an object was expected"),
        ('[{"qsl_idx": 0, "data": "00"}, ]', "an object was expected"),
        ('[{"qsl_idx": 0, "data": "00"}', "a comma or the end of the list was expected .*cut short"),
        ('[{"qsl_idx": 0, "data": "00', "the end of a text was expected"),
        ('[{"qsl_idx": 0, "data": "00"}] x', "the end of the file was expected"),
        ('[{"qsl_idx": 0}]', "entry 0 has no number qsl_idx or no text data"),
        ('[{"qsl_idx": "0", "data": "00"}]', "entry 0 has no number"),
        ('[{"qsl_idx": 0, "data": [1, 2]}]', "a text or a number was expected"),
        ('[{"qsl_idx": -1, "data": "00"}]', "entry 0 has no number"),
        ('[{"qsl_idx": 0, "data": "a\\"b"}]', "has escapes"),
        ('[{"qsl_idx": 0, "data": "0A000000"}]', "its first data has 4 bytes.* another benchmark"),
        ('[{"qsl_idx": 0, "data": "zz"}]', "Non-hex"),
        ('[{"qsl_idx": 1' + "0" * 300 + ', "data": "00"}]', "a number has 301 characters"),
        ("[{" + ", ".join(f'"{i}": 0' for i in range(1001)) + "}]", "more than 1000 keys"),
        ('[{"' + "a" * 300 + '": 0}]', "a short key was expected"),
        ("[{" * 100_000, "a short key was expected"),
        ('{"images": [], "annotations": []}', r"\[ was expected"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_log_that_changes_is_noticed(tmp_path):
    path = log(tmp_path / "a.json", [(i, image.tobytes()) for i, image in enumerate(STACK)])
    items = list(read_items(open_source(path)))
    path.write_text(path.read_text() + " ")
    with pytest.raises(InputError, match="has changed since it was opened"):
        items[0].decode()


class Parts(io.BytesIO):
    """Gives a few bytes at a time, so that the ends of parts fall everywhere."""

    def read(self, size=-1):
        return super().read(min(size, 3) if size > 0 else size)


values = st.one_of(
    st.integers(0, 10**17),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False),
    st.text("0123456789ABCDEF", max_size=400),
)


@given(st.lists(st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=4), max_size=4), st.booleans())
def test_the_scanner_is_json(objects, indented):
    text = json.dumps(objects, indent=1 if indented else None).encode()
    found = list(Scanner(Parts(text)).objects())
    for parsed, expected in zip(found, objects, strict=True):
        assert parsed.keys() == expected.keys()
        for key, value in expected.items():
            if isinstance(value, str):
                assert isinstance(parsed[key], Text)
                start, length, short = parsed[key]
                assert text[start : start + length].decode() == value
                assert short == (value if len(value) <= 256 else None)
            elif isinstance(value, int) and not isinstance(value, bool):
                assert parsed[key] == value
            else:
                assert parsed[key] is None


@given(st.text('[]{},:" \n1', max_size=30))
def test_what_the_scanner_accepts_is_json(text):
    try:
        found = list(Scanner(io.BytesIO(text.encode())).objects())
    except ValueError:
        return
    assert len(found) == len(json.loads(text, strict=False))

"""Archives with several images in each sample: `image_key` chooses one, as in the samples of WebDataset."""

import gc
import gzip
import io

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.errors import InputError
from fastfid.sources import open_source
from test_archives import STACK, png, write_tar, write_zip


def samples(tmp_path, kind):
    """Write samples of two images each, the last one with one of them, and other files."""
    members = [("README", b"x"), ("a.b/notes", b"x"), ("a.b/._0000.target.png", b"x")]
    for index in range(4):
        members += [(f"a.b/{index:04}.input.png", png(index)), (f"a.b/{index:04}.json", b"{}")]
        members += [(f"a.b/{index:04}.TARGET.png", png(index + 4))] * (index < 3)
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        return write_zip(path, members)
    plain = write_tar(tmp_path / "plain", members).read_bytes()
    path.write_bytes(gzip.compress(plain) if kind == "tar.gz" else plain)
    return path


@pytest.mark.filterwarnings("ignore:.*image_key. 1:fastfid.FastFIDWarning")
@pytest.mark.parametrize("kind", ["tar", "zip", "tar.gz"])
@pytest.mark.parametrize("in_folder", [True, False])
def test_image_key_chooses_among_the_files_of_a_sample(tmp_path, kind, in_folder):
    path = samples(tmp_path, kind)
    (tmp_path / "plain").unlink(missing_ok=True)
    given = tmp_path if in_folder else path
    found = {}
    for key in ("input.png", "target.png", "Target.PNG"):
        source = open_source(given, image_key=key)
        found[key] = [item.decode().pixels for item in source.read(range(source.size or 9))]
    np.testing.assert_array_equal(found["input.png"], STACK[:4])
    np.testing.assert_array_equal(found["target.png"], STACK[4:7])
    np.testing.assert_array_equal(found["Target.PNG"], STACK[4:7])


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves the shards open
def test_image_key_chooses_what_webdataset_chooses(tmp_path):
    wds = pytest.importorskip("webdataset")
    path = samples(tmp_path, "tar")
    rows = [row for row in wds.WebDataset(str(path), shardshuffle=False, empty_check=False) if "target.png" in row]
    gc.collect()
    np.testing.assert_array_equal(
        [item.decode().pixels for item in open_source(path, image_key="target.png").read(range(3))],
        [np.asarray(Image.open(io.BytesIO(row["target.png"]))) for row in rows],
    )


@pytest.mark.parametrize("kind", ["tar", "zip", "tar.gz"])
def test_a_key_that_no_member_has_is_an_error(tmp_path, kind):
    path = samples(tmp_path, kind)
    message = "no images in .*: no member has 'nonsense' .* it is one of 'input.png', 'json', 'target.png'$"
    with pytest.raises(InputError, match=message):
        list(open_source(path, image_key="nonsense").read(range(9)))


def test_samples_without_the_key_are_told(tmp_path):
    text = "samples without target.png, the image_key: 1"
    assert text in open_source(samples(tmp_path, "tar"), image_key="target.png").notes
    assert not [note for note in open_source(samples(tmp_path, "tar")).notes if "image_key" in note]
    with pytest.warns(fastfid.FastFIDWarning, match="samples of .* without target.png, the image_key: 1"):
        list(open_source(samples(tmp_path, "tar.gz"), image_key="target.png").read(range(9)))

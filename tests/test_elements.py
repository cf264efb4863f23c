"""Files and their bytes as elements of an iterable: the same number as from a folder, and bad ones left out."""

import io

import numpy as np
import pytest

import fastfid
from fastfid.errors import ImageError
from pictures import folder, pictures

_IGNORED = "few-images|duplicates|same-images|.*images? left out"
pytestmark = pytest.mark.filterwarnings(f"ignore:{_IGNORED}:fastfid.FastFIDWarning")


@pytest.fixture(scope="module")
def extractor():
    return fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)


@pytest.fixture
def files(tmp_path):
    return sorted(folder(tmp_path / "set", pictures(9)).iterdir())


@pytest.mark.parametrize(
    "element",
    [
        lambda path: path.read_bytes(),
        lambda path: io.BytesIO(path.read_bytes()),
        lambda path: {"bytes": path.read_bytes(), "path": path.name},
        lambda path: {"bytes": None, "path": str(path)},
    ],
    ids=["bytes", "BytesIO", "dict of bytes", "dict of path"],
)
def test_features_are_those_of_the_folder(extractor, files, element):
    np.testing.assert_array_equal(extractor(map(element, files)), extractor(files[0].parent))


def test_damaged_elements_are_left_out_and_named(extractor, files):
    contents = [file.read_bytes() for file in files]
    contents[2] = contents[2][:-60]
    elements = [*contents[:5], {"bytes": b"GIF89a", "path": "train/5.gif"}, io.BytesIO(), *contents[6:]]
    result = fastfid.compare(elements, files[0].parent, model=extractor, on_error="skip", progress=False)
    assert (result.a.n, result.b.n) == (7, 9)
    named = ["image 2 of the list", "image 5 of the list (train/5.gif)", "image 6 of the list"]
    assert len(result.a.rejected) == 3
    for text, name in zip(result.a.rejected, named, strict=True):
        assert text.startswith(f"cannot decode {name}: ")
    with pytest.raises(ImageError, match="cannot decode image 2 of the list"):
        fastfid.compare(elements, files[0].parent, model=extractor, progress=False)


def test_features_and_moments_in_place_of_images_name_the_way(extractor, files):
    features = extractor(files)
    way = r"frechet_distance_from_features\(x, y\), or give Statistics\(dims\)\.update\(features\)"
    for side in (features, list(features), features.astype(np.float16)):
        with pytest.raises(fastfid.InputError, match=way):
            fastfid.score(side, files, model=extractor, progress=False)
    statistics = fastfid.Statistics(64).update(features)
    with pytest.raises(fastfid.InputError, match=r"Statistics\.from_moments\(mu, sigma\)"):
        fastfid.score((statistics.mu, statistics.sigma), files, model=extractor)
    moments = fastfid.Statistics.from_moments(statistics.mu, statistics.sigma)
    assert abs(fastfid.frechet_distance(moments.mu, moments.sigma, statistics.mu, statistics.sigma)) < 1e-9

"""Reference files for ADM's evaluator: what they hold, and that they are comparable with themselves."""

import zipfile

import numpy as np
import pytest

import fastfid
from fastfid import Extractor, InputError, compare, reference
from fastfid.cli.main import main
from pictures import folder, pictures
from stand_in import small_inception

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

ROLES = ("features", "logits_unbiased", "spatial")


@pytest.fixture(scope="module")
def extractor():
    with small_inception():
        return Extractor("inception-v3-random", mode="tensorflow", batch_size=4, roles=ROLES)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("real"), pictures(14, seed=1))


@pytest.fixture(scope="module")
def whole(real, tmp_path_factory, extractor):
    """A reference of all images."""
    return reference(real, tmp_path_factory.mktemp("whole") / "ref.npz", model=extractor)


def test_what_it_holds(real, tmp_path, extractor):
    path = reference(real, tmp_path / "ref", images=6, seed=3, model=extractor)
    assert path == tmp_path / "ref.npz"
    seen = fastfid.load(path).seen  # of all images, for the warnings of a comparison with them
    assert (seen.accepted, seen.encodings, len(seen.digests)) == (14, {"PNG": 14}, 14)
    chosen = np.sort(np.random.RandomState(3).permutation(14)[:6])
    with np.load(path) as held:
        assert {
            key: (held[key].shape, held[key].dtype.name) for key in ("arr_0", "mu", "sigma", "mu_s", "sigma_s")
        } == {
            "arr_0": ((6, 32, 32, 3), "uint8"),
            "mu": ((2048,), "float64"),
            "sigma": ((2048, 2048), "float64"),
            "mu_s": ((2023,), "float64"),
            "sigma_s": ((2023, 2023), "float64"),
        }
        assert np.array_equal(held["arr_0"], pictures(14, seed=1)[chosen])
        expected = fastfid.statistics(real, model=extractor)
        assert np.array_equal(held["mu"], expected.mu)
        assert np.array_equal(held["sigma"], expected.sigma)
        assert held["n"] == 14
    with zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as file:
        assert np.lib.format.read_magic(file) == (1, 0)  # the evaluator streams versions 1.0 and 2.0


def test_it_is_a_side(real, whole, extractor):
    result = compare(pictures(9), whole, model=extractor, metrics=["fid", "kid"])
    expected = compare(pictures(9), real, model=extractor, metrics=["fid", "kid"])
    assert result.fid == pytest.approx(expected.fid, rel=1e-9)  # from covariances, not from rows
    assert result.scores["kid"].value == expected.scores["kid"].value


def test_all_images_if_there_are_few(whole):
    with np.load(whole) as held:
        assert np.array_equal(held["arr_0"], pictures(14, seed=1))


def test_errors_leave_nothing(real, tmp_path, extractor):
    mixed = folder(tmp_path / "mixed", pictures(3))
    folder(mixed, pictures(5, 64)[3:], ending="bmp")
    (tmp_path / "there.npz").write_bytes(b"there")
    saved = fastfid.statistics(real, model=extractor).save(tmp_path / "saved.npz")
    before = sorted(tmp_path.iterdir())
    for source, name, message in (
        (mixed, "out", r"has 32x32 pixels, the first image 64x64: a reference file needs images of one size"),
        (real, "there", "there.npz exists already"),
        (saved, "out", "has no Statistics of spatial: give the images"),
        (iter(pictures(4)), "out", "can be read only once"),
        (tmp_path / "nowhere", "out", "nowhere"),
    ):
        with pytest.raises(InputError, match=message):
            reference(source, tmp_path / name, model=extractor)
        assert sorted(tmp_path.iterdir()) == before
    for images in (1, 2.5, "3"):
        with pytest.raises(InputError, match="images"):
            reference(real, tmp_path / "out", images=images, model=extractor)
    other = Extractor("inception-v3-random", dims=64)
    with pytest.raises(InputError, match="mode='tensorflow' does not fit the Extractor"):
        reference(real, tmp_path / "out", model=other)


@pytest.fixture
def network():
    with small_inception():
        yield


@pytest.mark.usefixtures("network")
def test_the_command(real, tmp_path, capsys):
    arguments = [str(real), str(tmp_path / "ref"), "--model", "inception-v3-random"]
    assert main(["reference", *arguments, "--images", "5", "--seed", "1", "--protocol", "adm"]) == 0
    assert f"wrote {tmp_path / 'ref.npz'}" in capsys.readouterr().err
    with np.load(tmp_path / "ref.npz") as held:
        assert held["arr_0"].shape == (5, 32, 32, 3)
    assert main(["reference", *arguments]) == 1
    assert "exists already; --force" in capsys.readouterr().err
    assert main(["reference", *arguments, "--force"]) == 0
    with pytest.raises(SystemExit):
        main(["reference", *arguments, "--images", "many"])


def test_the_published_terms_of_a_fid_add_up():
    """Terms of a FID against ADM's VIRTUAL_imagenet512.npz, whose trace is the third (guided-diffusion#166)."""
    gap, first, second, product = 0.5444087052905134, 164.41316997634908, 180.60860338424823, 342.4942215742233
    low, high = 0.0, second / 2  # the share of the second trace in the first dimension, where the first has half
    for _ in range(200):
        share = (low + high) / 2
        terms = 2 * (np.sqrt(first / 2 * share) + np.sqrt(first / 2 * (second - share)))
        low, high = (share, high) if terms < product else (low, share)
    sigmas = [np.diag([first / 2, first / 2]), np.diag([share, second - share])]
    assert [np.trace(sigma) for sigma in sigmas] == pytest.approx([first, second], rel=1e-15)
    mus = [np.zeros(2), np.array([np.sqrt(gap), 0])]
    fid = fastfid.frechet_distance(mus[0], sigmas[0], mus[1], sigmas[1])
    assert fid == pytest.approx(3.0719604916645267, abs=1e-12)

"""score, compare and statistics: the main job, on the built-in network's cheapest tap."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
from PIL import Image

import fastfid
from pictures import folder, pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than:fastfid.FastFIDWarning")


@pytest.fixture(scope="module")
def extractor():
    return fastfid.Extractor("inception-v3-random", dims=64, batch_size=8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return folder(root / "dark", pictures(12, high=128)), folder(root / "light", pictures(15, seed=1, low=64))


def test_score_is_the_distance_of_the_features(extractor, folders):
    a, b = folders
    expected = fastfid.frechet_distance_from_features(extractor(a), extractor(b))
    assert fastfid.score(a, b, model=extractor) == pytest.approx(expected, rel=1e-12)


def test_every_way_to_give_the_same_images_gives_the_same_number(extractor, folders, tmp_path):
    a, b = folders
    images = pictures(12, high=128)
    np.save(tmp_path / "a.npy", images)
    np.savez_compressed(tmp_path / "a.npz", arr_0=images, arr_1=np.arange(12))
    expected = fastfid.score(a, b, model=extractor)
    ways = [
        str(a),
        images,
        images.astype(np.int64),
        list(images),
        (Image.fromarray(image) for image in images),
        sorted(a.iterdir()),
        tmp_path / "a.npy",
        str(tmp_path / "a.npz"),
        fastfid.statistics(a, model=extractor),
        fastfid.statistics(a, model=extractor).save(tmp_path / "stats"),
    ]
    assert [fastfid.score(way, b, model=extractor) for way in ways] == [expected] * len(ways)


def test_a_set_against_itself_is_zero(extractor, folders):
    a, _ = folders
    trace = np.trace(fastfid.statistics(a, model=extractor).sigma)
    with pytest.warns(fastfid.FastFIDWarning, match="12 images are in both"):
        assert abs(fastfid.score(a, a, model=extractor)) <= 1e-9 * trace


def test_a_comparison_says_what_it_computed(extractor, folders):
    a, b = folders
    result = fastfid.compare(a, b, model=extractor)
    assert result.fid == pytest.approx(result.mean_term + result.trace_term)
    assert result.fid == fastfid.score(a, b, model=extractor)
    assert (result.a, result.b) == (fastfid.Side(str(a), 12), fastfid.Side(str(b), 15))
    assert result.rank == (11, 14)
    assert 0 < result.error_estimate < 1e-9 * result.fid
    assert result.provenance == extractor.provenance
    assert not result.forced
    assert any("12 images are fewer than 64 dims" in text for text in result.warnings)
    assert any("not comparable with published FIDs" in text for text in result.notes)
    assert json.loads(json.dumps(result.as_dict()))["fid"] == result.fid


def test_schur_agrees_and_has_no_error_estimate(extractor, folders):
    result = fastfid.compare(*folders, model=extractor, method="schur")
    assert result.fid == pytest.approx(fastfid.score(*folders, model=extractor), rel=1e-5)
    assert result.as_dict()["error_estimate"] is None
    with pytest.raises(fastfid.InputError, match="auto, schur"):
        fastfid.score(*folders, model=extractor, method="sqrt")


def test_limit_takes_a_seeded_subset(extractor, folders):
    a, b = folders
    first, again, other = (fastfid.statistics(a, model=extractor, limit=5, seed=seed) for seed in (1, 1, 2))
    assert first.n == 5
    np.testing.assert_array_equal(first.mu, again.mu)
    assert (first.mu != other.mu).any()
    assert fastfid.compare(a, b, model=extractor, limit=5).b.n == 5
    assert fastfid.statistics(a, model=extractor, limit=100).n == 12


def test_rejected_images_are_counted_and_named(extractor, tmp_path):
    path = folder(tmp_path / "set", pictures(6))
    (path / "003.png").write_bytes((path / "003.png").read_bytes()[:60])
    with pytest.raises(fastfid.ImageError, match=r"003\.png"):
        fastfid.score(path, path, model=extractor)
    other = pictures(6, seed=1)
    with pytest.warns(fastfid.FastFIDWarning, match=r"1 image left out.*003\.png"):
        result = fastfid.compare(path, other, model=extractor, on_error="skip")
    assert result.a.n == 5
    assert "003.png" in result.a.rejected[0]
    good = [i for n, i in enumerate(pictures(6)) if n != 3]
    assert result.fid == fastfid.score(good, other, model=extractor)


def test_progress_function(extractor, folders):
    seen = []
    fastfid.statistics(folders[0], model=extractor, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 12), (12, 12)]
    with pytest.raises(fastfid.InputError, match="progress"):
        fastfid.statistics(folders[0], model=extractor, progress="yes")


def test_progress_bar_on_stderr(extractor, folders, capsys):
    fastfid.statistics(folders[0], model=extractor, progress=True)
    captured = capsys.readouterr()
    assert "12/12" in captured.err
    assert "img/s" in captured.err
    assert captured.out == ""


def test_quiet_where_stderr_is_no_terminal(extractor, folders, capsys):
    fastfid.statistics(folders[0], model=extractor)
    assert capsys.readouterr() == ("", "")


class TestStatisticsAsSides:
    def test_two_statistics_need_no_model(self, extractor, folders):
        a, b = (fastfid.statistics(f, model=extractor) for f in folders)
        assert fastfid.score(a, b, model="no-such-model") == fastfid.score(*folders, model=extractor)

    def test_what_does_not_fit_is_refused_before_the_network_runs(self, extractor, folders):
        a, b = folders
        other = fastfid.Extractor("inception-v3-random", dims=64, mode="tensorflow")
        stats = fastfid.statistics(a, model=other)

        def never():
            raise AssertionError("the network ran")
            yield

        with pytest.raises(fastfid.StatisticsMismatch, match="mode tensorflow in.*, pytorch in"):
            fastfid.score(stats, never(), model=extractor)
        with pytest.warns(fastfid.FastFIDWarning, match="because of force"):
            result = fastfid.compare(stats, b, model=extractor, force=True)
        assert result.forced

    def test_different_dims_cannot_be_forced(self, extractor):
        short = fastfid.Statistics.from_moments(np.zeros(3), np.eye(3), 10)
        with pytest.raises(fastfid.StatisticsMismatch, match="dims 3.*64"):
            fastfid.score(short, pictures(4), model=extractor, force=True)

    def test_a_foreign_file_is_accepted_with_a_warning(self, extractor, folders, tmp_path):
        own = fastfid.statistics(folders[0], model=extractor)
        np.savez(tmp_path / "foreign.npz", mu=own.mu, sigma=own.sigma)
        with pytest.warns(fastfid.FastFIDWarning, match="no record"):
            fid = fastfid.score(tmp_path / "foreign.npz", folders[1], model=extractor)
        assert fid == pytest.approx(fastfid.score(*folders, model=extractor), rel=1e-9)


class TestBadInput:
    def test_both_sides_are_checked_before_the_network_runs(self, folders):
        with pytest.raises(fastfid.InputError, match="no-such-folder"):
            fastfid.score(folders[0], "no-such-folder", model="a model that is not looked up")

    def test_one_image_is_not_enough(self, extractor):
        with pytest.raises(fastfid.InputError, match="at least 2"):
            fastfid.score(pictures(1), pictures(2), model=extractor)
        with pytest.raises(fastfid.InputError, match="gave 1 readable"):
            fastfid.score(iter(pictures(1)), pictures(2), model=extractor)

    def test_nothing_readable(self, extractor, tmp_path):
        for name in "abc":
            (tmp_path / f"{name}.png").write_bytes(b"")
        with pytest.raises(fastfid.InputError, match="gave 0 readable"):
            fastfid.score(tmp_path, tmp_path, model=extractor, on_error="skip")

    def test_pixels_in_0_to_1_are_noticed(self, extractor):
        with pytest.warns(fastfid.FastFIDWarning, match="largest pixel is 1"):
            fastfid.statistics(pictures(4) // 128, model=extractor)

    def test_floats_are_refused(self, extractor):
        with pytest.raises(fastfid.InputError, match="255"):
            fastfid.statistics(pictures(4) / 255, model=extractor)

    def test_losses_are_told_once_with_their_count(self, extractor, tmp_path):
        folder(tmp_path, pictures(4))
        for name in ("x", "y"):
            Image.new("RGBA", (32, 32), (1, 2, ord(name), 4)).save(tmp_path / f"{name}.png")
        with pytest.warns(fastfid.FastFIDWarning, match=r"2 images have transparency"):
            fastfid.statistics(tmp_path, model=extractor)

    def test_a_limit_that_the_second_side_cannot_have_costs_no_run(self, extractor):
        seen = []
        with pytest.raises(fastfid.InputError, match="islice"):
            fastfid.score(pictures(6), iter(pictures(6)), model=extractor, limit=3, progress=lambda *s: seen.append(s))
        assert seen == []

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"seed": -1}, "seed must be between"),
            ({"num_workers": 1.5}, "num_workers must be a whole number"),
            ({"on_error": "ignore"}, "on_error"),
            ({"bootstrap": "50"}, "bootstrap must be a whole number"),
            ({"bootstrap": 10**400}, "bootstrap must be at most 1000000 replicates, got 1000"),
        ],
    )
    def test_bad_options_are_refused_before_anything_is_read(self, options, text):
        with pytest.raises(fastfid.InputError, match=text):
            fastfid.compare("no-such-folder", "no-such-folder", **options)

    @pytest.mark.parametrize(("name", "value"), [("limit", 5.0), ("limit", "5"), ("dims", "64"), ("dims", 64.0)])
    def test_numbers_must_be_whole(self, name, value):
        with pytest.raises(fastfid.InputError, match=f"{name} must be a whole number"):
            fastfid.statistics(pictures(3), **{"model": "inception-v3-random", "dims": 64, name: value})

    @pytest.mark.parametrize("model", [None, 5])
    def test_a_model_is_a_name_or_a_path(self, model):
        with pytest.raises(fastfid.ModelError, match="a model is a name or a path"):
            fastfid.Extractor(model)

    def test_settings_are_checked_before_a_download(self, folders, monkeypatch):
        monkeypatch.setattr("fastfid.networks.load", lambda *_, **__: pytest.fail("the model was looked up"))
        for options in ({"device": "gpu"}, {"precision": "fp8"}, {"batch_size": 0}, {"device": None}):
            with pytest.raises(fastfid.InputError):
                fastfid.score(*folders, **options)

    def test_an_empty_path_is_not_the_current_folder(self, extractor, folders, monkeypatch):
        monkeypatch.chdir(folders[0])
        with pytest.raises(fastfid.InputError, match="empty path"):
            fastfid.score("", folders[1], model=extractor)

    def test_a_limit_does_not_reach_statistics(self, extractor, folders):
        known = fastfid.statistics(folders[0], model=extractor)
        with pytest.warns(fastfid.FastFIDWarning, match="limit=3 does not apply"):
            assert fastfid.compare(known, folders[1], model=extractor, limit=3).a.n == 12

    def test_an_extractor_brings_its_own_settings(self, extractor):
        with pytest.raises(fastfid.InputError, match="device='cuda:0' does not fit"):
            fastfid.statistics(pictures(2), model=extractor, device="cuda")
        assert fastfid.statistics(pictures(2), model=extractor, device="cpu:0").n == 2
        with pytest.raises(fastfid.InputError, match="mode='tensorflow' does not fit"):
            fastfid.statistics(pictures(2), model=extractor, mode="tensorflow")
        with pytest.raises(fastfid.InputError, match="dims=192"):
            fastfid.statistics(pictures(2), model=extractor, dims=192)

    @pytest.mark.parametrize(
        ("option", "value"),
        [("mode", "pytorch"), ("dims", 2048), ("batch_size", 16), ("precision", "fp32"), ("device", "cpu")],
    )
    def test_a_default_that_is_given_is_a_value(self, monkeypatch, option, value):
        other = fastfid.Extractor("inception-v3-random", mode="tensorflow", dims=64, batch_size=8)
        elsewhere = dataclasses.replace(other.provenance, precision="fp16", device="cuda:1")
        monkeypatch.setattr(other.opened, "provenance", elsewhere)
        assert fastfid.statistics(pictures(2), model=other, device="auto").n == 2
        for function, sides in ((fastfid.score, 2), (fastfid.compare, 2), (fastfid.statistics, 1)):
            with pytest.raises(fastfid.InputError, match=f"{option}={value!r} does not fit the Extractor"):
                function(*[pictures(2)] * sides, model=other, **{option: value})

    @pytest.mark.parametrize("function", [fastfid.score, fastfid.compare, fastfid.statistics, fastfid.Extractor])
    def test_signatures_show_the_defaults(self, function):
        shown = str(inspect.signature(function))
        options = ("Preprocessing = 'pytorch'", "dims: int = 2048", "device: str = 'auto'", "precision: str = 'fp32'")
        assert all(text in shown for text in options)

    def test_what_made_the_features_is_plain_data(self, extractor):
        made_by = extractor.provenance
        assert all(type(value) in (str, int, dict) for value in dataclasses.asdict(made_by).values())

    @pytest.mark.parametrize("name", ["DeviceError", "ImageError", "InputError", "LinAlgError", "ModelError"])
    def test_every_error_has_one_base(self, name):
        assert issubclass(getattr(fastfid, name), fastfid.FastFIDError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", np.array(["auto", "schur"])),
        ("on_error", np.array(["raise", "skip"])),
        ("precision", ["fp32"]),
        ("device", ["cpu"]),
        ("dims", np.array([64, 64])),
        ("batch_size", np.array([4, 4])),
    ],
)
def test_arrays_where_a_word_or_a_number_belongs(extractor, name, value):
    with pytest.raises(fastfid.InputError, match=name):
        fastfid.compare(pictures(3), pictures(3), model=extractor, **{name: value})

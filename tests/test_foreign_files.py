"""Statistics files of other tools, written here as each tool writes them, and files for them."""

import json
import logging
import pickle
import tracemalloc

import numpy as np
import pytest

import fastfid
from fastfid import InputError, Provenance, Statistics
from fastfid.cli.main import main
from fastfid.files.layouts import layouts, split_entry
from fastfid.metrics import statistics_file
from fastfid.metrics.foreign_files import FORMATS

RNG = np.random.RandomState(7)
ROWS = RNG.standard_normal((50, 4)).astype(np.float32) * 3 + 5
MU, SIGMA = ROWS.mean(axis=0, dtype=np.float64), np.cov(ROWS, rowvar=False)
OTHER = RNG.standard_normal((60, 6))

pytestmark = pytest.mark.filterwarnings("ignore:.*no record of the model|same-images:fastfid.FastFIDWarning")


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def pkl(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def refused(path, message, **options):
    with pytest.raises(InputError, match=message) as caught:
        Statistics.load(path, **options)
    assert str(path).split("#")[0] in str(caught.value)


def stored(path, **options):
    return statistics_file.load(path, pytest.fail, force=False, **options)


def edm2(rows=ROWS, **more):
    return {"num_images": len(rows), "fid": {"mu": MU, "sigma": SIGMA}, **more}


def dinov2():
    return {"fd_dinov2": {"mu": OTHER.mean(axis=0), "sigma": np.cov(OTHER, rowvar=False)}}


class FeatureStats:
    """What StyleGAN2 and 3 accumulate, batch by batch; `__dict__` is pickled."""

    def __init__(self, rows, capture_all=False, capture_mean_cov=True, batch=8):
        self.capture_all, self.capture_mean_cov = capture_all, capture_mean_cov
        self.max_items, self.num_items, self.num_features = len(rows), 0, rows.shape[1]
        self.all_features = []
        self.raw_mean = np.zeros([rows.shape[1]], np.float64)
        self.raw_cov = np.zeros([rows.shape[1]] * 2, np.float64)
        for start in range(0, len(rows), batch):
            part = np.asarray(rows[start : start + batch], np.float32)
            self.num_items += len(part)
            if capture_all:
                self.all_features.append(part)
            if capture_mean_cov:
                self.raw_mean += part.astype(np.float64).sum(axis=0)
                self.raw_cov += part.astype(np.float64).T @ part.astype(np.float64)

    def mean_cov(self):
        mean = self.raw_mean / self.num_items
        return mean, self.raw_cov / self.num_items - np.outer(mean, mean)


class TestRead:
    def check(self, path, n=50, **options):
        s = Statistics.load(path, **options)
        np.testing.assert_allclose(s.mu, MU, rtol=1e-6)  # a mean in float32
        np.testing.assert_allclose(s.sigma, SIGMA, rtol=1e-9)
        assert s.n == n
        return s

    def test_the_fork_of_torch_fidelity(self, tmp_path):
        path = npz(tmp_path / "adm_in256_stats.npz", mu=MU.astype(np.float32), sigma=SIGMA)
        self.check(path, None)
        assert stored(path).notes == ()

    def test_imf(self, tmp_path):
        self.check(npz(tmp_path / "imagenet_256_fid_stats.npz", ref_mu=MU.astype(np.float32), ref_sigma=SIGMA), None)

    def test_adm_and_edm(self, tmp_path):
        images = np.zeros((5, 8, 8, 3), np.uint8)
        spatial = {"mu_s": np.zeros(9), "sigma_s": np.eye(9)}
        self.check(npz(tmp_path / "VIRTUAL.npz", arr_0=images, mu=MU, sigma=SIGMA, **spatial), None)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_the_features_of_clean_fid(self, tmp_path, dtype):
        path = tmp_path / "name_clean_custom_na_kid.npz"
        np.savez_compressed(path, feats=ROWS.astype(dtype))
        self.check(path)
        found = stored(path)
        np.testing.assert_array_equal(found.rows, ROWS)
        assert found.rows.dtype == dtype
        assert found.notes == (f"{path}: it holds features: mu and sigma are those of its 50 rows",)
        few = npz(tmp_path / "few.npz", feats=ROWS[:3])
        np.testing.assert_array_equal(Statistics.load(few).rows, ROWS[:3])  # no more than dims

    def test_half_precision_becomes_double(self, tmp_path):
        assert stored(npz(tmp_path / "f.npz", feats=ROWS.astype(np.float16))).rows.dtype == np.float64

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    @pytest.mark.parametrize("name", ["img512.pkl", "img512.PICKLE"])
    def test_edm2(self, tmp_path, protocol, name):
        path = pkl(tmp_path / name, edm2(), protocol)
        self.check(path)
        self.check(path, entry="fid")
        self.check(f"{path}#fid")
        assert fastfid.score(path, path) == pytest.approx(0, abs=1e-9)

    def test_edm2_with_two_networks(self, tmp_path):
        path = pkl(tmp_path / "img512.pkl", edm2(**dinov2()))
        self.check(path)
        assert stored(path).notes == (f"{path}: its entry fid is used; for another, name it: {path}#fd_dinov2",)
        for other in (Statistics.load(path, entry="fd_dinov2"), Statistics.load(f"{path}#fd_dinov2")):
            np.testing.assert_allclose(other.mu, OTHER.mean(axis=0))
        assert stored(f"{path}#fd_dinov2").notes == ()
        refused(path, "no entry 'fd_dinov3': its entries are fid, fd_dinov2", entry="fd_dinov3")
        refused(f"{path}#", "no entry ''")
        assert fastfid.score(f"{path}#fd_dinov2", f"{path}#fd_dinov2") == pytest.approx(0, abs=1e-9)
        with pytest.raises(fastfid.StatisticsMismatch, match=r"dims 4 in .*img512\.pkl, 6 in .*img512\.pkl#fd_dinov2"):
            fastfid.score(path, f"{path}#fd_dinov2")

    def test_one_entry_needs_no_name(self, tmp_path):
        path = pkl(tmp_path / "f.pkl", dinov2())
        assert Statistics.load(path).dims == 6
        refused(path, "no entry 'fid': its entries are fd_dinov2", entry="fid")

    def test_a_plain_pickled_dict(self, tmp_path):
        self.check(pkl(tmp_path / "f.pkl", {"mu": MU, "sigma": SIGMA}), None)
        refused(tmp_path / "f.pkl", "no entry 'fid': it has no entries", entry="fid")

    def test_fadtk(self, tmp_path):
        one = {"clap-laion-audio.mu": MU, "clap-laion-audio.cov": SIGMA}
        self.check(npz(tmp_path / "one.npz", **one), None)
        two = npz(tmp_path / "two.npz", **one, **{"vggish.mu": OTHER.mean(axis=0), "vggish.cov": np.eye(6)})
        self.check(two, None, entry="clap-laion-audio")
        assert Statistics.load(f"{two}#vggish").dims == 6
        refused(two, r"several entries, clap-laion-audio, vggish: name one of them, as in .*two\.npz#clap-laion-audio")

    def test_a_file_whose_name_has_the_sign(self, tmp_path):
        path = npz(tmp_path / "a.npz#fid.npz", mu=MU, sigma=SIGMA)
        self.check(path, None)
        refused(f"{path}#fid", "has no entries")

    @pytest.mark.parametrize("protocol", [2, 4, 5])
    def test_stylegan(self, tmp_path, protocol):
        theirs = FeatureStats(ROWS)
        path = pkl(tmp_path / "ffhq-inception.pkl", theirs.__dict__, protocol)
        s = self.check(path)
        mean, covariance = theirs.mean_cov()
        np.testing.assert_array_equal(s.mu, mean)
        np.testing.assert_allclose(s.sigma * 49 / 50, covariance, rtol=1e-14)
        found = stored(path)
        assert found.notes == (
            f"{path}: its covariance of 50 images has ddof 0; multiplied by 50/49 it has ddof 1, as everywhere else",
        )
        assert found.rows is None

    def test_stylegan_with_all_features(self, tmp_path):
        path = pkl(tmp_path / "f.pkl", FeatureStats(ROWS, capture_all=True).__dict__)
        self.check(path)
        np.testing.assert_array_equal(stored(path).rows, ROWS)
        assert stored(path).rows.dtype == np.float32

    def test_stylegan_with_features_alone(self, tmp_path):
        path = pkl(tmp_path / "f.pkl", FeatureStats(ROWS, capture_all=True, capture_mean_cov=False).__dict__)
        self.check(path)
        assert stored(path).notes == (f"{path}: it holds features: mu and sigma are those of its 50 rows",)
        nothing = pkl(tmp_path / "g.pkl", FeatureStats(ROWS, capture_mean_cov=False).__dict__)
        refused(nothing, "raw_mean and raw_cov are all zero: no mean and covariance were kept")

    def test_a_number_from_theirs_is_their_number(self, tmp_path):
        """StyleGAN's own formula on its two files, and ours with the covariances brought back to ddof 0."""
        one, two = FeatureStats(ROWS), FeatureStats(ROWS[::2] * 1.5)
        (m1, s1), (m2, s2) = one.mean_cov(), two.mean_cov()
        roots = np.sqrt(np.linalg.eigvals(s1 @ s2).real)
        theirs = np.square(m1 - m2).sum() + np.trace(s1 + s2) - 2 * roots.sum()
        a, b = (Statistics.load(pkl(tmp_path / f"{x.num_items}.pkl", x.__dict__)) for x in (one, two))
        ours = fastfid.frechet_distance(a.mu, a.sigma * 49 / 50, b.mu, b.sigma * 24 / 25)
        assert ours == pytest.approx(theirs, rel=1e-9)


class TestNotes:
    def test_of_a_run(self, tmp_path, caplog):
        path = pkl(tmp_path / "f.pkl", FeatureStats(ROWS).__dict__)
        result = fastfid.compare(path, path)
        assert any("ddof 1" in text for text in result.notes)
        with caplog.at_level(logging.INFO, "fastfid"):
            Statistics.load(path)
        assert any("ddof 1" in record.message for record in caplog.records)


class TestRefused:
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite(self, tmp_path, value):
        bad = MU.copy()
        bad[1] = value
        refused(npz(tmp_path / "f.npz", ref_mu=bad, ref_sigma=SIGMA), r"f\.npz \(ref_mu and ref_sigma\): mu holds 1")
        refused(pkl(tmp_path / "f.pkl", edm2() | {"fid": {"mu": bad, "sigma": SIGMA}}), r"\(fid\.mu and fid\.sigma\)")
        refused(npz(tmp_path / "g.npz", feats=np.where(ROWS[3, 1] == ROWS, value, ROWS)), "features holds 1")
        sums = FeatureStats(ROWS).__dict__
        refused(pkl(tmp_path / "g.pkl", sums | {"raw_mean": bad}), r"g\.pkl \(raw_mean and raw_cov\): .*not finite")
        refused(pkl(tmp_path / "g.pkl", sums | {"raw_cov": SIGMA * value}), "not finite")

    @pytest.mark.parametrize("n", [0, 1, -3, 2**53, 2.5, "5"])
    def test_a_strange_number_of_images(self, tmp_path, n):
        refused(pkl(tmp_path / "f.pkl", FeatureStats(ROWS).__dict__ | {"num_items": n}), r"f\.pkl.*n must be")
        refused(pkl(tmp_path / "f.pkl", edm2() | {"num_images": n}), r"f\.pkl.*n must be")

    def test_sums_that_are_no_covariance(self, tmp_path):
        sums = FeatureStats(ROWS).__dict__
        refused(pkl(tmp_path / "f.pkl", sums | {"raw_cov": sums["raw_cov"] / 2}), "not a covariance|negative")
        refused(pkl(tmp_path / "f.pkl", sums | {"raw_mean": sums["raw_mean"].astype(complex)}), "numbers|unknown way")
        refused(pkl(tmp_path / "f.pkl", sums | {"raw_mean": sums["raw_mean"][:3]}), r"raw_cov must have shape \(3, 3\)")

    def test_features_that_are_not_those_of_the_sums(self, tmp_path):
        whole = FeatureStats(ROWS, capture_all=True).__dict__
        refused(pkl(tmp_path / "f.pkl", whole | {"all_features": [ROWS[:8], ROWS[:42]]}), "rows do not have the mean")
        refused(pkl(tmp_path / "f.pkl", whole | {"all_features": [ROWS[:8]]}), r"rows must have shape \(50, 4\)")

    @pytest.mark.parametrize("feats", [ROWS[0], ROWS[:1], ROWS[:0], ROWS[:, :0], np.zeros((2, 3, 4)), ROWS > 0])
    def test_features_of_a_strange_shape(self, tmp_path, feats):
        refused(npz(tmp_path / "f.npz", feats=feats), "must have shape|n must be at least 2|must be real numbers")

    def test_features_that_unpack_to_too_much(self, tmp_path, monkeypatch):
        monkeypatch.setattr(statistics_file, "MOST_ROWS_BYTES", 1 << 20)
        path = tmp_path / "f.npz"
        np.savez_compressed(path, feats=np.zeros((1000, 1000)))
        tracemalloc.start()
        refused(path, "feats .*8,000,000 bytes; at most 1,048,576 are read")
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
        tracemalloc.stop()

    def test_objects(self, tmp_path):
        refused(npz(tmp_path / "f.npz", feats=np.array([[None, 1]])), "feats holds Python objects")
        refused(npz(tmp_path / "f.npz", ref_mu=np.array([None, 1]), ref_sigma=np.eye(2)), "ref_mu holds Python objects")

    def test_a_pickle_under_another_name(self, tmp_path):
        """The beginning of the file decides how it is read."""
        path = pkl(tmp_path / "f.npz", edm2())
        assert Statistics.load(path).dims == 4
        assert Statistics.load(npz(tmp_path / "g.npz", mu=MU, sigma=SIGMA).rename(tmp_path / "g.pkl")).dims == 4

    def test_what_is_missing(self, tmp_path):
        refused(tmp_path / "gone.pkl#fid", "does not exist")
        refused(
            pkl(tmp_path / "f.pkl", {"fid": {"mu": MU}, "sigma": SIGMA}), "needs mu and sigma, but holds fid.mu, sigma"
        )
        refused(pkl(tmp_path / "f.pkl", [MU, SIGMA]), "not a pickled dict of arrays")


def test_which_keys_are_statistics():
    assert layouts(["arr_0", "feats"]) == {}  # images
    assert layouts(["arr_0", "mu", "sigma"]).keys() == {""}
    assert layouts(["a.mu", "b.sigma", "c.cov", "mu", ".mu"]) == {}
    assert split_entry("a#b/c.npz") == ("a#b/c.npz", None)
    assert split_entry("a.npz#b#c") == ("a.npz#b#c", None)
    assert split_entry("folder#1") == ("folder#1", None)


class TestWritten:
    S = Statistics(4, Provenance("m", "a" * 64, "pytorch", 4)).update(ROWS)

    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("n", [3, 50])
    def test_and_read_again(self, tmp_path, form, n):
        s = Statistics(4, self.S.provenance).update(ROWS[:n])
        path = s.save(tmp_path / "s", format=form)
        assert path.name == f"s{FORMATS[form]}"
        assert [each.name for each in tmp_path.iterdir()] == [path.name]
        back = Statistics.load(path)
        np.testing.assert_array_equal(back.mu, s.mu.astype(np.float32) if form == "torch-fidelity-fork" else s.mu)
        np.testing.assert_array_equal(back.sigma, s.sigma)
        assert (back.n, back.provenance) == (n, self.S.provenance)

    def test_in_the_dtypes_that_the_fork_asserts(self, tmp_path):
        with np.load(self.S.save(tmp_path / "s", format="torch-fidelity-fork")) as file:
            assert (file["mu"].dtype, file["sigma"].dtype) == (np.float32, np.float64)

    def test_in_double_precision_for_all_others(self, tmp_path):
        """Only the fork asks for the digits of a float32."""
        with np.load(self.S.save(tmp_path / "s")) as file:
            assert (file["mu"].dtype, file["sigma"].dtype) == (np.float64, np.float64)

    def test_with_the_keys_of_imf(self, tmp_path):
        with np.load(self.S.save(tmp_path / "s", format="imf")) as file:
            np.testing.assert_array_equal(file["ref_mu"], self.S.mu)
            assert "mu" not in file

    @pytest.mark.parametrize(("dims", "entry"), [(4, "fid"), (1024, "fd_dinov2")])
    def test_as_edm2_reads_it(self, tmp_path, dims, entry):
        s = Statistics(dims).update(RNG.standard_normal((5, dims)))
        with s.save(tmp_path / "s.pkl", format="edm2").open("rb") as file:
            whole = pickle.load(file)
        assert whole.keys() == {"num_images", entry}
        assert type(whole["num_images"]) is int
        np.testing.assert_array_equal(whole[entry]["mu"], s.mu)
        np.testing.assert_array_equal(whole[entry]["sigma"], s.sigma)

    def test_without_n(self, tmp_path):
        s = Statistics.from_moments(MU, SIGMA)
        assert Statistics.load(s.save(tmp_path / "s", format="edm2")).n is None

    def test_names_no_module_that_differs_between_versions_of_numpy(self, tmp_path):
        data = self.S.save(tmp_path / "s", format="edm2").read_bytes()
        assert b"core" not in data

    def test_atomically(self, tmp_path):
        first = self.S.save(tmp_path / "s", format="edm2", overwrite=False).read_bytes()
        with pytest.raises(InputError, match=r"s\.pkl exists already"):
            Statistics(4).update(ROWS[:9]).save(tmp_path / "s", format="edm2", overwrite=False)
        assert (tmp_path / "s.pkl").read_bytes() == first

    @pytest.mark.parametrize("form", ["EDM2", "", None, 5, ["imf"]])
    def test_no_other_format(self, tmp_path, form):
        with pytest.raises(InputError, match="format must be one of fastfid, torch-fidelity-fork, imf, edm2"):
            self.S.save(tmp_path / "s", format=form)
        assert not list(tmp_path.iterdir())


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def output(self, capsys):
        self.capsys = capsys

    def run(self, *arguments):
        try:
            status = main([*map(str, arguments)])
        except SystemExit as ended:
            status = ended.code
        return status, *self.capsys.readouterr()

    @pytest.mark.parametrize("form", FORMATS)
    def test_writes_each_format(self, tmp_path, form):
        source = TestWritten.S.save(tmp_path / "source")
        status, out, err = self.run("--save-stats", source, tmp_path / "out", "--format", form, "--json")
        assert status == 0, err
        assert json.loads(out) == {"saved": str(tmp_path / f"out{FORMATS[form]}"), "n": 50, "dims": 4}
        assert self.run("--save-stats", source, tmp_path / "out", "--format", form)[0] == 1  # exists already
        assert self.run("--save-stats", source, tmp_path / "out", "--format", form, "--for")[0] == 0

    def test_reads_an_entry(self, tmp_path):
        path = pkl(tmp_path / "img512.pkl", edm2(**dinov2()))
        status, out, _ = self.run(f"{path}#fd_dinov2", f"{path}#fd_dinov2")
        assert status == 0
        assert float(out.removeprefix("FID:")) == pytest.approx(0, abs=1e-9)
        status, _, err = self.run(f"{path}#fid", f"{path}#other")
        assert status == 1
        assert "no entry 'other'" in err

    def test_refuses_a_format_that_has_no_use(self):
        status, _, err = self.run("a", "b", "--format", "imf")
        assert status == 2
        assert "--save-stats" in err
        assert self.run("--save-stats", "a", "b", "--format", "adm")[0] == 2

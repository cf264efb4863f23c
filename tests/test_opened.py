"""Recipes and open networks: recipes in another process, and batches cut by the caller."""

import pickle
import threading
from contextlib import closing
from dataclasses import FrozenInstanceError, replace
from itertools import pairwise

import numpy as np
import pytest

import fastfid
from fastfid.extraction.recipe import Identity, Recipe
from fastfid.messages import Messages, shortage
from fastfid.sources import open_source, read_items
from pictures import folder, pictures
from test_networks_roles import HIGHEST, MEAN, foreign, vi
from test_pipeline import ours
from test_session import Scarce

ROLES = ("features", "features_192")
RECIPE = Recipe("inception-v3-random", dims=64, batch_size=4, roles=ROLES)


@pytest.fixture(scope="module")
def opened():
    return RECIPE.open(Messages())


@pytest.fixture(scope="module")
def single():
    """The same network with the one output that is "features"."""
    return fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)


def items(images):
    return list(read_items(open_source(images)))


def cut(images, *sizes):
    whole, at = items(images), np.cumsum([0, *sizes]).tolist()
    return [whole[i:j] for i, j in pairwise(at)]


class TestRecipe:
    def test_what_was_opened_opens_the_same(self, opened):
        recipe = opened.recipe
        assert recipe.identity == Identity(opened.provenance.sha256, "pytorch", 64)
        assert (recipe.model, recipe.roles) == ("inception-v3-random", ROLES)
        arrived = pickle.loads(pickle.dumps(recipe))
        assert arrived == recipe
        again = arrived.open(Messages())
        assert (again.provenance, again.roles, again.recipe) == (opened.provenance, opened.roles, recipe)
        with pytest.raises(FrozenInstanceError):
            recipe.dims = 192

    def test_another_model_is_refused(self, opened):
        known = opened.recipe.identity
        for other in (known._replace(sha256="0" * 64), known._replace(mode="clean"), known._replace(dims=192)):
            with pytest.raises(fastfid.ModelError, match="is not the model that was pickled: it has the SHA-256"):
                replace(RECIPE, identity=other).open(Messages())

    def test_of_an_extractor(self, tmp_path, monkeypatch):
        (tmp_path / "own.onnx").write_bytes(foreign([MEAN], [vi("features", "N", 3)]))
        monkeypatch.chdir(tmp_path)
        extractor = fastfid.Extractor("own.onnx")
        assert extractor.recipe == Recipe(str(tmp_path / "own.onnx"), identity=extractor.opened.recipe.identity)

    def test_is_the_same_in_whatever_order_its_roles_were_given(self, opened):
        for roles in (ROLES[::-1], [*ROLES, "features"]):
            assert replace(RECIPE, roles=roles).open(Messages()).recipe == opened.recipe

    def test_without_features(self):
        bare = replace(RECIPE, roles=("features_192",)).open(Messages())
        assert (bare.roles, bare.provenance.dims) == ({"features_192": 192}, 64)

    def test_dims_of_a_foreign_network_without_features(self, tmp_path):
        (tmp_path / "own.onnx").write_bytes(foreign([MEAN, HIGHEST], [vi("features", "N", 3), vi("highest", "N", 3)]))
        bare = Recipe(tmp_path / "own.onnx", dims=7, roles=("highest",)).open(Messages())
        assert (bare.roles, bare.provenance.dims) == ({"highest": 3}, 7)
        with pytest.raises(fastfid.ModelError, match="gives 3 dims, 7 were asked for"):
            Recipe(tmp_path / "own.onnx", dims=7, roles=("features", "highest")).open(Messages())


class TestResults:
    def test_facts(self, opened, single):
        assert opened.roles == {"features": 64, "features_192": 192}
        for name in ("comparable", "provenance"):
            assert getattr(opened, name) == getattr(single, name)
        assert [opened.rows(n) for n in (None, 1, 4, 9)] == [4, 1, 4, 4]

    @pytest.mark.parametrize("sizes", [(4, 4, 1), (3, 4, 2), (1, 1, 4, 3), (2,) * 4])
    @pytest.mark.parametrize("workers", [None, 1, 5])
    def test_one_for_each_batch_wherever_a_piece_ends(self, opened, single, sizes, workers):
        images, at = pictures(9), 0
        results = list(opened.results(cut(images, *sizes), rows=4, num_workers=workers))
        assert [len(result.seen) for result in results] == list(sizes)
        expected = single(images)
        for result in results:
            count = len(result.seen)
            assert {role: rows.shape for role, rows in result.features.items()} == {
                role: (count, dims) for role, dims in opened.roles.items()
            }
            np.testing.assert_array_equal(result.features["features"], expected[at : at + count])
            assert result.chunk == 4
            at += count

    def test_each_role_is_what_it_is_alone(self, opened):
        images = pictures(6)
        (together, rest) = opened.results(cut(images, 4, 2), rows=4)
        for role in ROLES:
            alone = list(replace(RECIPE, roles=(role,)).open(Messages()).results(cut(images, 4, 2), rows=4))
            for one, other in zip(alone, (together, rest), strict=True):
                assert one.features.keys() == {role}
                np.testing.assert_array_equal(one.features[role], other.features[role])

    def test_does_not_stop_between_batches(self, opened):
        drawn = []

        def batches():
            for batch in cut(pictures(12), 4, 1, 4, 3):
                drawn.append(len(batch))
                yield batch

        with closing(opened.results(batches(), rows=4)) as results:
            next(results)
            assert drawn == [4, 1]  # the next piece was on its way before the first came back
            next(results)
            assert drawn == [4, 1, 4]

    def test_images_that_cannot_be_decoded(self, opened, single, tmp_path):
        images = pictures(7)
        path = folder(tmp_path / "set", images)
        for i in (1, 4, 5, 6):
            (path / f"{i:03}.png").write_bytes(b"no image")
        results = list(opened.results(cut(path, 4, 3), rows=4, on_error="skip"))
        np.testing.assert_array_equal(results[0].features["features"], single(images[[0, 2, 3, 0]])[:3])
        assert {role: rows.shape for role, rows in results[1].features.items()} == {
            role: (0, dims) for role, dims in opened.roles.items()
        }
        assert [image.rejected is not None for result in results for image in result.seen] == [0, 1, 0, 0, 1, 1, 1]
        with pytest.raises(fastfid.ImageError, match=r"001\.png"):
            list(opened.results(cut(path, 4, 3), rows=4))

    def test_the_chunk_that_memory_sufficed_for(self):
        scarce = RECIPE.open(Messages())
        scarce.session._session = Scarce(scarce.session._session, 1)
        results = list(scarce.results(cut(pictures(8), 4, 4), rows=4))
        assert results[-1].chunk == 1
        assert "run 1 at a time, as batch_size=1 does" in shortage(1, scarce.session.batch_size, scarce.session.device)
        assert (shortage(0, 4, "cpu"), shortage(4, 4, "cpu")) == (None, None)

    @pytest.mark.parametrize("sizes", [(4, 0), (5,)])
    def test_batches_that_do_not_fit(self, opened, sizes):
        with pytest.raises(fastfid.InputError, match=rf"1 to 4 images \(rows=4\), not {sizes[-1]}$"):
            list(opened.results(cut(pictures(9), *sizes), rows=4))
        assert ours() == []

    def test_none_at_all(self, opened):
        assert list(opened.results([], rows=4)) == []

    def test_left_early(self, opened):
        before = threading.active_count()
        with closing(opened.results(cut(pictures(9), 4, 4, 1), rows=4)) as results:
            next(results)
        assert threading.active_count() == before


class TestExtractor:
    def test_gives_the_features_whatever_else_it_has(self, single):
        several = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4, roles=ROLES)
        np.testing.assert_array_equal(several(pictures(5)), single(pictures(5)))
        assert pickle.loads(pickle.dumps(several)).opened.roles == several.opened.roles

    def test_without_features_there_are_none_to_give(self):
        bare = fastfid.Extractor("inception-v3-random", dims=64, roles=["features_192"])
        with pytest.raises(fastfid.ModelError, match=r"opened without the role 'features': it has features_192"):
            bare(pictures(2))

    def test_what_is_no_role(self):
        with pytest.raises(fastfid.InputError, match="roles must be one or more names"):
            fastfid.Extractor("inception-v3-random", roles="features")
        with pytest.raises(fastfid.ModelError, match="has no output 'feature'; it has features"):
            fastfid.Extractor("inception-v3-random", dims=64, roles=("feature",))

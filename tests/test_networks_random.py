"""The untrained network: frozen to the bit, normalised, and able to tell disturbed images from clean ones."""

import math

import numpy as np
import onnxruntime
import pytest

from fastfid import ModelError, networks
from fastfid.networks import registry
from fastfid.networks.architecture import expected_shapes
from fastfid.networks.random import batch_norm_statistics, draw, identity, random_weights


@pytest.fixture(scope="module")
def weights():
    return random_weights()


def test_identity_is_frozen(weights):
    assert identity(weights) == registry.entry("inception-v3-random").sha256
    assert {name: array.shape for name, array in weights.items()} == expected_shapes()
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}


def test_identity_sees_names_shapes_and_values():
    base = {"a": np.arange(6, dtype=np.float32), "b": np.ones(2, np.float32)}
    others = [
        {"c": base["a"], "b": base["b"]},
        {"a": base["a"].reshape(2, 3), "b": base["b"]},
        {"a": base["a"], "b": np.nextafter(base["b"], np.float32(2))},
    ]
    assert len({identity(weights) for weights in (base, *others)}) == 4
    assert identity(dict(reversed(base.items()))) == identity(base)
    transposed = np.asfortranarray(others[1]["a"])
    assert identity({**others[1], "a": transposed}) == identity(others[1])


def test_draws_have_unit_gain(weights):
    kernel = draw("some layer", (64, 32, 3, 3))
    limit = math.sqrt(3 / (32 * 9))
    assert 0.999 * limit < np.abs(kernel).max() <= np.float32(limit)
    assert abs(float((kernel**2).mean()) * 32 * 9 - 1) < 0.02
    assert not np.array_equal(kernel, draw("other layer", (64, 32, 3, 3)))
    assert not weights["fc.bias"].any()


def test_batch_norm_statistics_are_whole():
    mean, var = batch_norm_statistics()
    assert mean.shape == var.shape == (17_216,)
    assert mean.dtype == var.dtype == np.float32
    assert np.isfinite(mean).all()
    assert (var > 0.01).all()


def test_damaged_statistics_are_noticed(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path))  # where no graph is cached
    mean, var = batch_norm_statistics()
    monkeypatch.setattr("fastfid.networks.random.batch_norm_statistics", lambda: (mean, np.nextafter(var, 9)))
    with pytest.raises(ModelError, match="instead of"):
        networks.load("inception-v3-random", dims=64)


def scene(rng):
    """Discs on a gradient, (3, 299, 299) in [-1, 1]."""
    y, x = np.mgrid[:299, :299] / 149.5 - 1
    canvas = np.stack([a * x + b * y for a, b in rng.uniform(-0.4, 0.4, (3, 2))])
    for cx, cy, r, *colour in rng.uniform(-1, 1, (12, 6)):
        canvas[:, (x - cx) ** 2 + (y - cy) ** 2 < r * r / 4] = np.array(colour)[:, None]
    return canvas


def blur(x, times):
    for _ in range(times):
        for axis in (2, 3):
            x = (np.roll(x, 1, axis) + x + np.roll(x, -1, axis)) / 3
    return x


def test_features_move_further_the_more_an_image_is_disturbed():
    session = onnxruntime.InferenceSession(
        networks.load("inception-v3-random").onnx, providers=["CPUExecutionProvider"]
    )
    rng = np.random.RandomState(11)
    clean = np.stack([scene(rng) for _ in range(3)])
    noise = rng.standard_normal(clean.shape)

    def distance(batch):
        return np.linalg.norm(features(batch) - base, axis=1).mean()

    def features(batch):
        return session.run(None, {"images": np.clip(batch, -1, 1).astype(np.float32)})[0]

    base = features(clean)
    assert base.std(axis=0).mean() > 0.05
    assert np.linalg.norm(base[0] - base[1]) > 1
    for levels in (
        [distance(clean + a * noise) for a in (0.03, 0.1, 0.3)],
        [distance(blur(clean, n)) for n in (1, 5, 25)],
    ):
        assert 0 < levels[0] < levels[1] < levels[2]

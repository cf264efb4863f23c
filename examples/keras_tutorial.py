"""The Keras tutorial on the FID, step by step, with fastfid instead of Keras, scikit-image and SciPy.

    python examples/keras_tutorial.py                                # Keras' weights, downloaded once (88 MB)
    python examples/keras_tutorial.py --model my_model.weights.h5    # your own weights
    python examples/keras_tutorial.py --model inception-v3-random    # no download: an untrained network

Keras' weights need h5py: pip install 'fastfid[keras]'. The tutorial is Jason Brownlee, "How to Implement the Frechet
Inception Distance (FID) for Evaluating GANs", Machine Learning Mastery, 2019.
"""

import argparse
from collections.abc import Sequence

import numpy as np

import fastfid


def from_activations(seed: int) -> tuple[float, float]:
    """Part 1, "with NumPy": compare random activations with themselves and with other random activations."""
    rng = np.random.RandomState(seed)
    act1 = rng.random_sample(10 * 2048).reshape(10, 2048)
    act2 = rng.random_sample(10 * 2048).reshape(10, 2048)
    # calculate_fid(act1, act2). There is no imaginary part to drop, because no matrix square root is computed.
    same = fastfid.frechet_distance_from_features(act1, act1)
    different = fastfid.frechet_distance_from_features(act1, act2)
    return same, different


def from_images(model: str, n: int) -> tuple[float, float]:
    """Part 2, "with Keras": the same for random images of the size of CIFAR-10."""
    rng = np.random.RandomState(0)
    images1 = rng.randint(0, 255, n * 32 * 32 * 3).reshape(n, 32, 32, 3)
    images2 = rng.randint(0, 255, n * 32 * 32 * 3).reshape(n, 32, 32, 3)
    # InceptionV3(include_top=False, pooling="avg", input_shape=(299, 299, 3))
    extractor = fastfid.Extractor(model, mode="keras")
    # Give the images as integers from 0 to 255, of any size. Mode "keras" does the same as astype("float32"),
    # scale_images, preprocess_input and predict, to 1e-5 of the largest activation.
    act1 = extractor(images1)
    same = fastfid.frechet_distance_from_features(act1, act1)
    # One call from images to the FID. For real images, pass the arrays of keras.datasets.cifar10.load_data(), or two
    # folders; of these only a few images are in memory at a time.
    different = fastfid.score(images1, images2, model=extractor)
    return same, different


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the same output as the tutorial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="inception-v3-keras", help="a name from `fastfid models list`, or a file")
    parser.add_argument("--images", type=int, default=10, help="number of images in each collection (default: 10)")
    options = parser.parse_args(arguments)
    for seed in range(3):
        same, different = from_activations(seed)
        print(f"Activations of RandomState({seed}): FID (same): {same:.7f}, FID (different): {different:.7f}")
    same, different = from_images(options.model, options.images)
    print(f"Images: FID (same): {same:.3f}, FID (different): {different:.3f}")


if __name__ == "__main__":
    main()

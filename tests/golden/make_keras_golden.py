"""Make keras_features.npz: features that Keras' own Inception-v3 gives for the images of the Keras tutorial's pipeline.

    KERAS_BACKEND=torch python tests/golden/make_keras_golden.py

Needs Keras 3 (on any backend) and scikit-image 0.26; the tests need only the file. The weights are drawn layer by
layer, seeded by the layer's name, so that they do not depend on the order in which fastfid reads them. The file also
has the names of the layers, in the order of `model.layers`, and the shapes of the kernels.
"""

import sys
import zlib
from pathlib import Path

import numpy as np

SIZE = 299
SHAPES = [(32, 32), (500, 375), (40, 700)]
TAPS = {"64": "max_pooling2d", "192": "max_pooling2d_1", "768": "mixed7"}  # and 2048, the output


def images() -> list[np.ndarray]:
    """Blocks of 8 pixels in random colours, under noise: (h, w, 3) uint8, one of each shape."""
    drawn = []
    for height, width in SHAPES:
        rng = np.random.RandomState(height * 10_000 + width)
        blocks = rng.randint(0, 208, (-(-height // 8), -(-width // 8), 3))
        coarse = blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
        drawn.append((coarse + rng.randint(0, 48, coarse.shape)).astype(np.uint8))
    return drawn


def kernel(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One convolution, (height, width, in, out): variance 2 / fan-in, which keeps the scale through a ReLU."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, shape)
    return (drawn * np.sqrt(6 / np.prod(shape[:3]))).astype(np.float32)


def norm(name: str, channels: int) -> list[np.ndarray]:
    """One batch norm: beta, moving mean and moving variance, each of its own kind, so that no two can be mistaken."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    ranges = ((-0.5, 0.5), (-0.2, 0.2), (0.5, 1.5))
    return [rng.uniform(low, high, channels).astype(np.float32) for low, high in ranges]


def keras_model():
    """Keras' network with those weights."""
    import keras

    model = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg", input_shape=(SIZE, SIZE, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([kernel(layer.name, layer.kernel.shape)])
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(norm(layer.name, layer.beta.shape[0]))
    return model


def tutorial_input() -> np.ndarray:
    """The images as the tutorial prepares them: astype, scale_images, preprocess_input; (n, 299, 299, 3) float32."""
    from keras.applications.inception_v3 import preprocess_input
    from skimage.transform import resize

    return preprocess_input(np.asarray([resize(image.astype("float32"), (SIZE, SIZE, 3), 0) for image in images()]))


def main() -> None:
    import keras

    model = keras_model()
    taps = keras.Model(model.input, [model.get_layer(name).output for name in TAPS.values()] + [model.output])
    *maps, features = (np.asarray(output) for output in taps.predict(tutorial_input(), batch_size=1, verbose=0))
    golden = {tap: output.mean((1, 2)) for tap, output in zip(TAPS, maps, strict=True)} | {"2048": features}
    for tap, values in golden.items():
        print(
            f"{tap}: from {values.min():.3g} to {values.max():.3g}, by up to {np.ptp(values, axis=0).max():.3g} apart"
        )
    golden["layer_names"] = np.asarray([layer.name for layer in model.layers])
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    golden["kernel_names"] = np.asarray([layer.name for layer in convs])
    golden["kernel_shapes"] = np.asarray([layer.kernel.shape for layer in convs])
    np.savez_compressed(Path(__file__).with_name("keras_features.npz"), **golden)
    if len(sys.argv) > 1:  # what Keras itself writes, for a look at the whole way
        model.save_weights(Path(sys.argv[1]) / "written.weights.h5")
        model.save(Path(sys.argv[1]) / "written.h5")


if __name__ == "__main__":
    main()

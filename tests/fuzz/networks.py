"""Files of networks: torch's legacy weights, Keras' .h5 and .onnx."""

import io
import pickle
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fastfid.networks.torch_file import read_legacy_checkpoint

from .reader import Reader, expect

# --- torch


def _checkpoints() -> list[bytes]:
    from test_torch_file import SIX, SMALL, checkpoint, hwio, one, tensor

    wide = {"w": hwio(np.arange(120, dtype="<f4").reshape(5, 4, 3, 2)), "n": np.array(9, "<i8")}
    return [checkpoint(SMALL), checkpoint(wide), one(tensor(SIX, (2, 2), (0, 1), 4))]


class _Unpickler(pickle.Unpickler):
    """Python's own, with tensors as (storage, offset, shape, strides)."""

    def find_class(self, module: str, name: str) -> Any:
        found = {
            "torch._utils _rebuild_tensor_v2": lambda *arguments: arguments[:4],
            "torch FloatStorage": np.dtype("<f4"),
            "torch LongStorage": np.dtype("<i8"),
            "collections OrderedDict": dict,
        }
        return found[f"{module} {name}"]

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _by_python(data: bytes) -> dict[str, Any]:
    stream = io.BytesIO(data)
    _, _, _, views, keys = (_Unpickler(stream).load() for _ in range(5))
    storages = {}
    for key in keys:
        (size,) = struct.unpack("<q", stream.read(8))
        dtype = next(storage[1] for storage, *_ in views.values() if storage[2] == key)
        storages[key] = np.frombuffer(stream.read(size * dtype.itemsize), dtype)
    found = {}
    for name, (storage, offset, shape, strides) in views.items():
        flat = storages[storage[2]]
        places = [offset + sum(i * s for i, s in zip(index, strides, strict=True)) for index in np.ndindex(shape)]
        found[name] = flat[places].reshape(shape) if places else np.empty(shape, flat.dtype)
    return found


def _read_checkpoint(data: bytes, path: Path) -> None:
    """What is read holds no more than the file, and is what Python's unpickler finds there."""
    read = read_legacy_checkpoint(data)
    expect(all(type(key) is str and value.nbytes <= len(data) for key, value in read.items()), "more than the file")
    known = _by_python(data)
    expect(read.keys() == known.keys(), f"{read.keys()} {known.keys()}")
    for name, value in read.items():
        expect(value.shape == known[name].shape and value.dtype == known[name].dtype, f"{name} {value.shape}")
        expect(value.tobytes() == known[name].tobytes(), f"other values of {name}")


# --- Keras

# A network of two layers in each of Keras' layouts, small enough to damage in every place.
_SHAPES = {"first": (2, 3, 3, 3), "second": (2, 2, 1, 1)}


@cache
def _h5_files() -> list[bytes]:
    import h5py

    def write(fill: Any) -> bytes:
        with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
            fill(file)
            file.flush()
            return bytes(file.id.get_file_image())

    rng = np.random.RandomState(0)

    def layers() -> Any:
        for number, (out, into, height, width) in enumerate(_SHAPES.values()):
            yield f"conv2d_{number}", [rng.rand(height, width, into, out).astype(np.float32)]
            yield f"batch_normalization_{number}", [rng.rand(out).astype(np.float32) for _ in range(3)]

    def legacy(group: Any, text: Any = np.bytes_) -> None:
        group.attrs["layer_names"] = np.array([name for name, _ in layers()]).astype(text)
        for name, weights in layers():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = np.array([f"w{i}" for i in range(len(weights))]).astype(text)
            for i, weight in enumerate(weights):
                layer.create_dataset(f"w{i}", data=weight, chunks=True, compression="gzip" if i else None)

    def keras3(file: Any) -> None:
        for name, weights in layers():
            for i, weight in enumerate(weights):
                file.create_dataset(f"layers/{name}/vars/{i}", data=weight)

    whole = [legacy, lambda file: legacy(file, h5py.string_dtype()), keras3]
    return [write(fill) for fill in (*whole, lambda file: legacy(file.create_group("model_weights")))]


def _read_h5(data: bytes, path: Path) -> None:
    from fastfid.networks import keras_file

    keras_file.layer_order = lambda: list(_SHAPES)  # type: ignore[assignment]
    keras_file.conv_shapes = lambda: _SHAPES  # type: ignore[assignment]
    weights = keras_file._parse(data)
    shapes = {weights[f"{name}.conv.weight"].shape for name in _SHAPES}
    expect(shapes == set(_SHAPES.values()), shapes)


# --- ONNX


@cache
def _graphs() -> list[bytes]:
    from onnx import SparseTensorProto, helper, numpy_helper

    from test_onnx_file import CLAIM, branch, function, network, stating

    weight = numpy_helper.from_array(np.arange(9, dtype=np.float32), "w")
    three, at = (numpy_helper.from_array(np.arange(3, dtype=kind), "s") for kind in ("f4", "i8"))
    sparse = SparseTensorProto(values=three, indices=at, dims=[3])
    adding = helper.make_node("Add", ["p", "b"], ["t"])
    return [
        stating(network(initializers=[weight]), **CLAIM).SerializeToString(),
        network([branch(adding, [weight])], functions=[function(adding)]).SerializeToString(),
        stating(network(sparse_initializer=[sparse]), mode="clip", model="x").SerializeToString(),
    ]


def _read_graph(data: bytes, path: Path) -> None:
    """It is never comparable, and never has an identity that is not its own, but for damage in our metadata alone."""
    from fastfid import networks

    loaded = networks.load(path)
    expect((loaded.comparable, len(loaded.sha256), loaded.onnx) == (False, 64, data), loaded.sha256)
    expect(loaded.dims in (None, 2048), loaded.dims)


READERS = [
    Reader("legacy pth", _checkpoints, _read_checkpoint),
    Reader("keras h5", _h5_files, _read_h5, child=True),
    Reader("onnx", _graphs, _read_graph, "a.onnx"),
]

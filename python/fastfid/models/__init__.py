"""Models by name or by file: found, checked, and turned into ONNX.

A model's identity is the SHA-256 of its weights, which an exported file carries along. onnx is imported where a model
is built, not here, for it is slow to import and statistics can be compared without it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt

from ..checks import whole_number
from ..defaults import default, given
from ..errors import InputError, ModelError
from ..files import atomic_write
from ..preprocess import MODES, resolve
from . import cache, graphs, keras, registry
from .registry import names

if TYPE_CHECKING:
    from .inception import PoolKind

__all__ = ["Network", "Row", "export", "fetch", "find", "load", "names", "table"]

_KEY = "fastfid."

Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Network:
    """An extractor that is ready for a session.

    Attributes
    ----------
    name : str
        The registry's name, or the file's.
    sha256 : str
        The model's identity: of its weights file, of its built-in weights, or of a foreign ONNX file.
    dims : int or None
        Features per image; None where a foreign ONNX file does not say, and the session has to.
    onnx : bytes
        The serialised model.
    comparable : bool
        Whether scores compare with published FIDs: the weights are the official ones.
    mode : str or None
        The preprocessing that it is for, layout included; None where a foreign ONNX file does not say.
    """

    name: str
    sha256: str
    dims: int | None
    onnx: bytes
    comparable: bool
    mode: str | None


class Row(NamedTuple):
    """One line of `fastfid models list`; `where` is None for what has to be downloaded."""

    name: str
    digest: str
    where: str | None
    note: str


def load(
    model: str | os.PathLike[str], *, dims: int = 2048, mode: str = default("pytorch"), progress: bool = False
) -> Network:
    """Load a model by name or path.

    Parameters
    ----------
    model : str or path
        A registry name; weights in pytorch-fid's layout (`.pth`, `.pt`) or Keras' (`.h5`, `.hdf5`); or any `.onnx`.
    dims : int
        Which features: 64, 192, 768, 1008 (logits, not in Keras' weights) or 2048.
    mode : str
        The preprocessing that the features are for, as `preprocess.resolve` names it; an exported file is checked
        against it, but one that states a preprocessing of its own keeps it where `mode` is not given.
    progress : bool
        Whether a download shows a bar on stderr.

    Returns
    -------
    Network

    Raises
    ------
    ModelError
        Where the model is missing, damaged, has no such features, or was exported for another mode.

    Examples
    --------
    >>> network = load("inception-v3-random", dims=64)
    >>> network.dims, network.comparable
    (64, False)
    """
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"a model is a name or a path, not a {type(model).__name__}")
    dims = whole_number("dims", dims, 1)
    if model in registry.REGISTRY:
        return _load_registered(registry.entry(str(model)), dims, mode, progress)
    path = Path(model).expanduser()
    if not path.is_file():
        listed = ", ".join(names())
        raise ModelError(f"{os.fspath(model)} is neither a file nor a model of the registry, which has {listed}")
    _check_usable(path, dims)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if path.suffix.lower() == ".onnx":
        return _load_onnx(path, data, dims, mode)
    return _load_weights(path.name, path, data, hashlib.sha256(data).hexdigest(), dims, mode)


def _load_registered(entry: registry.Entry, dims: int, mode: str, progress: bool) -> Network:
    if entry.url is None:
        assert entry.sha256 is not None
        return _network(entry.name, entry.sha256, lambda: _built_in(entry), dims, mode)
    _check_usable(Path(entry.file_names[0]), dims)
    path = cache.locate(entry) or cache.download(entry, progress=progress)
    data = cache.read_verified(path, entry)
    sha256 = entry.sha256 or hashlib.sha256(data).hexdigest()
    return _load_weights(entry.name, path, data, sha256, dims, mode, trusted=True)


def _built_in(entry: registry.Entry) -> Weights:
    from .random import identity, random_weights

    weights = random_weights()
    if (found := identity(weights)) != entry.sha256:
        raise ModelError(
            f"{entry.name} came out with the SHA-256 {found} instead of {entry.sha256}: the packaged "
            "random_bn.npz is damaged, or this NumPy draws other numbers. Reinstall fastfid, and report it."
        )
    return weights


def _check_usable(path: Path, dims: int) -> None:
    """Raise what a file's ending tells, before the file is downloaded or read."""
    suffix = path.suffix.lower()
    if suffix == ".keras":
        raise ModelError(f"{path} is a whole Keras model: model.save_weights('x.weights.h5') writes what can be read")
    if suffix in keras.SUFFIXES:
        keras.check_usable(str(path), dims)


def _load_weights(
    name: str, path: Path, data: bytes, sha256: str, dims: int, mode: str, *, trusted: bool = False
) -> Network:
    if path.suffix.lower() in keras.SUFFIXES:

        def read() -> Weights:
            return keras.read_keras(data, name=str(path), trusted=trusted)

        return _network(name, sha256, read, dims, mode, last_pool="average")
    return _network(name, sha256, lambda: _torch_weights(data, str(path)), dims, mode)


def _torch_weights(data: bytes, source: str) -> Weights:
    from .weights import check_layout, read_legacy_checkpoint

    weights = read_legacy_checkpoint(data, name=source)
    check_layout(weights, name=source)
    return weights


def _network(
    name: str, sha256: str, read: Callable[[], Weights], dims: int, mode: str, *, last_pool: PoolKind = "max"
) -> Network:
    def build() -> bytes:
        from .inception import build

        return bytes(build(read(), dims, {}, last_pool=last_pool).SerializeToString())

    onnx = graphs.cached(build, sha256, str(dims), last_pool)
    return Network(name, sha256, dims, onnx, sha256 == registry.OFFICIAL_SHA256, mode)


def _onnx_facts(path: Path, data: bytes) -> dict[str, str]:
    """Metadata of an ONNX file that this package has written, by names without prefix."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # DecodeError, of whichever protocol-buffer library onnx has
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    # Protocol buffers parse an empty file, and some garbage, without complaint.
    if not (model.ir_version and model.graph.node and model.graph.output):
        raise ModelError(f"{path} is not an ONNX model: it has no graph")
    if any(weight.data_location == onnx.TensorProto.EXTERNAL for weight in model.graph.initializer):
        raise ModelError(f"{path} keeps its weights in other files; save it as one file (save_as_external_data=False)")
    return {p.key.removeprefix(_KEY): p.value for p in model.metadata_props if p.key.startswith(_KEY)}


def _load_onnx(path: Path, data: bytes, dims: int, mode: str) -> Network:
    facts = _onnx_facts(path, data)
    own = facts.get("mode")
    if own is not None and not _fits(path, own, mode):
        raise ModelError(
            f"{path} was exported for mode {own}, and mode {mode} was asked for: "
            f"pass mode={own!r}, or export again with --mode {mode!r}"
        )
    if facts.get("dims", str(dims)) != str(dims):
        raise ModelError(f"{path} gives {facts['dims']} features, and {dims} were asked for: pass dims={facts['dims']}")
    sha256 = facts.get("weights_sha256") or hashlib.sha256(data).hexdigest()
    known = int(facts["dims"]) if "dims" in facts else None
    return Network(facts.get("model", path.name), sha256, known, data, sha256 == registry.OFFICIAL_SHA256, own)


def _fits(path: Path, own: str, mode: str) -> bool:
    """Whether a file that states its own preprocessing may be used in a mode: in the same, or where none was given."""
    try:
        return resolve(own).name == resolve(mode).name or (not given(mode) and own not in MODES)
    except InputError as error:
        raise ModelError(f"{path}: its metadata fastfid.mode cannot be read: {error}") from error


def _stated(network: Network, mode: str) -> bytes:
    """Return a copy of a network's ONNX that says what it is and which preprocessing it wants."""
    import onnx

    model = onnx.load_model_from_string(network.onnx)
    facts = {prop.key: prop.value for prop in model.metadata_props}
    ours = {"weights_sha256": network.sha256, "dims": network.dims, "mode": network.mode or mode, "model": network.name}
    stated = {_KEY + key: str(value) for key, value in ours.items() if value is not None}
    onnx.helper.set_model_props(model, {**facts, **stated})
    return bytes(model.SerializeToString())


def export(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    dims: int = 2048,
    mode: str = default("pytorch"),
    force: bool = False,
    progress: bool = False,
) -> Path:
    """Write a model as one ONNX file that says what it is.

    Input `images`, float32 (N, 3, 299, 299), already scaled; output `features`, float32 (N, dims). Metadata:
    `fastfid.weights_sha256`, `fastfid.dims`, `fastfid.mode`, `fastfid.model`. IR version at most 10, opset 17.
    A foreign ONNX file is copied as it is, with its hash, mode and name added.

    Parameters
    ----------
    model : str or path
        A registry name, weights, or an ``.onnx`` of your own, of which a copy is written whose metadata hold `mode`
        and the SHA-256 of the original.
    out : path
        The file to write, atomically.
    dims, mode
        As for `load`.
    force : bool
        Whether an existing file may be replaced.
    progress : bool
        Whether a download shows a bar on stderr.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        Where `out` exists or its folder does not, or there is no such mode.
    ModelError
        As for `load`.
    """
    from .inception import IMAGE_SIZE

    protocol = resolve(mode)  # a mode that does not exist or fit would make a file that nothing can use
    target = Path(out).expanduser()
    foreign = Path(model).suffix.lower() == ".onnx"
    if not foreign and (protocol.size not in (None, (IMAGE_SIZE, IMAGE_SIZE)) or protocol.layout == "NHWC"):
        raise InputError(f"inception-v3 takes NCHW images of {IMAGE_SIZE}x{IMAGE_SIZE}: mode {mode!r} does not fit")
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"{target} cannot be written: it is a folder, or its folder does not exist")
    if target.suffix.lower() != ".onnx":
        raise InputError(f"{target} must end in .onnx, or nothing will take it for a model")
    if target.exists() and not force:
        raise InputError(f"{target} exists already; choose another name or use force=True (--force)")
    network = load(model, dims=dims, mode=mode, progress=progress)
    data = _stated(network, str(mode))
    try:
        with atomic_write(target) as file:
            file.write(data)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
    return target


def find(name: str) -> Path | None:
    """Find the file of a registered model, unread.

    Parameters
    ----------
    name : str

    Returns
    -------
    Path or None
        None where the model has to be downloaded, or is built in and has no file.

    Raises
    ------
    ModelError
        Where the registry has no such name.
    """
    return cache.locate(registry.entry(name))


def fetch(name: str, *, progress: bool = False) -> Path:
    """Find the file of a registered model and check its hash, or download it.

    Parameters
    ----------
    name : str
    progress : bool
        Whether a download shows a bar on stderr.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        Where the registry has no such name, the model has no file, or the file cannot be had or is damaged.
    """
    entry = registry.entry(name)
    path = cache.locate(entry)
    if path is None:
        return cache.download(entry, progress=progress)
    cache.read_verified(path, entry)
    return path


def table() -> list[Row]:
    """What `fastfid models list` shows: name, hash, where the model is, and a note, for each registered model."""
    rows = []
    for entry in registry.REGISTRY.values():
        where = "built in" if entry.url is None else cache.locate(entry)
        rows.append(
            Row(entry.name, f"{entry.label} {entry.published}", None if where is None else str(where), entry.note)
        )
    return rows

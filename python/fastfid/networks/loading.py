"""Loads a network from a name, a file of weights or an ONNX file.

A model's identity is the SHA-256 of its weights. An exported file states it, and the statement is checked. onnx is
imported only when a model is built, because it is slow to import and not needed to compare statistics.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt

from ..arguments import default, given, spelled
from ..checks import type_of, whole_number
from ..errors import DeviceError, InputError, ModelError
from ..files.reading import failures, read_regular
from ..images.modes import MODES, resolve
from . import cache, inception, onnx_file, pruning, registry
from . import graph_cache as graphs
from . import keras_file as keras
from .architecture import check_tap
from .download import download
from .roles import FEATURES, check_inception, check_roles

if TYPE_CHECKING:
    from .architecture import PoolKind

Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Network:
    """A network that is ready for a session.

    Attributes
    ----------
    name : str
        Name in the registry, or of the file.
    sha256 : str
        The model's identity: the hash of its weights file, of its built-in weights, or of a foreign ONNX file without
        the metadata that `export` writes. An ONNX file can state the hash of the weights that it was made from. This
        counts only if it can be checked, that is, if the graph is the one that this machine builds or has built from
        those weights.
    dims : int or None
        Features per image; None if a foreign ONNX file does not state it.
    onnx : bytes
        The serialised model, with an output for each role and of the same name. A foreign file with a single output
        keeps that.
    comparable : bool
        True if the weights are the official ones, so that scores can be compared with published FIDs.
    mode : str or None
        The preprocessing of the network, including the layout; None if a foreign ONNX file does not state it.
    note : str or None
        A note to issue in each run with it.
    """

    name: str
    sha256: str
    dims: int | None
    onnx: bytes
    comparable: bool
    mode: str | None
    note: str | None = None


def load(
    model: str | os.PathLike[str],
    *,
    dims: int = 2048,
    mode: str = default("pytorch"),
    roles: Sequence[str] | None = (FEATURES,),
    progress: bool = False,
) -> Network:
    """Load a model by name or path.

    Parameters
    ----------
    model : str or path
        A registry name; weights in pytorch-fid's layout (`.pth`, `.pt`) or Keras' (`.h5`, `.hdf5`); or any `.onnx`.
    dims : int
        Length of the features: 64, 192, 768, 1008 (logits, not in Keras' weights) or 2048.
    mode : str
        The preprocessing, with its name from `modes.resolve`. An exported file must be for the same one. If `mode` is
        not given, a file that states its own preprocessing keeps that.
    roles : sequence of str, optional
        Names of the outputs: "features", and for Inception also those in `roles.ROLES`. For an `.onnx` with several
        outputs they are the names of its outputs, which are checked when it is opened. None keeps all outputs.
    progress : bool
        Whether to show a bar on stderr during a download.

    Returns
    -------
    Network

    Raises
    ------
    ModelError
        If the model is missing, damaged, has no such features or outputs, or was exported for another mode.
    InputError
        If `roles` are not names.

    Examples
    --------
    >>> network = load("inception-v3-random", dims=64)
    >>> network.dims, network.comparable
    (64, False)
    """
    check_model(model)
    asked = _Asked(whole_number("dims", dims, 1), mode, None if roles is None else check_roles(roles))
    if model in registry.REGISTRY:
        return _load_registered(registry.entry(str(model)), asked, progress)
    with failures(f"{os.fspath(model)!r:.200} cannot be read", ModelError):
        path = Path(model).expanduser()
        if not path.exists() or path.is_dir():
            listed = ", ".join(registry.names())
            raise ModelError(f"{os.fspath(model)} is neither a file nor a model of the registry, which has {listed}")
        _check_usable(path, asked)
        foreign = path.suffix.lower() == ".onnx"
        data = read_regular(path, onnx_file.MOST_BYTES if foreign else registry.MOST_BYTES)
    if foreign:
        return _load_onnx(path, data, asked)
    return _load_weights(path.name, path, data, hashlib.sha256(data).hexdigest(), asked)


def check_model(model: object) -> None:
    """Raise `ModelError` if `model` is neither a name nor a path."""
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"a model is a name or a path, not {type_of(model)}")


class _Asked(NamedTuple):
    """The parameters of `load`."""

    dims: int
    mode: str
    roles: tuple[str, ...] | None


def _load_registered(entry: registry.Entry, asked: _Asked, progress: bool) -> Network:
    if entry.url is None:
        assert entry.sha256 is not None
        return _network(entry.name, entry.sha256, lambda: _built_in(entry), asked)
    _check_usable(Path(entry.file_names[0]), asked)
    path = cache.locate(entry) or download(entry, progress=progress)
    data = cache.read_verified(path, entry)
    sha256 = entry.sha256 or hashlib.sha256(data).hexdigest()
    return _load_weights(entry.name, path, data, sha256, asked, trusted=True)


def _built_in(entry: registry.Entry) -> Weights:
    from .random import identity, random_weights

    weights = random_weights()
    if (found := identity(weights)) != entry.sha256:
        raise ModelError(
            f"{entry.name} has the SHA-256 {found} instead of {entry.sha256}: the packaged random_bn.npz is damaged, "
            "or this NumPy draws other numbers. Reinstall fastfid; if that does not help, report a bug."
        )
    return weights


def _check_usable(path: Path, asked: _Asked) -> None:
    """Check everything that the file's ending shows, before the file is downloaded or read."""
    suffix = path.suffix.lower()
    if suffix == ".keras":
        raise ModelError(f"{path} is a whole Keras model: model.save_weights('x.weights.h5') writes a file to use here")
    roles = asked.roles or (FEATURES,)
    if suffix in keras.SUFFIXES:
        keras.check_usable(str(path), asked.dims, roles)
    elif suffix != ".onnx":
        check_tap(asked.dims)
        for role in roles:
            check_inception(role)


def _load_weights(name: str, path: Path, data: bytes, sha256: str, asked: _Asked, *, trusted: bool = False) -> Network:
    if path.suffix.lower() in keras.SUFFIXES:

        def read() -> Weights:
            return keras.read_keras(data, name=str(path), trusted=trusted)

        return _network(name, sha256, read, asked, last_pool="average")
    return _network(name, sha256, lambda: _torch_weights(data, str(path)), asked)


def _torch_weights(data: bytes, source: str) -> Weights:
    from .torch_file import check_layout, read_legacy_checkpoint

    weights = read_legacy_checkpoint(data, name=source)
    check_layout(weights, name=source)
    return weights


def _network(
    name: str, sha256: str, read: Callable[[], Weights], asked: _Asked, *, last_pool: PoolKind = "max"
) -> Network:
    dims, mode, roles = asked.dims, asked.mode, asked.roles or (FEATURES,)

    def build() -> bytes:
        from google.protobuf.message import Error  # onnx imports it

        try:
            return bytes(inception.build(read(), dims, {}, roles=roles, last_pool=last_pool).SerializeToString())
        except Error as error:  # of a graph that is always the same; it has no other cause
            raise DeviceError(f"{name}: out of memory when its graph was built: {error}") from error

    others = [",".join(roles)] if roles != (FEATURES,) else []
    onnx = graphs.cached(build, sha256, str(dims), last_pool, *others)
    return Network(name, sha256, dims, onnx, sha256 == registry.OFFICIAL_SHA256, mode)


def _load_onnx(path: Path, data: bytes, asked: _Asked) -> Network:
    dims, mode, roles = asked
    facts, outputs = onnx_file.facts(path, data)
    own = facts.get("mode")
    if own is not None and not _fits(path, own, mode):
        raise ModelError(
            f"{path} was exported for mode {own}, and mode {mode} was asked for: "
            f"pass {spelled('mode', own)}, or export again with --mode {mode!r}"
        )
    known = facts.get("dims")
    if known is not None and known != str(dims):
        fitting = f"{spelled('dims')} {known:.20}"
        raise ModelError(f"{path} gives {known:.20} features, and {dims} were asked for: pass {fitting}")
    claim, content = facts.get("weights_sha256"), onnx_file.content_sha256(data)
    checked = claim is not None and (claim == content or content in _graphs_of(claim, dims))
    sha256 = claim if claim is not None and checked else content
    return Network(
        name=_name(facts.get("model"), sha256, path.name) if checked else path.name,
        sha256=sha256,
        dims=None if known is None else dims,
        onnx=pruning.with_outputs(data, roles) if roles is not None and set(roles) < set(outputs) else data,
        comparable=sha256 == registry.OFFICIAL_SHA256,
        mode=own,
        note=None if claim is None or checked else _not_believed(path, claim),
    )


def _not_believed(path: Path, claim: str) -> str:
    return (
        f"{path} states that it was made from weights with the SHA-256 {claim:.64}, which cannot be checked here, so "
        "it counts as a different model. It can be checked if this version of fastfid has loaded those weights with "
        "the same dims, or has them in its cache (fastfid models fetch)"
    )


def _graphs_of(weights_sha256: str, dims: int) -> Iterator[str]:
    """Yield the SHA-256 of each graph that this machine has built, or can build, from weights with this hash."""
    for pool in ("max", "average"):
        if (kept := graphs.kept_sha256(weights_sha256, str(dims), pool)) is not None:
            yield kept
    for entry in registry.REGISTRY.values():
        if entry.sha256 == weights_sha256 and (entry.url is None or cache.locate(entry) is not None):
            with suppress(ModelError):  # the file is damaged, or has no such features
                network = _load_registered(entry, _Asked(dims, "pytorch", (FEATURES,)), progress=False)
                yield hashlib.sha256(network.onnx).hexdigest()


def _name(stated: str | None, sha256: str, otherwise: str) -> str:
    """Return the name that a file states, unless it is that of another model of the registry."""
    entry = registry.REGISTRY.get(stated or "")
    if not stated or not stated.isprintable() or (entry is not None and entry.sha256 not in (sha256, None)):
        return otherwise
    return stated


def _fits(path: Path, own: str, mode: str) -> bool:
    """Return True if a file with its own preprocessing can be used: if `mode` is the same, or was not given."""
    try:
        return resolve(own).name == resolve(mode).name or (not given(mode) and own not in MODES)
    except InputError as error:
        raise ModelError(f"{path}: its metadata fastfid.mode cannot be read: {error}") from error

"""Writes a network as one ONNX file with metadata."""

from __future__ import annotations

import os
from pathlib import Path

from ..arguments import default
from ..errors import InputError
from ..files.reading import failures
from ..files.writing import atomic_write, check_writable
from ..images.modes import resolve
from . import onnx_file
from .loading import check_model, load

_EXISTS = "exists already; choose another name or use force=True (--force)"


def export(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    dims: int = 2048,
    mode: str = default("pytorch"),
    force: bool = False,
    progress: bool = False,
) -> Path:
    """Write a model as one ONNX file with metadata.

    The input is `images`, float32 (N, 3, 299, 299), already scaled. The output is `features`, float32 (N, dims). The
    metadata are `fastfid.weights_sha256`, `fastfid.dims`, `fastfid.mode` and `fastfid.model`. The IR version is at most
    10, the opset 17. A foreign ONNX file is copied unchanged, with its hash, mode and name added.

    Parameters
    ----------
    model : str or path
        A registry name, a file of weights, or your own ``.onnx``, which is copied with `mode` and the SHA-256 of the
        original in its metadata.
    out : path
        The file to write, atomically.
    dims, mode
        As for `load`.
    force : bool
        Whether to replace an existing file.
    progress : bool
        Whether to show a bar on stderr during a download.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If `out` exists and `force` is False, its folder does not exist, or there is no such mode.
    ModelError
        As for `load`.
    """
    from .architecture import IMAGE_SIZE

    protocol = resolve(mode)  # checked first, since a file with a bad mode could not be used
    check_model(model)
    with failures(f"{os.fspath(out)} cannot be written"):
        target = Path(out).expanduser()
        exists, folder = target.exists(), target.parent.is_dir() and not target.is_dir()
    foreign = Path(model).suffix.lower() == ".onnx"
    if not foreign and (protocol.size not in (None, (IMAGE_SIZE, IMAGE_SIZE)) or protocol.layout == "NHWC"):
        raise InputError(f"inception-v3 takes NCHW images of {IMAGE_SIZE}x{IMAGE_SIZE}: mode {mode!r} does not fit")
    if not folder:
        raise InputError(f"{target} cannot be written: it is a folder, or its folder does not exist")
    if target.suffix.lower() != ".onnx":
        raise InputError(f"{target} must end in .onnx, or it will not be recognised as a model")
    if exists and not force:
        raise InputError(f"{target} {_EXISTS}")
    check_writable(target)
    network = load(model, dims=dims, mode=mode, roles=None, progress=progress)
    facts = {
        "weights_sha256": network.sha256,
        "dims": network.dims,
        "mode": network.mode or mode,
        "model": network.name,
    }
    data = onnx_file.stated(network.onnx, {key: str(value) for key, value in facts.items() if value is not None})
    with failures(f"{target} cannot be written"):
        try:
            with atomic_write(target, replace=force) as file:
                file.write(data)
        except FileExistsError as error:
            raise InputError(f"{target} {_EXISTS}") from error
    return target

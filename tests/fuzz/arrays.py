"""Arrays: .npy and .npz of images, single .npy files in a folder, and the arrays of any .npz, against NumPy."""

import contextlib
import io
import itertools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfid.files.npz import Npz
from fastfid.files.reading import failures
from fastfid.sources import open_source
from fastfid.sources.pieces import read_items

from .reader import Reader, expect

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_STACK = np.random.RandomState(0).randint(0, 256, (4, 5, 6, 3)).astype(np.uint8)
_MOST = 1 << 24


def npy_of(array: NDArray[Any]) -> bytes:
    """Return an array as an .npy."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zip_of(members: dict[str, bytes], method: int) -> bytes:
    """Return a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _stacks() -> list[bytes]:
    return [npy_of(each) for each in (_STACK, np.asfortranarray(_STACK[:, :3, :2]), _STACK[..., 0].astype(">i4"))]


def _stacks_in_npz() -> list[bytes]:
    labels = npy_of(np.arange(3))
    pairs = itertools.product(_stacks(), _METHODS)
    return [zip_of({"arr_0.npy": stack, "labels.npy": labels}, method) for stack, method in pairs]


def _images() -> list[bytes]:
    each = (_STACK[0], np.asfortranarray(_STACK[1]), _STACK[2].astype(">i4"), _STACK[0, ..., 0])
    return [npy_of(array) for array in each]


def _expect_images(path: Path, folder: bool, by_numpy: Any) -> None:
    """The pixels are those that NumPy reads, if it reads any."""
    source = open_source(path.parent if folder else path)
    found = [item.decode().pixels for item in itertools.islice(read_items(source), 4)]
    expect(all(each.dtype == np.uint8 for each in found), "no pixels")
    expect(sum(each.nbytes for each in found) <= 3 * 4 * path.stat().st_size, "more pixels than the file has")
    known = None
    with contextlib.suppress(Exception):
        known = by_numpy()
    if known is None or not known.size or known.dtype.kind not in "iu":
        return
    if known.ndim in (3, 4) and known.shape[-1] not in (1, 3) and known.shape[-3] in (1, 3):
        return  # channels first
    known = known[None] if folder else known
    known = known if known.ndim == 4 else known[..., None]
    for image, right in zip(found, known, strict=False):
        expect(np.array_equal(image, np.broadcast_to(right, image.shape)), "other pixels than NumPy's")


def _read_npy(data: bytes, path: Path) -> None:
    _expect_images(path, False, lambda: np.load(io.BytesIO(data), allow_pickle=False))


def _read_npz(data: bytes, path: Path) -> None:
    def by_numpy() -> Any:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return file["arr_0"] if set(file.files) == {"arr_0", "labels"} else None

    _expect_images(path, False, by_numpy)


def _read_image(data: bytes, path: Path) -> None:
    _expect_images(path, True, lambda: np.load(io.BytesIO(data), allow_pickle=False))


def _any_arrays() -> list[bytes]:
    members = {"mu.npy": npy_of(np.zeros(3)), "sigma.npy": npy_of(np.eye(3)), "fastfid.npy": npy_of(np.array("{}"))}
    return [zip_of(members, method) for method in _METHODS]


def _read_any(data: bytes, path: Path) -> None:
    """Every array is that of NumPy, which compares the same checksums."""
    with failures("x"), Npz(path) as npz:
        found = {key: npz.read(key, _MOST) for key in npz.keys}
    for key, array in found.items():
        expect(array.nbytes <= _MOST, array.nbytes)
        with contextlib.suppress(Exception):
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                known = file[key]
            expect(array.dtype == known.dtype and array.tobytes() == known.tobytes(), f"another {key} than NumPy's")


READERS = [
    Reader("npy", _stacks, _read_npy, "a.npy"),
    Reader("npz", _stacks_in_npz, _read_npz, "a.npz"),
    Reader("npy of one image", _images, _read_image, "a.npy"),
    Reader("npz of arrays", _any_arrays, _read_any, "a.npz"),
]

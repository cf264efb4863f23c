"""Arrays in .npz files: whatever NumPy can read is read; no size is trusted, and nothing is evaluated."""

import bz2
import contextlib
import io
import lzma
import os
import pickle
import struct
import tempfile
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from fastfid.errors import InputError
from fastfid.files.npy import read_header
from fastfid.files.npz import Npz
from fastfid.files.reading import failures

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def npy(header, values=b"", version=1):
    """Return an .npy of any header."""
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin-1") + values


def write(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def saved(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def forge(path, data, size, method):
    """Write an .npz whose directory says that `data`, packed already, is arr_0 and unpacks to `size` bytes."""
    name = b"arr_0.npy"
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, method, 0, 0, 0, len(data), size, len(name), 0) + name + data
    entry = struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 45, 45, 0, method, 0, 0, 0, len(data), size, len(name), 0, 0, 0, 0, 0, 0
    )
    entry += name
    path.write_bytes(local + entry + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local), 0))
    return path


def read(path, most=1 << 24):
    with failures(f"cannot read {path}"), Npz(path) as npz:
        return {key: npz.read(key, most) for key in npz.keys}


@given(
    arrays(scalar_dtypes(), array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)),
    st.booleans(),
    st.sampled_from(METHODS),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
)
def test_reads_what_numpy_writes(array, fortran, method, version):
    array = np.asfortranarray(array) if fortran else array
    data = io.BytesIO()
    np.lib.format.write_array(data, array, version)
    with tempfile.TemporaryDirectory() as folder:
        found = read(write(Path(folder, "a.npz"), {"a.npy": data.getvalue(), "b.txt": b"x"}, method))
    assert list(found) == ["a"]
    assert found["a"].dtype == array.dtype
    assert found["a"].flags.f_contiguous or not array.flags.f_contiguous
    np.testing.assert_array_equal(found["a"], array)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }   \n",
        '{"shape":(2,3),"fortran_order":False,"descr":"<i2"}',
        "  { 'descr' :'<i2' , 'fortran_order':False,'shape': (2L, 3L)}",  # Python 2
        "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3,), }",
    ],
)
def test_headers_of_other_writers(header):
    values = np.arange(6, dtype="<i2").tobytes()
    data = npy(header, values)
    found = read_header(io.BytesIO(data), len(data))
    assert found[:3] == ((2, 3), False, np.dtype("<i2"))
    assert (found.start, found.nbytes) == (10 + len(header), 12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # NumPy's, of Python 2
        np.testing.assert_array_equal(np.load(io.BytesIO(data)).shape, found.shape)


def header(shape, descr="'|u1'", fortran="False"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


HOSTILE = {
    "empty": b"",
    "no magic": b"nothing of the kind",
    "magic alone": b"\x93NUMPY",
    "version 9": npy(header((2,)), bytes(2), version=9),
    "header of 4 GiB": b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(99),
    "header longer than the file": npy("")[:8] + b"\xff\x0f" + b"{",
    "header cut": npy("{'descr': '|u1', 'fortran"),
    "no header": npy(""),
    "a list": npy("[]"),
    "unhashable key": npy("{[]:1}"),
    "deep": npy("-" * 3000 + "1"),
    "deep brackets": npy("{'descr': " + "[" * 9000 + "}"),
    "a call": npy("{'descr': print(1), 'fortran_order': False, 'shape': (2,), }"),
    "invalid escape": npy(header((2,), r"'\d'")),
    "invalid number": npy(header("(1if,)")),
    "negative": npy(header("(-2, 4)"), bytes(8)),
    "negative twice": npy(header("(-2, -4)"), bytes(8)),
    "no tuple": npy(header("2"), bytes(2)),
    "float": npy(header("(2.0,)"), bytes(2)),
    "other digits": npy(header("(\xb2,)"), bytes(2)),
    "many digits": npy(header(f"({'9' * 5000},)")),
    "2^64": npy(header(f"({2**64},)"), bytes(2)),
    "2^64 in two": npy(header(f"({2**32}, {2**32})"), bytes(2)),
    "many sides": npy(header("(" + "1," * 500 + ")"), bytes(1)),
    "too few": npy(header((3,)), bytes(2)),
    "too many": npy(header((1,)), bytes(2)),
    "no dtype": npy(header((2,), "()"), bytes(2)),
    "unknown dtype": npy(header((2,), "'|q9'"), bytes(18)),
    "odd dtype": npy(header((2,), "'|i9'"), bytes(18)),
    "comma dtype": npy(header((1,), "'i4,i4'"), bytes(8)),
    "subarray": npy(header((1,), "'(9999999,9999999)f8'"), bytes(8)),
    "objects": saved(np.array([print]), allow_pickle=True),
    "fields": saved(np.zeros(2, [("a", "u1"), ("b", "f8")])),
    "void": saved(np.zeros(2, "V8")),
    "a pickle": pickle.dumps([1]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers(tmp_path, name):
    path = write(tmp_path / "a.npz", {"arr_0.npy": HOSTILE[name]})
    with pytest.raises(InputError, match=r"^cannot read .*a\.npz: ."), tracked(1 << 20):
        read(path)


@contextlib.contextmanager
def tracked(most):
    """Check how much memory is taken at a time; gives a function that tells how much is held."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < most


def deflated(data):
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(data) + packer.flush()


def lzma_packed(data, dictionary=1 << 16):
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary}]
    return b"\x09\4\5\0\x5d" + dictionary.to_bytes(4, "little") + lzma.compress(data, lzma.FORMAT_RAW, filters=filters)


def bomb(method, size):
    """Pack the start of an .npy of `size` zeros, and those."""
    data = npy(header((size,))) + bytes(size)
    return {8: deflated, 12: bz2.compress, 14: lzma_packed}[method](data), len(data)


@pytest.mark.parametrize("method", METHODS[1:])
def test_what_unpacks_to_more_than_it_says(tmp_path, method):
    packed, _ = bomb(method, 1 << 26)
    data = npy(header((40,)))
    path = forge(tmp_path / "a.npz", packed, len(data) + 40, method)
    with pytest.raises(InputError, match=r"a\.npz: "), tracked(1 << 23):
        read(path)


@pytest.mark.parametrize("stored", [None, 1 << 40])
@pytest.mark.parametrize("method", METHODS)
def test_sizes_that_cannot_be(tmp_path, method, stored):
    """2^40 bytes of less than 2^17, or stored in as many as the file does not have: refused before one is unpacked."""
    size = 1 << 40
    data = npy(header((size,)))
    packed = data if method == 0 else {8: deflated, 12: bz2.compress, 14: lzma_packed}[method](data)
    path = wide(tmp_path / "a.npz", packed, size + len(data), method, stored and stored + len(data))
    with Npz(path) as npz, tracked(1 << 20), pytest.raises(ValueError, match=r" 1,099,511,627,\d+"):
        npz.header("arr_0")


def wide(path, packed, size, method, stored=None):
    """Like `forge`, with 64-bit sizes."""
    name = b"arr_0.npy"
    stored = len(packed) if stored is None else stored
    extra = struct.pack("<HHQQ", 1, 16, size, stored)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, method, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 0) + name
    entry = struct.pack(
        *("<4s6H3I5H2I", b"PK\1\2", 45, 45, 0, method, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra)),
        *(0, 0, 0, 0, 0),
    )
    entry += name + extra
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    path.write_bytes(local + packed + entry + end)
    return path


def test_what_is_larger_than_asked_for(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", sigma=np.zeros((2000, 2000)))
    message = r"sigma \(2000, 2000\) has 32,000,000 bytes; at most 31,999,999 are read"
    with pytest.raises(InputError, match=message), tracked(1 << 20):
        read(tmp_path / "a.npz", 31_999_999)
    assert read(tmp_path / "a.npz", 32_000_000)["sigma"].shape == (2000, 2000)


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"a\.npz: it is a FIFO"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("method", METHODS)
def test_one_flipped_bit_is_an_error_or_changes_nothing(tmp_path, method):
    array = np.arange(24, dtype="<i2").reshape(2, 3, 4)
    path = write(tmp_path / "a.npz", {"arr_0.npy": saved(array)}, method)
    data = path.read_bytes()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            for found in read(path).values():
                np.testing.assert_array_equal(found, array)

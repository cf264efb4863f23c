"""Pickles of arrays: read without unpickling, whatever they hold."""

import io
import os
import pickle
import pickletools
import struct
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from fastfid import InputError, Statistics
from fastfid.files import pickled_arrays
from fastfid.files.pickled_arrays import NAMES, PickledArrays
from fastfid.files.places import Local

PROTOCOLS = (2, 3, 4, 5)
RNG = np.random.RandomState(5)
MATRIX = RNG.standard_normal((3, 4))


def dumped(value, protocol, module="numpy._core"):
    """Pickle as NumPy 2 does, or with the name of its core in NumPy 1."""
    data = pickle.dumps(value, protocol)
    if module == "numpy.core":  # shorter by one letter: opcodes without frames are as valid, so they are written anew
        data = renamed(data)
    return data


def renamed(data):
    out = b""
    at = 0
    ends = [place for _, _, place in pickletools.genops(data)] + [len(data)]
    for (opcode, arg, place), end in zip(pickletools.genops(data), ends[1:], strict=True):
        at = place
        if opcode.name == "FRAME":
            continue
        if isinstance(arg, str) and arg.startswith("numpy._core"):
            arg = arg.replace("numpy._core", "numpy.core")
            if opcode.name == "GLOBAL":
                out += b"c" + arg.replace(" ", "\n").encode() + b"\n"
            else:
                out += b"\x8c" + bytes([len(arg)]) + arg.encode()
        else:
            out += data[at:end]
    return out


def read(tmp_path, data, key="a", most=1 << 20):
    path = tmp_path / "f.pkl"
    path.write_bytes(data)
    return PickledArrays(Local(str(path))).read(key, most)


def refused(tmp_path, data, message):
    path = tmp_path / "f.pkl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        Statistics.load(path)
    assert str(path) in str(caught.value)


class TestArrays:
    @pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
    @pytest.mark.parametrize("module", ["numpy._core", "numpy.core"])
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    @pytest.mark.parametrize(
        "array",
        [
            *(MATRIX, MATRIX.T, MATRIX[:, ::2], MATRIX[:0], MATRIX.astype(">f8"), MATRIX.astype("<f4"), MATRIX[0, 0:1]),
            *(np.float16(MATRIX), np.arange(5), np.arange(5, dtype=np.uint8), MATRIX > 0, np.zeros((2, 3, 4, 5))),
            np.frombuffer(MATRIX.tobytes(), MATRIX.dtype),  # read-only, so protocol 5 has bytes and not a bytearray
            np.full((200, 100), 1e300),
        ],
        ids=str,
    )
    def test_come_back_as_they_were(self, tmp_path, array, protocol, module):
        data = dumped({"a": array, "b": array}, protocol, module)
        np.testing.assert_array_equal(pickle.loads(data)["a"], array)
        if not array.size and protocol == 2:
            return  # its values are bytes(), which is a call
        found = read(tmp_path, data)
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert found.flags.writeable

    def test_the_older_names_are_really_there(self):
        data = dumped({"a": MATRIX}, 4, "numpy.core")
        names = {arg for opcode, arg, _ in pickletools.genops(data) if isinstance(arg, str)}
        assert "numpy.core.multiarray" in names

    def test_keys_of_a_dict_inside(self, tmp_path):
        path = tmp_path / "f.pkl"
        tree = {"n": 5, "x": 0.5, "text": "abc", "in": {"a": MATRIX, "deeper": {"a": MATRIX}}, "no": None, "yes": True}
        path.write_bytes(pickle.dumps({**tree, 3: MATRIX, "pair": (1, 2), "empty": [], "mixed": [MATRIX, 1]}))
        found = PickledArrays(Local(str(path)))
        assert found.keys == ["n", "x", "text", "in.a", "3"]
        assert [found.read(key, 99).item() for key in ("n", "x", "text")] == [5, 0.5, "abc"]
        assert found.header("in.a")[:3] == ((3, 4), False, np.dtype(float))

    def test_a_list_of_matrices_is_one(self, tmp_path):
        np.testing.assert_array_equal(read(tmp_path, pickle.dumps({"a": [MATRIX, MATRIX[:1]]})), [*MATRIX, MATRIX[0]])

    def test_sizes_are_limited(self, tmp_path):
        with pytest.raises(ValueError, match="96 bytes; at most 95 are read"):
            read(tmp_path, pickle.dumps({"a": MATRIX}), most=95)
        with pytest.raises(ValueError, match="larger than the file"):
            read(tmp_path, pickle.dumps({"a": [MATRIX] * 1000}))
        with pytest.raises(ValueError, match="at most"):
            read(tmp_path, pickle.dumps({"a": "text" * 1000}), most=99)

    def test_a_larger_file_is_refused_unread(self, tmp_path, monkeypatch):
        monkeypatch.setattr(pickled_arrays, "MOST_BYTES", 50)
        refused(tmp_path, pickle.dumps({"a": MATRIX}), "at most 50 are read")


class Reduced:
    """Pickled as a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call

    def __repr__(self):
        function, *rest = self.call
        return f"{function.__name__}{rest}"


FLOAT = np.dtype(float)
RECONSTRUCT = MATRIX.__reduce__()[0]
FROM_BUFFER = MATRIX.__reduce_ex__(5)[0]
STATE = (1, (2,), FLOAT, False, bytes(16))


class TestRefused:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (os.getcwd, rf"{os.getcwd.__module__}\.getcwd"),
            (Fraction(1, 3), "fractions.Fraction"),
            (np.float64(3), "multiarray.scalar"),
            (Reduced(eval, ("1 + 1",)), "eval"),
            (Reduced(np.load, ("f.npy", None, True)), "numpy.load"),
            (Reduced(np.asarray, ([1],)), "numpy.asarray"),
            (bytearray, "bytearray"),
        ],
    )
    def test_other_names(self, tmp_path, value, name, protocol):
        refused(tmp_path, pickle.dumps({"mu": MATRIX, "x": value}, protocol), f"asks for .*{name}.*refused")

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    @pytest.mark.parametrize(
        "value",
        [
            np.array([None, 1]),
            np.array(["text"]),
            np.zeros(2, [("a", "f8")]),
            np.zeros(2, "M8[s]"),
            np.zeros(2, "V8"),
            np.zeros(2, complex),
        ],
        ids=str,
    )
    def test_arrays_of_something_else(self, tmp_path, value, protocol):
        refused(tmp_path, pickle.dumps({"mu": value}, protocol), "only arrays of numbers|asks for")

    @pytest.mark.parametrize(
        "value",
        [
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (3,), FLOAT, False, bytes(16))),
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (2**62, 8), FLOAT, False, bytes(16))),
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (-2, -1), FLOAT, False, bytes(16))),
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (True, 2), FLOAT, False, bytes(16))),
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (1,) * 9 + (2,), FLOAT, False, bytes(16))),
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, 2, FLOAT, False, bytes(16))),
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (2,), FLOAT, False, [0.0, 0.0])),
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (2,), "f8", False, bytes(16))),
            Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), {"shape": (10**12,)}),
            Reduced(RECONSTRUCT, (np.ndarray, (10**12,), b"b"), STATE),
            Reduced(RECONSTRUCT, (np.dtype, (0,), b"b"), STATE),
            Reduced(RECONSTRUCT, ()),
            Reduced(FROM_BUFFER, (bytes(16), FLOAT, (3,), "C")),
            Reduced(FROM_BUFFER, (bytes(16), FLOAT, (2,), "K")),
            Reduced(FROM_BUFFER, (bytes(16), None, (2,), "C")),
            Reduced(np.ndarray, ((10**12,), "<f8")),
            Reduced(np.ndarray, ((10**12,), "<f8", bytes(16))),
            Reduced(np.ndarray, ((2,), "O", bytes(16))),
            Reduced(np.ndarray, ((2,), "<f8,<i4", bytes(24))),
            Reduced(np.dtype, ("O",)),
            Reduced(np.dtype, ("O8", False, True)),
            Reduced(np.dtype, ("f8", False, True), (3, "<", None, ("a",), {"a": 1}, 8, 8, 0)),
            Reduced(np.dtype, ("f8", False, True), (3, "a" * 99, None, None, None, -1, -1, 0)),
        ],
        ids=repr,
    )
    def test_descriptions_that_make_no_sense(self, tmp_path, value):
        refused(tmp_path, pickle.dumps({"mu": value}, 4), "it (has|calls|describes) .*array")

    def test_the_state_of_an_array_is_set_once(self, tmp_path):
        array = pickle.dumps(Reduced(RECONSTRUCT, (np.ndarray, (0,), b"b"), STATE), 2)[2:-1]
        state = pickle.dumps(STATE, 2)[2:-1]
        once = b"\x80\x02}X\x01\0\0\0a" + array
        np.testing.assert_array_equal(read(tmp_path, once + b"s."), np.zeros(2))
        refused(tmp_path, once + state + b"bs.", "describes an array in an unknown way")

    def test_what_a_dict_and_a_list_cannot_do(self, tmp_path):
        for pushed in (b"}N", b"}]", b")", b"K\x05", b"X\x01\0\0\0a"):
            refused(tmp_path, b"\x80\x02" + pushed + b"K\x01b.", "cannot be read as a statistics file")

    @pytest.mark.parametrize("opcode", sorted(set(pickletools.code2op) - {"."}))
    def test_no_other_opcode(self, tmp_path, opcode):
        """Text opcodes of protocols 0 and 1, objects, extensions, duplicates and buffers outside are never used."""
        unknown = pickletools.code2op[opcode].name in (
            *("INT", "LONG", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING", "NEXT_BUFFER", "READONLY_BUFFER"),
            *("UNICODE", "FLOAT", "LIST", "DICT", "SETITEMS0", "EMPTY_SET", "ADDITEMS", "FROZENSET", "POP", "POP_MARK"),
            *("DUP", "GET", "PUT", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID"),
        )
        if unknown:
            refused(tmp_path, b"\x80\x02" + opcode.encode("latin-1") + b"1\n" * 9, "which statistics do not need")
        else:
            assert opcode.encode("latin-1") in known_opcodes()


def known_opcodes():
    from fastfid.files.pickles import _OPCODES

    return _OPCODES


class TestBombs:
    def measured(self, tmp_path, data, message):
        """Time and memory are bounded."""
        tracemalloc.start()
        began = time.process_time()
        refused(tmp_path, data, message)
        spent, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 * len(data) + (1 << 25), peak
        assert spent < 30, spent

    def test_sizes_that_are_not_there(self, tmp_path):
        for opcode, size in ((b"B", "<I"), (b"X", "<I"), (b"\x8e", "<Q"), (b"\x8d", "<Q"), (b"\x96", "<Q")):
            most = 2 ** (8 * struct.calcsize(size)) - 1
            self.measured(tmp_path, b"\x80\x05" + opcode + struct.pack(size, most) + b"abc", "ends after 3 of")

    def test_a_memo_of_a_large_number(self, tmp_path):
        self.measured(tmp_path, b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".", "not a pickled dict")

    def test_depth(self, tmp_path):
        for opcode in (b"\x85", b"(" + b"t"):
            self.measured(tmp_path, b"\x80\x02)" + opcode * 120_000 + b".", "not a pickled dict")
        self.measured(tmp_path, b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "not a pickled dict")
        self.measured(tmp_path, b"\x80\x02}" + b"X\x01\0\0\0a}" * 80_000 + b"s" * 80_000 + b".", "needs mu and sigma")

    def test_many_opcodes(self, tmp_path):
        self.measured(tmp_path, b"\x80\x02" + b"N" * 1_000_000 + b".", "more than 250,000 opcodes")

    def test_a_billion_laughs(self, tmp_path):
        self.measured(tmp_path, b"\x80\x02)" + b"q\0h\0\x86" * 60 + b".", "not a pickled dict")
        lists = b"(" + b"]" + b"q\0]h\0ah\0ah\0ah\0a" * 60 + b"t"
        self.measured(tmp_path, b"\x80\x02" + lists + b".", "not a pickled dict")
        self.measured(tmp_path, b"\x80\x02}X\x01\0\0\0a" + lists + b"s.", "needs mu and sigma")

    def test_a_dict_that_holds_itself(self, tmp_path):
        self.measured(tmp_path, b"\x80\x02}q\0X\x01\0\0\0ah\0s.", "needs mu and sigma")

    def test_features_that_repeat_one_array(self, tmp_path):
        part = np.zeros((1000, 10))
        whole = {"raw_mean": np.zeros(10), "raw_cov": np.eye(10), "num_items": 9_000_000, "all_features": [part] * 9000}
        self.measured(tmp_path, pickle.dumps(whole), "larger than the file|at most")

    def test_dicts_that_repeat_one_dict(self, tmp_path):
        inner = {str(number): 1 for number in range(10_000)}
        self.measured(tmp_path, pickle.dumps(dict.fromkeys(map(str, range(10_000)), inner)), "more than 250,000 keys")

    def test_dicts_that_repeat_one_list(self, tmp_path):
        parts = [MATRIX] * 30_000
        self.measured(tmp_path, pickle.dumps(dict.fromkeys(map(str, range(20_000)), parts)), "more than 250,000 keys")

    def test_a_key_that_is_repeated_before_others(self, tmp_path):
        whole = {"a" * 10**6: {str(number): 1 for number in range(20_000)}}
        self.measured(tmp_path, pickle.dumps(whole), "a key of more than 200 characters")

    def test_a_text_that_is_encoded_again_and_again(self, tmp_path):
        start = b"\x80\x02]c_codecs\nencode\nq\0X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\1X\6\0\0\0latin1q\2"
        self.measured(tmp_path, start + b"h\0h\1h\2\x86R" * 20_000 + b".", "makes more bytes of its texts")

    def test_a_text_that_grows(self, tmp_path):
        text = b"a" * 10**6 + "\U0001f600".encode()
        self.measured(tmp_path, b"\x80\x02X" + struct.pack("<I", len(text)) + text + b".", "beyond latin-1")


class Naming(pickle.Unpickler):
    """Records the names that a pickle asks for."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.named = set()

    def find_class(self, module, name):
        self.named.add(f"{module} {name}")
        return super().find_class(module, name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_names_are_those_of_numpy(protocol):
    naming = Naming(pickle.dumps({"a": MATRIX, "b": MATRIX[::2], "c": MATRIX.astype(">f4")}, protocol))
    naming.load()
    assert naming.named
    assert naming.named <= NAMES

"""The reader of torch's legacy format, on files written here opcode by opcode, intact and damaged."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfid.errors import ModelError
from fastfid.networks.architecture import expected_shapes
from fastfid.networks.torch_file import check_layout, read_legacy_checkpoint

TRAINED = Path(__file__).parents[2] / "shared" / "data" / "inception_v3_trained.pth"
MAGIC = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
KINDS = {"<f4": "torch FloatStorage", "<i8": "torch LongStorage"}


def pickled(body):
    return b"\x80\x02" + body + b"."


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


def sequence(*items):
    return b"(" + b"".join(items) + b"t"


def name(value):
    return b"c" + value.replace(" ", "\n").encode() + b"\n"


def dictionary(items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def storage(key, kind, size):
    return sequence(text("storage"), name(kind), text(key), text("cpu"), number(size), b"N") + b"Q"


def tensor(where, shape, strides, offset=0):
    numbers = [sequence(*map(number, values)) for values in (shape, strides)]
    arguments = sequence(where, number(offset), *numbers, b"\x89", name("collections OrderedDict") + b")R")
    return name("torch._utils _rebuild_tensor_v2") + arguments + b"R"


def header(magic=MAGIC, protocol=1001, little=b"\x88"):
    return pickled(magic) + pickled(number(protocol)) + pickled(dictionary({"little_endian": little}))


def raw(data):
    return struct.pack("<q", data.size) + data.tobytes()


def checkpoint(arrays):
    """Write arrays with each one's own memory order, as the published file has its height-width-in-out kernels."""
    entries, storages = {}, []
    for key, array in arrays.items():
        order = np.argsort([-s for s in array.strides], kind="stable")
        flat = np.ascontiguousarray(array.transpose(order)).ravel()
        strides = tuple(s // array.itemsize for s in array.strides)
        entries[key] = tensor(storage(key, KINDS[array.dtype.str], flat.size), array.shape, strides)
        storages.append(raw(flat))
    keys = b"](" + b"".join(map(text, arrays)) + b"e"
    return header() + pickled(dictionary(entries)) + pickled(keys) + b"".join(storages)


def hwio(array):
    """The same values, laid out in memory as height, width, in, out."""
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)


KEYS = b"](" + text("k") + b"e"
TO_SIX = np.arange(6, dtype="<f4")


def long(value):
    return b"\x8a\x0a" + value.to_bytes(10, "little")


def one(view, data=TO_SIX, keys=KEYS):
    """A file with one tensor `t` and one storage `k`."""
    return header() + pickled(dictionary({"t": view})) + pickled(keys) + raw(data)


SIX = storage("k", "torch FloatStorage", 6)
SMALL = {"a": np.arange(24, dtype="<f4").reshape(2, 3, 2, 2), "n": np.array([7], "<i8")}


def test_strides_are_honoured():
    kernel = np.arange(5 * 4 * 3 * 2, dtype="<f4").reshape(5, 4, 3, 2)
    data = checkpoint({"w": hwio(kernel), "n": np.array(9, "<i8")})
    assert raw(kernel.transpose(2, 3, 1, 0).ravel()) in data  # the values do lie in another order
    read = read_legacy_checkpoint(data)
    np.testing.assert_array_equal(read["w"], kernel)
    assert read["w"].dtype == np.float32
    assert read["n"].shape == ()
    assert read["n"] == 9
    assert not read["w"].flags.writeable


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "expected"),
    [
        ((2, 3), (3, 1), 0, [[0, 1, 2], [3, 4, 5]]),
        ((2,), (2,), 1, [1, 3]),
        ((), (), 5, 5),
        ((0, 4), (4, 1), 0, np.empty((0, 4))),
        ((2, 2), (0, 1), 4, [[4, 5], [4, 5]]),
    ],
)
def test_views_inside_the_storage(shape, strides, offset, expected):
    read = read_legacy_checkpoint(one(tensor(SIX, shape, strides, offset)))["t"]
    np.testing.assert_array_equal(read, np.asarray(expected))


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((7,), (1,), 0),
        ((2, 3), (3, 1), 1),
        ((2,), (6,), 0),
        ((), (), 6),
        ((10**9,), (0,), 0),
        ((2**31 - 1,) * 4, (0,) * 4, 0),
        ((2,), (2**31 - 1,), 0),
    ],
)
def test_views_that_reach_outside_are_refused(shape, strides, offset):
    with pytest.raises(ModelError, match="t reaches outside of its storage of 6 elements"):
        read_legacy_checkpoint(one(tensor(SIX, shape, strides, offset)))


@pytest.mark.parametrize(
    "view",
    [
        tensor(SIX, (2,), (-1,), 1),
        tensor(SIX, (-2,), (1,)),
        tensor(SIX, (2,), (1,), -1),
        tensor(SIX, (2, 1), (1,)),
        tensor(text("k"), (2,), (1,)),
        name("torch._utils _rebuild_tensor_v2") + b")R",
        name("torch FloatStorage") + b")R",
        name("collections OrderedDict") + sequence(b")") + b"R",
    ],
)
def test_descriptions_that_make_no_sense_are_refused(view):
    with pytest.raises(ModelError, match="describes a tensor"):
        read_legacy_checkpoint(one(view))


def test_two_tensors_may_share_a_storage_but_not_disagree_about_it():
    keys = pickled(b"](" + text("k") + b"e") + raw(np.arange(6, dtype="<f4"))
    both = {"a": tensor(SIX, (2,), (1,)), "b": tensor(SIX, (2,), (1,), 4)}
    assert read_legacy_checkpoint(header() + pickled(dictionary(both)) + keys)["b"].tolist() == [4, 5]
    both["b"] = tensor(storage("k", "torch LongStorage", 6), (2,), (1,))
    with pytest.raises(ModelError, match="b disagrees with another tensor"):
        read_legacy_checkpoint(header() + pickled(dictionary(both)) + keys)


def test_torch_metadata_of_an_ordered_dict_is_ignored():
    attributes = dictionary({"_metadata": name("collections OrderedDict") + b")R"})
    entries = name("collections OrderedDict") + b")R(" + text("t") + tensor(SIX, (6,), (1,)) + b"u" + attributes + b"b"
    data = header() + pickled(entries) + pickled(b"](" + text("k") + b"e") + raw(np.arange(6, dtype="<f4"))
    assert read_legacy_checkpoint(data)["t"].tolist() == [0, 1, 2, 3, 4, 5]


def test_nothing_is_called(tmp_path):
    target = tmp_path / "called"
    call = name("os system") + sequence(text(f"touch {target}")) + b"R"
    with pytest.raises(ModelError, match=r"asks for os\.system"):
        read_legacy_checkpoint(one(call))
    assert not target.exists()


@pytest.mark.parametrize(
    "asked",
    ["builtins eval", "torch.storage _load_from_bytes", "torch HalfStorage", "collections Counter"],
)
def test_other_names_are_refused_and_named(asked):
    with pytest.raises(ModelError, match=asked.replace(" ", r"\.")):
        read_legacy_checkpoint(one(name(asked)))
    stacked = text(asked.split()[0]) + text(asked.split(maxsplit=1)[1]) + b"\x93"
    with pytest.raises(ModelError, match="refused"):
        read_legacy_checkpoint(one(stacked))


@pytest.mark.parametrize(
    "body",
    [
        b")" + b"\x85" * 300_000,  # tuples in tuples
        b"}" + b")" + b"\x85" * 300_000 + b"Ns",  # and as a key, whose hash would overflow the stack
        b"]q\x00h\x00a",  # a list in itself
        b"}q\x00(" + text("t") + b"h\x00u",  # a dict in itself
        b"Nr\xff\xff\xff\xff",  # a memo index that CPython's unpickler would allocate for
        b"h\x09",  # a memo that is not there
        b"\x8e" + b"\xff" * 7 + b"\x7f",  # bytes of 2**63
        b"t", b"u", b"R", b"b", b"", b"(((", b"e", b"Q", b"\x93", b"\x85\x86\x87",
        b"cos\n",
        b"\x8b\xff\xff\xff\x7f",
        b"I" + b"9" * 10_000 + b"\n",
        b"NNs", b"}NNs", b"]}a", b"N}b",
        b"\xff",
    ],
)  # fmt: skip
def test_hostile_pickles_end_in_model_error(body):
    with pytest.raises(ModelError):
        read_legacy_checkpoint(header() + b"\x80\x02" + body + b".")
    with pytest.raises(ModelError):
        read_legacy_checkpoint(b"\x80\x02" + body)


@pytest.mark.parametrize(
    ("pickle", "said"),
    [
        (b")" + b"q\0h\0\x86" * 60, "the protocol version is a tuple"),  # 2**60 objects, to whoever prints it
        (b")" + b"\x85" * 100_000, "the protocol version is a tuple"),
        (b"(t" * 400_000, "more than 250,000 opcodes"),
        (b"(" * 200_000 + b"t" * 200_000, "more than 250,000 opcodes"),
        (b"(" * 120_000 + b"t" * 120_000, "the protocol version is a tuple"),
        (b"X" + struct.pack("<I", 10**7) + b"a" * 10**7, "the protocol version is a str"),
        (b"\x8a\xff" + b"\x7f" * 255, r"the protocol version is \d{40}, not"),
        (b"c" + b"a" * 10**7 + b"\nb\n", r"asks for a{80}, which"),
    ],
)
def test_time_and_messages_are_bounded(pickle, said):
    with pytest.raises(ModelError, match=said) as caught:
        read_legacy_checkpoint(pickled(MAGIC) + pickled(pickle))
    assert len(str(caught.value)) < 500


def test_long_names_are_not_repeated_whole():
    for value in (number(5), tensor(SIX, (7,), (1,))):
        data = header() + pickled(dictionary({"n" * 10**6: value})) + pickled(KEYS) + raw(TO_SIX)
        with pytest.raises(ModelError) as caught:
            read_legacy_checkpoint(data)
        assert len(str(caught.value)) < 500
    with pytest.raises(ModelError) as caught:
        check_layout({"n" * 10**6: TO_SIX})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("axes", [9, 33, 64, 65, 100_000])
def test_more_axes_than_a_weight_has(axes):
    with pytest.raises(ModelError, match="describes a tensor"):
        read_legacy_checkpoint(one(tensor(SIX, (1,) * axes, (1,) * axes)))


def test_numbers_beyond_what_numpy_holds():
    def view(shape, strides, offset=0):
        numbers = [sequence(*map(long, values)) for values in (shape, strides)]
        arguments = sequence(SIX, long(offset), *numbers, b"\x89", name("collections OrderedDict") + b")R")
        return one(name("torch._utils _rebuild_tensor_v2") + arguments + b"R")

    # The stride of an axis of length 1 is not used.
    assert read_legacy_checkpoint(view((1, 6), (2**70, 1)))["t"].tolist() == [[0, 1, 2, 3, 4, 5]]
    for shape, strides, offset in (
        ((2**70,), (1,), 0),
        ((1,), (1,), 2**70),
        ((2,), (2**70,), 0),
        ((2**70, 0), (1, 1), 0),
    ):
        with pytest.raises(ModelError):
            read_legacy_checkpoint(view(shape, strides, offset))


def test_an_opcode_does_not_reach_below_a_mark():
    """Another reading than the unpickler's would be another model."""
    for body in (b"N(0.", b"J\1\0\0\0(\x85t.", b"NN(\x86.", b"}" + text("k") + b"(s.", b"(."):
        with pytest.raises(ModelError):
            read_legacy_checkpoint(header() + b"\x80\x02" + body)


def test_a_file_that_is_none_or_too_large(tmp_path):
    os.mkfifo(tmp_path / "fifo.pth")
    with (tmp_path / "sparse.pth").open("wb") as file:
        file.truncate(1 << 40)
    for path, said in (("fifo.pth", "it is a FIFO"), ("sparse.pth", "at most 1,073,741,824"), ("a\0.pth", "null"),
                       ("a" * 5000, "too long")):  # fmt: skip
        with pytest.raises(ModelError, match=f"cannot be read: .*{said}"):
            read_legacy_checkpoint(tmp_path / path)


def test_every_truncation_is_an_error():
    whole = checkpoint(SMALL)
    for length in range(len(whole)):
        with pytest.raises(ModelError):
            read_legacy_checkpoint(whole[:length])


@pytest.mark.parametrize(
    ("missing", "said"),
    [(1, "storage 2 of 2 has 7 of 8 bytes"), (9, "ends before storage 2 of 2"), (17, "storage 1 of 2 has 95 of 96")],
)
def test_truncated_storages_say_where(missing, said):
    with pytest.raises(ModelError, match=said):
        read_legacy_checkpoint(checkpoint(SMALL)[:-missing])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(checkpoint(SMALL)) - 1), st.binary(min_size=1, max_size=4))
def test_any_damage_is_a_dict_or_a_model_error(at, damage):
    data = bytearray(checkpoint(SMALL))
    data[at : at + len(damage)] = damage
    try:
        read = read_legacy_checkpoint(bytes(data))
    except ModelError:
        return
    assert all(isinstance(array, np.ndarray) and array.size <= 24 for array in read.values())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64))
def test_garbage_is_a_model_error(data):
    with pytest.raises(ModelError):
        read_legacy_checkpoint(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (header(magic=number(5)), "magic number"),
        (header(protocol=1000), "protocol version is 1000, not 1001"),
        (header(little=b"\x89"), "little-endian"),
        (checkpoint(SMALL) + b"xyz", "3 bytes follow"),
        (one(tensor(SIX, (6,), (1,)), data=np.arange(5, dtype="<f4")), "has 5 elements, but the tensors expect 6"),
        (one(tensor(SIX, (6,), (1,)), keys=b"](" + text("k") + text("l") + b"e"), "lists 2 storages"),
        (one(tensor(SIX, (6,), (1,)), keys=b"]"), "lists 0 storages"),
        (one(tensor(SIX, (6,), (1,)), keys=b"](" + text("k") + text("k") + b"e"), "different names"),
        (one(number(5)), "'t' is not a tensor"),
        (header() + pickled(b"]"), "does not hold a dict"),
        (b"PK\x03\x04rest", r"zip format.*_use_new_zipfile_serialization=False"),
        (b"", "magic number"),
    ],
)
def test_what_is_wrong_is_said(data, said):
    with pytest.raises(ModelError, match=said):
        read_legacy_checkpoint(data)


def test_the_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.pth"):
        read_legacy_checkpoint(tmp_path / "absent.pth")
    (tmp_path / "bad.pth").write_bytes(b"bad")
    with pytest.raises(ModelError, match=r"bad\.pth is not a weights file"):
        read_legacy_checkpoint(tmp_path / "bad.pth")


@pytest.fixture(scope="module")
def zeros():
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape in expected_shapes().items()}


def test_layout_accepts_counters(zeros):
    check_layout(zeros)
    check_layout({**zeros, "Mixed_7a.branch3x3_1.bn.num_batches_tracked": np.array(0)})


def test_layout_names_what_is_wrong(zeros):
    with pytest.raises(ModelError, match=r"missing: .*conv\.weight.* and 468 more; unexpected: AuxLogits$"):
        check_layout({"fc.bias": zeros["fc.bias"], "AuxLogits": zeros["fc.bias"]}, name="x.pth")
    with pytest.raises(ModelError, match=r"x\.pth .*wrong: fc\.bias is float32 \(1000,\) instead of float32 \(1008,\)"):
        check_layout({**zeros, "fc.bias": np.zeros(1000, np.float32)}, name="x.pth")
    with pytest.raises(ModelError, match=r"fc\.bias is int64"):
        check_layout({**zeros, "fc.bias": np.zeros(1008, np.int64)})


@pytest.mark.skipif(not TRAINED.exists(), reason="needs ../shared/data")
def test_a_file_written_by_torch():
    read = read_legacy_checkpoint(TRAINED)
    check_layout(read)
    assert len(read) == 566
    first = read["Conv2d_1a_3x3.conv.weight"]
    assert tuple(s // 4 for s in first.strides) == (1, 32, 288, 96)

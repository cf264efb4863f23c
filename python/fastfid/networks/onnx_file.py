"""ONNX files from outside: complete in themselves, without loops, and what fastfid's metadata in them says.

A file's content is all but that metadata, byte by byte: a copy into which `export` has written a mode is the same
model. So the metadata is found, left out and added on the level of the protocol buffer's fields, of which a model is a
sequence; nothing is written anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..files.reading import failures

if TYPE_CHECKING:
    import onnx

MOST_BYTES = (1 << 31) - 1  # a protocol buffer holds no more
_KEY = "fastfid."
_METADATA = 14 << 3 | 2  # the tag of ModelProto.metadata_props
_MOST_FIELDS = 100_000  # of the model itself: its graph, functions and metadata
_MOST_TEXT = 1000  # characters of a value of ours
# What ONNX Runtime looks for to tell its own format; it would read other things in the same bytes than onnx does.
_ORT_FORMAT = slice(4, 8), b"ORTM"


def facts(path: Path, data: bytes) -> tuple[dict[str, str], list[str]]:
    """Check a file, and read its metadata that fastfid knows, by names without prefix, and the names of its outputs.

    Raises
    ------
    ModelError
        Where it is no ONNX model, reads other files, or may loop for ever.
    """
    import onnx

    with failures(f"{path} is not an ONNX model", ModelError):
        at, ort_format = _ORT_FORMAT
        if data[at] == ort_format:
            raise ValueError("it begins as ONNX Runtime's own format does")
        for _ in _fields(data):  # before the parser makes objects of them
            pass
        model = onnx.load_model_from_string(data)
        # Protocol buffers parse an empty file, and some garbage, without complaint.
        if not (model.ir_version and model.graph.node and model.graph.output):
            raise ValueError("it has no graph")
        _check(path, model)
        found = {p.key.removeprefix(_KEY): p.value for p in model.metadata_props if p.key.startswith(_KEY)}
    for key, value in found.items():
        if len(key) + len(value) > _MOST_TEXT:
            raise ModelError(f"{path}: its metadata {_KEY}{key:.20} has more than {_MOST_TEXT} characters")
    return found, [output.name for output in model.graph.output]


def _check(path: Path, model: onnx.ModelProto) -> None:
    """Visit every message there is, wherever ONNX may put it, now or later: subgraphs, functions, sparse tensors."""
    todo: list[Any] = [model]
    while todo:
        message = todo.pop()
        match message.DESCRIPTOR.name:
            case "TensorProto":  # its fields are not listed: that would copy all the weights
                _check_tensor(path, message)
                continue
            case "NodeProto":
                _check_node(path, message)
        for field, value in message.ListFields():
            if field.message_type is not None:
                todo += [value] if hasattr(value, "DESCRIPTOR") else value
            elif field.type == field.TYPE_STRING:
                _check_texts([value] if isinstance(value, str | bytes) else value)


def _check_texts(texts: Iterable[str | bytes]) -> None:
    # protobuf's libraries either raise where a text is not UTF-8, or give the bytes.
    if any(isinstance(text, bytes) for text in texts):
        raise ValueError("a name in it is not UTF-8")


def _check_tensor(path: Path, tensor: onnx.TensorProto) -> None:
    _check_texts([tensor.name])
    if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
        raise ModelError(
            f"{path} keeps its weights in other files ({tensor.name:.80}); "
            "save it as one file (save_as_external_data=False)"
        )


def _check_node(path: Path, node: onnx.NodeProto) -> None:
    if node.op_type == "EPContext":
        raise ModelError(f"{path} has a node EPContext, which reads another file: refused")
    if node.op_type in ("Loop", "Scan") and node.domain in ("", "ai.onnx"):
        raise ModelError(
            f"{path} has a {node.op_type}, which need not end and cannot be interrupted: refused. "
            "An extractor of features needs none; export it unrolled"
        )


def content_sha256(data: bytes) -> str:
    """SHA-256 of a file but for fastfid's metadata; where there is none, of the file."""
    digest = hashlib.sha256()
    for piece in _content(data):
        digest.update(piece)
    return digest.hexdigest()


def stated(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return a copy whose metadata is this besides what is not fastfid's."""
    from onnx import ModelProto, helper

    end = ModelProto()
    helper.set_model_props(end, {_KEY + key: value for key, value in metadata.items()})
    return b"".join([*_content(data), end.SerializeToString()])


def _content(data: bytes) -> Iterator[memoryview]:
    from onnx import StringStringEntryProto

    for tag, start, inner, end in _fields(data):
        if tag == _METADATA and StringStringEntryProto.FromString(data[inner:end]).key.startswith(_KEY):
            continue  # `facts` has made sure that it is text
        yield memoryview(data)[start:end]


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Tag of each field of a model (number and kind), and where it, its value and the next one start."""
    at = count = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        inner = at
        match tag & 7:
            case 0:
                _, at = _varint(data, at)
            case 1:
                at += 8
            case 2:
                size, inner = _varint(data, at)
                at = inner + size
            case 5:
                at += 4
            case kind:
                raise ValueError(f"it has a field of kind {kind}")
        count += 1
        if at > len(data) or count > _MOST_FIELDS:
            raise ValueError("it is truncated" if at > len(data) else f"it has more than {_MOST_FIELDS:,} fields")
        yield tag, start, inner, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; return it and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        value |= (data[at + shift // 7] & 0x7F) << shift
        if data[at + shift // 7] < 0x80:
            return value, at + shift // 7 + 1
    raise ValueError("it has a number of more than 64 bits")

"""Reads ONNX files from outside: checks that they need no other files and have no loops, and reads fastfid's metadata.

The content of a file is all of its bytes except for this metadata, so that a copy into which `export` has written a
mode is the same model. A model is a sequence of protocol buffer fields. The metadata is found, removed and added as
whole fields, and all other bytes stay the same.
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

MOST_BYTES = (1 << 31) - 1  # the limit of protocol buffers
_KEY = "fastfid."
_METADATA = 14 << 3 | 2  # the tag of ModelProto.metadata_props
_MOST_FIELDS = 100_000  # of the model itself: its graph, functions and metadata
_MOST_TEXT = 1000  # characters of an entry of fastfid's metadata
# The mark of ONNX Runtime's own format. ONNX Runtime would read a file with it differently than onnx does.
_ORT_FORMAT = slice(4, 8), b"ORTM"


def facts(path: Path, data: bytes) -> tuple[dict[str, str], list[str]]:
    """Check a file; return fastfid's metadata in it, by names without the prefix, and the names of its outputs.

    Raises
    ------
    ModelError
        If it is not an ONNX model, needs other files, or may loop for ever.
    """
    import onnx

    with failures(f"{path} is not an ONNX model", ModelError):
        at, ort_format = _ORT_FORMAT
        if data[at] == ort_format:
            raise ValueError("it begins as ONNX Runtime's own format does")
        for _ in _fields(data):  # raises if there are too many, before the parser makes objects of them
            pass
        model = onnx.load_model_from_string(data)
        # The protocol buffer parser accepts an empty file and some garbage.
        if not (model.ir_version and model.graph.node and model.graph.output):
            raise ValueError("it has no graph")
        _check(path, model)
        found = {p.key.removeprefix(_KEY): p.value for p in model.metadata_props if p.key.startswith(_KEY)}
    for key, value in found.items():
        if len(key) + len(value) > _MOST_TEXT:
            raise ModelError(f"{path}: its metadata {_KEY}{key:.20} has more than {_MOST_TEXT} characters")
    return found, [output.name for output in model.graph.output]


def _check(path: Path, model: onnx.ModelProto) -> None:
    """Check every message of the model, wherever it is: in subgraphs, functions, sparse tensors or later additions."""
    todo: list[Any] = [model]
    while todo:
        message = todo.pop()
        match message.DESCRIPTOR.name:
            case "TensorProto":  # its fields are not listed, which would copy all weights
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
    # If a text is not UTF-8, some protobuf libraries raise and others return bytes.
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
            f"{path} has a {node.op_type}, which may run for ever and cannot be interrupted: refused. "
            "A network for features needs none; export it unrolled"
        )


def content_sha256(data: bytes) -> str:
    """Return the SHA-256 of a file without fastfid's metadata; for a file that has none, its own SHA-256."""
    digest = hashlib.sha256()
    for piece in _content(data):
        digest.update(piece)
    return digest.hexdigest()


def stated(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return a copy with this metadata of fastfid's; other metadata is kept."""
    from onnx import ModelProto, helper

    end = ModelProto()
    helper.set_model_props(end, {_KEY + key: value for key, value in metadata.items()})
    return b"".join([*_content(data), end.SerializeToString()])


def _content(data: bytes) -> Iterator[memoryview]:
    from onnx import StringStringEntryProto

    for tag, start, inner, end in _fields(data):
        if tag == _METADATA and StringStringEntryProto.FromString(data[inner:end]).key.startswith(_KEY):
            continue  # `facts` has checked that it is text
        yield memoryview(data)[start:end]


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield for each field of a model its tag (number and kind), and the offsets of it, its value and the next one."""
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
    """Read a number with seven bits per byte; return it and the offset of its end."""
    value = 0
    for shift in range(0, 70, 7):
        value |= (data[at + shift // 7] & 0x7F) << shift
        if data[at + shift // 7] < 0x80:
            return value, at + shift // 7 + 1
    raise ValueError("it has a number of more than 64 bits")

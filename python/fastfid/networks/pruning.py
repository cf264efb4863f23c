"""Graphs without what their outputs do not need: ONNX Runtime would compute it all the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx


def prune(graph: onnx.GraphProto) -> None:
    """Drop the nodes and weights of a sorted graph that none of its outputs needs."""
    needed = {output.name for output in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_used(node))
    if len(kept) == len(graph.node):
        return
    listed = {value.name for value in graph.input}  # old exports list weights among the inputs
    made = {name for node in kept for name in node.output}
    _replace(graph.node, kept[::-1])
    _replace(graph.initializer, [weight for weight in graph.initializer if weight.name in needed | listed])
    _replace(graph.value_info, [value for value in graph.value_info if value.name in made])


def with_outputs(data: bytes, names: Collection[str]) -> bytes:
    """Return a serialised model that computes only the outputs with these names."""
    from onnx import load_model_from_string

    model = load_model_from_string(data)
    _replace(model.graph.output, [output for output in model.graph.output if output.name in names])
    prune(model.graph)
    return bytes(model.SerializeToString())


def _used(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the tensors that a node takes, those that its branches take from outside among them."""
    todo = [node]
    while todo:
        inner = todo.pop()
        yield from filter(None, inner.input)  # one that is left out has an empty name
        for attribute in inner.attribute:
            for graph in (attribute.g, *attribute.graphs):
                todo.extend(graph.node)
                yield from (output.name for output in graph.output)


def _replace(field: Any, items: list[Any]) -> None:
    del field[:]
    field.extend(items)

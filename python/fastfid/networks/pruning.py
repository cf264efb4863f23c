"""Removes nodes that no output of a graph needs, because ONNX Runtime would compute them anyway."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx


def prune(graph: onnx.GraphProto) -> None:
    """Remove the nodes and weights of a sorted graph that none of its outputs needs."""
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
    """Yield the names of the tensors that a node uses, including those that its subgraphs use from outside."""
    todo = [node]
    while todo:
        inner = todo.pop()
        yield from filter(None, inner.input)  # an omitted optional input has an empty name
        for attribute in inner.attribute:
            for graph in (attribute.g, *attribute.graphs):
                todo.extend(graph.node)
                yield from (output.name for output in graph.output)


def _replace(field: Any, items: list[Any]) -> None:
    del field[:]
    field.extend(items)

"""Reads and checks the declared input and outputs of a network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ModelError

if TYPE_CHECKING:
    import onnxruntime as ort

_LAYOUTS = {"NCHW": 1, "NHWC": 3}  # and the axis of the channels
_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")


class Output(NamedTuple):
    """An output of a graph: its name, and the length of its rows, if the graph states it."""

    name: str
    dims: int | None


def image_input(
    session: "ort.InferenceSession", name: str, size: tuple[int, int] | None, layout: str | None
) -> tuple[bool, tuple[int, int], int | None]:
    """Check the input of a session.

    Parameters
    ----------
    session : InferenceSession
    name : str
        Name of the model in errors.
    size, layout
        As for `Session`.

    Returns
    -------
    bool, (int, int), int or None
        True if the channels come last; height and width; the batch size, if it is fixed.

    Raises
    ------
    ModelError
        If it is not one image input of this size and layout.
    """
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ModelError(f"{name} has {len(inputs)} inputs; an extractor has one image input")
    shape, kind = inputs[0].shape, inputs[0].type
    if kind != "tensor(float)" or len(shape) != 4:
        raise ModelError(f"{name} takes {kind} of shape {shape}; an extractor takes float32 (N, 3, H, W)")
    # An open axis (a name instead of a number) accepts any size.
    fitting = [order for order, axis in _LAYOUTS.items() if not isinstance(shape[axis], int) or shape[axis] == 3]
    if not fitting or (layout is not None and layout not in fitting):
        asked = f"not in layout {layout}" if fitting else "one axis must hold the 3 RGB channels"
        raise ModelError(f"{name} takes images of shape {shape}; {asked}")
    channels_last = (layout or fitting[0]) == "NHWC"
    found = shape[1:3] if channels_last else shape[2:4]
    if size is None:
        size = tuple(found)
    if not all(isinstance(n, int) and n > 0 for n in size):
        raise ModelError(
            f"{name} leaves the image size open ({shape}): give it in the mode, as in --mode "
            "'size=224 ...', or export the model with a fixed height and width"
        )
    if any(isinstance(n, int) and n != asked for n, asked in zip(found, size, strict=True)):
        raise ModelError(f"{name} takes images of shape {shape}; size {size[0]}x{size[1]} does not fit")
    return channels_last, (size[0], size[1]), shape[0] if isinstance(shape[0], int) else None


def outputs(session: "ort.InferenceSession", name: str, roles: Sequence[str]) -> dict[str, Output]:
    """Find the output of each role, which is the output with that name; a single output is also "features".

    Parameters
    ----------
    session : InferenceSession
    name : str
        Name of the model in errors.
    roles : sequence of str

    Returns
    -------
    dict of str to Output
        The output of each role.

    Raises
    ------
    ModelError
        If there is no such output, or its type is not a float.
    """
    there = {output.name: output for output in session.get_outputs()}
    if len(there) == 1:
        there.setdefault("features", *there.values())
    found = {}
    for role in roles:
        if role not in there:
            names = ", ".join(output.name for output in session.get_outputs())
            advice = f": export the model again, with the output that is meant called {role!r}"
            raise ModelError(f"{name} has no output {role!r}; it has {names}{advice}")
        output = there[role]
        if output.type not in _FLOATS:  # strings end the process when a buffer is bound to them
            wanted = "an extractor gives float32, float16 or float64"
            raise ModelError(f"{name}: output {output.name!r} is {output.type}; {wanted}")
        dims = output.shape[1] if len(output.shape) == 2 else None
        found[role] = Output(output.name, dims if isinstance(dims, int) and dims > 0 else None)
    return found


def batch_symbol(onnx: bytes) -> str | None:
    """Return the name of the open batch size in the input of a serialised model; None if it is fixed or has no name."""
    from onnx import load_model_from_string

    try:
        graph = load_model_from_string(onnx).graph
    except Exception:  # ONNX Runtime says what is wrong with it
        return None
    weights = {weight.name for weight in graph.initializer}
    axes = [value.type.tensor_type.shape.dim for value in graph.input if value.name not in weights]
    return axes[0][0].dim_param or None if axes and axes[0] else None

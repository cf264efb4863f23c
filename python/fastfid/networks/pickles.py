"""Evaluates pickles of torch's legacy format without unpickling.

A pickle can call any function by name, so no unpickler is used. Instead a small machine evaluates the opcodes. It knows
only those that this format uses, calls nothing, and allows four names. Its results are not printed, compared or hashed
before their types are checked, because a few hundred bytes can describe an object whose `repr` takes for ever.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from ..errors import ModelError

_STORAGES: dict[str, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
_REBUILD = "torch._utils _rebuild_tensor_v2"
_ORDERED_DICT = "collections OrderedDict"
_MOST_OPCODES = 250_000  # in one pickle; the published weights have 18,000
_MOST_AXES = 8
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE"}


@dataclass(frozen=True)
class _Name:
    """The name of a global in the pickle; the global itself is never looked up."""

    name: str


@dataclass(frozen=True)
class Storage:
    """Raw elements in the file, and the key under which they are stored."""

    key: str
    dtype: np.dtype[Any]
    size: int


@dataclass(frozen=True)
class View:
    """A tensor: a strided view into a storage, with offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _global(name: str) -> _Name:
    if name not in (*_STORAGES, _REBUILD, _ORDERED_DICT):
        raise ModelError(f"the file asks for {name.replace(' ', '.'):.80}, which weights do not need: refused")
    return _Name(name)


def _storage(pid: object) -> Storage:
    match pid:
        case ("storage", _Name(kind), str(key), str(), int(size), None) if kind in _STORAGES and size >= 0:
            return Storage(key, _STORAGES[kind], size)
    raise ModelError("the file describes a storage in an unknown way")


def _is_shape(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and len(value) <= _MOST_AXES and all(type(n) is int and n >= 0 for n in value)


def _reduce(function: object, arguments: object) -> object:
    """Return the result that calling a global would have: an empty dict, or the description of a view."""
    match function, arguments:
        case _Name(name), () if name == _ORDERED_DICT:
            return {}
        case _Name(name), (Storage() as storage, int(offset), shape, strides, bool(), dict(), *_) if name == _REBUILD:
            if offset >= 0 and _is_shape(shape) and _is_shape(strides) and len(shape) == len(strides):
                return View(storage, offset, shape, strides)
    raise ModelError("the file describes a tensor in an unknown way")


def _put(target: object, items: list[Any]) -> None:
    # Only plain keys are hashed, because the hash of a deeply nested tuple overflows the C stack.
    if type(target) is dict and len(items) % 2 == 0 and all(type(key) in (str, int) for key in items[::2]):
        target.update(zip(items[::2], items[1::2], strict=True))
    else:
        raise ModelError("the file has a dict whose keys are not names")


class Machine:
    """Evaluates pickles opcode by opcode. Time and memory grow with the file, and no opcode runs code."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the items below each mark, not accessible until the mark is popped
        self.memo: dict[int, Any] = {}

    def pop(self, count: int) -> list[Any]:
        """Pop the topmost items, the deepest first."""
        if count > len(self.stack):
            raise ModelError("an opcode needs more than the stack holds")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def pop_to_mark(self) -> list[Any]:
        """Pop all items above the last mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def push(self, opcode: str, arg: Any) -> bool:
        """Push the value that an opcode makes, from nothing or the top of the stack; return False for other opcodes."""
        if opcode in _LITERALS:
            made = arg
        elif opcode in _CONSTANTS:
            made = _CONSTANTS[opcode]
        elif opcode in _EMPTY:
            made = _EMPTY[opcode]()
        elif opcode == "TUPLE":
            made = tuple(self.pop_to_mark())
        elif opcode in _TUPLES:
            made = tuple(self.pop(_TUPLES[opcode]))
        else:
            return False
        self.stack.append(made)
        return True

    def fill(self, opcode: str) -> bool:
        """Move the top of the stack into the container below; return False if the opcode does something else."""
        match opcode:
            case "APPENDS" | "SETITEMS":
                items = self.pop_to_mark()
            case "APPEND":
                items = self.pop(1)
            case "SETITEM":
                items = self.pop(2)
            case _:
                return False
        if opcode.startswith("APPEND"):
            list.extend(self.stack[-1], items)  # raises if it is not a list
        else:
            _put(self.stack[-1], items)
        return True

    def call(self, opcode: str, arg: Any) -> bool:
        """Push a substitute for a global or for the result of a call; return False for other opcodes."""
        match opcode:
            case "GLOBAL":
                self.stack.append(_global(str(arg)))
            case "STACK_GLOBAL":
                self.stack.append(_global(" ".join(self.pop(2))))
            case "BINPERSID":
                self.stack.append(_storage(*self.pop(1)))
            case "REDUCE":
                self.stack.append(_reduce(*self.pop(2)))
            case "BUILD":  # attributes of a dict: torch's `_metadata`, which is not needed for the weights
                self.pop(1)
                if type(self.stack[-1]) is not dict:
                    raise ModelError("the file sets attributes of something that has none")
            case _:
                return False
        return True

    def remember(self, opcode: str, arg: Any) -> None:
        """Handle marks and the memo; raise `ModelError` for any other opcode."""
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self.below.append(self.stack)
                self.stack = []
            case "BINPUT" | "LONG_BINPUT":
                self.memo[int(arg)] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[int(arg)])
            case _:
                raise ModelError(f"the file uses the pickle opcode {opcode}, which weights do not need: refused")


def walk(stream: io.BytesIO) -> Any:
    """Evaluate the next pickle of a stream; pickletools parses it.

    Raises
    ------
    ModelError
        If it uses an opcode or a name that weights do not need, or is too long.
    Exception
        Of nearly any class, if it is damaged.
    """
    machine = Machine()
    for count, (opcode, arg, _) in enumerate(pickletools.genops(stream)):
        if opcode.name == "STOP":
            return machine.pop(1)[0]
        if count == _MOST_OPCODES:
            raise ModelError(f"it has more than {_MOST_OPCODES:,} opcodes")
        if not (machine.push(opcode.name, arg) or machine.fill(opcode.name) or machine.call(opcode.name, arg)):
            machine.remember(opcode.name, arg)
    raise ModelError("the file ends inside a pickle")  # not reached: pickletools raises before

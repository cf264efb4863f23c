"""Evaluates pickles without unpickling them.

A pickle can call any function by name, so no unpickler is used. Instead a small machine evaluates the opcodes. It knows
few of them and refuses the others before it reads their arguments. It calls nothing and looks up no name: a subclass
says which names it allows, and what a call of one of them stands for. Its results are not printed, compared or hashed
before their types are checked, because a few hundred bytes can describe an object whose `repr` takes for ever.
"""

import pickle
import pickletools
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import IO, Any, ClassVar

import numpy as np

from .npy import exactly

_MOST_OPCODES = 250_000  # in one pickle; the published weights have 18,000
_LONG_TEXT = 1 << 16
_LATIN_1 = 0xC3  # the largest byte in the UTF-8 form of a latin-1 text
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PLAIN = (
    *(*_CONSTANTS, *_EMPTY, *_TUPLES, "TUPLE", "MARK", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "STACK_GLOBAL"),
    *("BINPERSID", "REDUCE", "BUILD", "MEMOIZE", "STOP", "GLOBAL"),
)
_NUMBERS = {
    "BININT": "<i",
    "BININT1": "<B",
    "BININT2": "<H",
    "BINFLOAT": ">d",
    "PROTO": "<B",
    "FRAME": "<Q",
    "BINPUT": "<B",
    "LONG_BINPUT": "<I",
    "BINGET": "<B",
    "LONG_BINGET": "<I",
}
_TEXTS = {"SHORT_BINUNICODE": "<B", "BINUNICODE": "<I", "BINUNICODE8": "<Q"}
_BYTES = {"SHORT_BINBYTES": "<B", "BINBYTES": "<I", "BINBYTES8": "<Q", "BYTEARRAY8": "<Q"}
_COUNTED = {**_TEXTS, **_BYTES, "LONG1": "<B"}
_LITERALS = {"BININT", "BININT1", "BININT2", "BINFLOAT", *_COUNTED}
_OPCODES: dict[bytes, str] = {getattr(pickle, name): name for name in (*_PLAIN, *_NUMBERS, *_COUNTED)}
_OTHERS = {opcode.code: opcode.name for opcode in pickletools.opcodes}  # for messages


class Machine(ABC):
    """Evaluates pickles opcode by opcode. Time and memory grow with the file, and no opcode runs code.

    Attributes
    ----------
    subject : str
        What the pickle should hold, for messages.
    """

    subject: ClassVar[str]

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the items below each mark, not accessible until the mark is popped
        self._memo: dict[int, Any] = {}

    @abstractmethod
    def named(self, name: str) -> object:
        """Return what stands for the global "module name"; raise if it is not allowed."""

    @abstractmethod
    def called(self, function: object, arguments: object) -> object:
        """Return what stands for the result of a call; raise if it makes no sense."""

    @abstractmethod
    def built(self, target: object, state: object) -> None:
        """Set the state of an object; raise if it makes no sense."""

    def persistent(self, pid: object) -> object:
        """Return what stands for an object outside the pickle."""
        raise ValueError("it refers to objects outside of it")

    def evaluate(self, stream: IO[bytes]) -> Any:
        """Evaluate the next pickle of a stream, which is then behind it.

        Raises
        ------
        Exception
            Of nearly any class, if the pickle is damaged, too long, or uses what the subclass does not allow.
        """
        for count, (opcode, arg) in enumerate(self._opcodes(stream)):
            if opcode == "STOP":
                return self._pop(1)[0]
            if count == _MOST_OPCODES:
                raise ValueError(f"it has more than {_MOST_OPCODES:,} opcodes")
            self._push(opcode, arg) or self._fill(opcode) or self._call(opcode, arg) or self._remember(opcode, arg)
        raise AssertionError("not reached")

    def _opcodes(self, stream: IO[bytes]) -> Iterator[tuple[str, Any]]:
        while True:
            code = bytes(exactly(stream, 1))
            if code not in _OPCODES:
                name = _OTHERS.get(code.decode("latin-1"), code.hex())
                raise ValueError(f"it uses the pickle opcode {name}, which {self.subject} do not need: refused")
            name = _OPCODES[code]
            yield name, _argument(stream, name)

    def _pop(self, count: int) -> list[Any]:
        """Pop the topmost items, the deepest first."""
        if count > len(self._stack):
            raise ValueError("an opcode needs more than the stack holds")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        """Pop all items above the last mark."""
        items, self._stack = self._stack, self._below.pop()
        return items

    def _push(self, opcode: str, arg: Any) -> bool:
        """Push the value that an opcode makes, from nothing or the top of the stack; return False for other opcodes."""
        if opcode in _LITERALS:
            made = arg
        elif opcode in _CONSTANTS:
            made = _CONSTANTS[opcode]
        elif opcode in _EMPTY:
            made = _EMPTY[opcode]()
        elif opcode == "TUPLE":
            made = tuple(self._pop_to_mark())
        elif opcode in _TUPLES:
            made = tuple(self._pop(_TUPLES[opcode]))
        else:
            return False
        self._stack.append(made)
        return True

    def _fill(self, opcode: str) -> bool:
        """Move the top of the stack into the container below; return False if the opcode does something else."""
        match opcode:
            case "APPENDS" | "SETITEMS":
                items = self._pop_to_mark()
            case "APPEND":
                items = self._pop(1)
            case "SETITEM":
                items = self._pop(2)
            case _:
                return False
        if opcode.startswith("APPEND"):
            list.extend(self._stack[-1], items)  # raises if it is not a list
        else:
            _put(self._stack[-1], items)
        return True

    def _call(self, opcode: str, arg: Any) -> bool:
        """Push a substitute for a global or for the result of a call; return False for other opcodes."""
        match opcode:
            case "GLOBAL":
                self._stack.append(self.named(arg))
            case "STACK_GLOBAL":
                self._stack.append(self.named(" ".join(self._pop(2))))
            case "BINPERSID":
                self._stack.append(self.persistent(*self._pop(1)))
            case "REDUCE":
                self._stack.append(self.called(*self._pop(2)))
            case "BUILD":
                (state,) = self._pop(1)
                self.built(self._stack[-1], state)
            case _:
                return False
        return True

    def _remember(self, opcode: str, arg: Any) -> bool:
        """Handle marks and the memo."""
        match opcode:
            case "MARK":
                self._below.append(self._stack)
                self._stack = []
            case "BINPUT" | "LONG_BINPUT":
                self._memo[arg] = self._stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            case "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[arg])
            case "PROTO" if arg > pickle.HIGHEST_PROTOCOL:
                raise ValueError(f"pickle protocol {arg} is unknown")
        return True  # nothing to do for FRAME, and a known PROTO


def _argument(stream: IO[bytes], opcode: str) -> Any:
    """Read what follows an opcode. Memory grows with the bytes that exist."""
    if opcode in _NUMBERS:
        return _number(stream, _NUMBERS[opcode])
    if opcode in _COUNTED:
        data = exactly(stream, _number(stream, _COUNTED[opcode]))
        if opcode == "LONG1":
            return int.from_bytes(data, "little", signed=True)
        return _text(data) if opcode in _TEXTS else data
    if opcode == "GLOBAL":
        return f"{_line(stream)} {_line(stream)}"
    return None


def _number(stream: IO[bytes], layout: str) -> Any:
    return struct.unpack(layout, exactly(stream, struct.calcsize(layout)))[0]


def _text(data: bytes | bytearray) -> str:
    # One character beyond latin-1 would quadruple a long text in memory. The only long ones are bytes of protocol 2.
    if len(data) > _LONG_TEXT and np.frombuffer(data, np.uint8).max() > _LATIN_1:
        raise ValueError("it has a long text with characters beyond latin-1")
    return str(data, "utf-8", "surrogatepass")


def _line(stream: IO[bytes]) -> str:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise ValueError("it ends inside a name")
    return line[:-1].decode("utf-8")


def _put(target: object, items: list[Any]) -> None:
    # Only plain keys are hashed, because the hash of a deeply nested tuple overflows the C stack.
    if type(target) is dict and len(items) % 2 == 0 and all(type(key) in (str, int) for key in items[::2]):
        target.update(zip(items[::2], items[1::2], strict=True))
    else:
        raise ValueError("it has a dict whose keys are not names")

"""Damages of files: flipped bits, hostile numbers, and parts that are cut, zeroed, dropped, repeated or added.

A case depends only on the seed of the run, the name of the fuzzer and its number: ``FASTFID_TEST_SEED=<seed>`` repeats
it.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

SEED = int(os.environ.get("FASTFID_TEST_SEED") or int.from_bytes(os.urandom(4), "big"))
CASES = 2000

# What breaks the arithmetic of sizes and offsets.
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def rng_of(fuzzer: str, case: int) -> np.random.RandomState:
    """Return the random numbers of one case."""
    return np.random.RandomState([SEED, zlib.crc32(fuzzer.encode()), case])


def mutants(fuzzer: str, good: Sequence[bytes], cases: int = CASES) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each case, which repeats it, and a file with one to four kinds of damage."""
    for case in range(cases):
        yield named(fuzzer, case), damaged(rng_of(fuzzer, case), good)


def named(fuzzer: str, case: int) -> str:
    """Return the name of a case, which repeats it."""
    return f"{fuzzer}, case {case} of FASTFID_TEST_SEED={SEED}"


def damaged(rng: np.random.RandomState, good: Sequence[bytes]) -> bytes:
    """Return one of the files with one to four kinds of damage."""
    data = bytearray(good[rng.randint(len(good))])
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = _DAMAGES[rng.randint(len(_DAMAGES))](data, rng)
    return bytes(data)


def _at(data: bytearray, rng: np.random.RandomState) -> int:
    """Pick a place; headers and directories, at the two ends, more often than the middle."""
    size = max(len(data), 1)
    near = min(size, 128)
    return int([rng.randint(size), rng.randint(near), size - 1 - rng.randint(near)][rng.randint(3)])


def _flip(data: bytearray, rng: np.random.RandomState) -> bytearray:
    if data:
        data[_at(data, rng)] ^= 1 << rng.randint(8)
    return data


def _byte(data: bytearray, rng: np.random.RandomState) -> bytearray:
    if data:
        data[_at(data, rng)] = rng.randint(256)
    return data


def _number(data: bytearray, rng: np.random.RandomState) -> bytearray:
    size, code = [(1, "B"), (2, "H"), (4, "I"), (8, "Q")][rng.randint(4)]
    value = _NUMBERS[rng.randint(len(_NUMBERS))] & (256**size - 1)
    at = _at(data, rng)
    data[at : at + size] = struct.pack("<>"[rng.randint(2)] + code, value)
    return data


def _cut(data: bytearray, rng: np.random.RandomState) -> bytearray:
    return data[: _at(data, rng)]


def _zero(data: bytearray, rng: np.random.RandomState) -> bytearray:
    at, size = _at(data, rng), 1 << rng.randint(12)
    data[at : at + size] = bytes(len(data[at : at + size]))
    return data


def _zero_tail(data: bytearray, rng: np.random.RandomState) -> bytearray:
    at = _at(data, rng)
    data[at:] = bytes(len(data) - at)
    return data


def _drop(data: bytearray, rng: np.random.RandomState) -> bytearray:
    at = _at(data, rng)
    del data[at : at + 1 + rng.randint(64)]
    return data


def _insert(data: bytearray, rng: np.random.RandomState) -> bytearray:
    at = _at(data, rng)
    data[at:at] = rng.bytes(1 + rng.randint(64))
    return data


def _repeat(data: bytearray, rng: np.random.RandomState) -> bytearray:
    start, at = _at(data, rng), _at(data, rng)
    data[at:at] = data[start : start + 1 + rng.randint(64)]
    return data


_DAMAGES: tuple[Callable[[bytearray, np.random.RandomState], bytearray], ...] = (
    *(_flip, _flip, _byte, _number, _number),
    *(_cut, _zero, _zero_tail, _drop, _insert, _repeat),
)

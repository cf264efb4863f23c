"""One side against several: it is read once, and the others one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .engines.base import Engine
from .engines.choose import opened_engine
from .fit import Facts, Side
from .messages import tell_of_sides
from .messages_of_pairs import MessagesOfPairs
from .metrics.fid import FID
from .options import Options
from .pairing import check_images, check_names, image_names
from .sides import check_sides, fitted, glanced, open_side, resumable, tell_of_unknown

_WITH_ROWS = FID(certainty=True).needs


def read_against(
    real: Any, others: Sequence[Any], options: Options, said: MessagesOfPairs, *, paired: bool = False
) -> Iterator[tuple[Side, Side]]:
    """Yield each of several sides with the real side, both with moments and, unless they are statistics, rows.

    All sides are opened, checked and glanced at before the first is read. Drop what is yielded before the next is asked
    for: then the features of one side are kept at a time, besides those of the real side.
    """
    given = [("the real side", real), *((f"generator {i}", other) for i, other in enumerate(others, 1))]
    sides = [open_side(one, name, _WITH_ROWS, options, said.of(i), str(i)) for i, (name, one) in enumerate(given)]
    first, names = sides[1], image_names(sides[1]) if paired else None
    if paired:
        check_names(sides[1:], [names, *(image_names(side) for side in sides[2:])], said.of(0))
    with opened_engine(sides, options, said.of(0)) as (engine, facts):
        sides = _checked(sides, facts, options, said)
        sides = [glanced(resumable(side, facts, options, said.of(i))) for i, side in enumerate(sides)]
        for i, side in enumerate(sides[1:], 1):
            tell_of_sides([side, sides[0]], facts, said.of(i))
        reference, waiting = fitted(sides[0], engine, facts, options, said.of(0)), sides[1:]
        del sides
        for i in range(1, len(others) + 1):
            side = _read(waiting.pop(0), reference, engine, facts, options, said, i)
            first = replace(side, fit=None) if i == 1 else first
            if paired:
                check_images(first, side, names)
            both = side, reference
            del side
            yield both
            del both


def _checked(sides: Sequence[Side], facts: Facts, options: Options, said: MessagesOfPairs) -> list[Side]:
    """Check each side against the real one, and against the first of the others if both say how they were made."""
    real, *others = sides
    for i, side in enumerate(others):
        (others[i], real), _ = check_sides([side, real], facts, options.force, said.of(i + 1), tell_unknown=False)
        if i and others[i].provenance and others[0].provenance:
            check_sides([others[0], others[i]], facts, options.force, said.of(i + 1))
    unknown = dict.fromkeys(side.name for side in (*others, real) if side.provenance is None)
    tell_of_unknown([*others, real], list(unknown), said.of(0))
    return [real, *others]


def _read(
    side: Side, real: Side, engine: Engine | None, facts: Facts, options: Options, said: MessagesOfPairs, i: int
) -> Side:
    read = fitted(side, engine, facts, options, said.of(i))
    tell_of_sides([read, real], facts, said.of(i))
    return read

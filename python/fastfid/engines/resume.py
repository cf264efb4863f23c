"""Runs that keep the fit of each piece in a folder, and continue from those that are there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from ..errors import ImageError, InputError
from ..extraction.workers import ahead
from ..fit import Fit
from ..messages import Messages
from ..metrics.base import Need
from ..sources import Piece
from .base import Engine, How
from .packed import DamagedError
from .piece_files import READERS, PieceFiles, proof_of_piece


def resumed(
    engine: Engine, needs: Sequence[Need], pieces: Sequence[Piece], how: How, messages: Messages
) -> Iterator[tuple[Piece, Fit]]:
    """Yield the fit of each piece, in order: those that are in the files ``how.keep``, and the rest from an engine.

    The engine gets the missing pieces only. Each of its fits is in a file before it is yielded.

    Raises
    ------
    InputError
        If images have changed since a piece was made from them, or a file is damaged.
    """
    files = how.keep
    assert files is not None
    if not pieces:
        return
    there = _usable(files, pieces, messages)
    if there:
        messages.note(f"{len(there)} of {len(pieces)} pieces are in {files.store} already")
    missing = [piece for piece in pieces if piece.number not in there]
    proofs: dict[int, str] = {}
    computed = engine.fit(
        needs, _proven(missing, proofs, keeps=engine.keeps), _beginning_at(_images(pieces) - _images(missing), how)
    )
    kept = ahead(partial(_read, files, how.on_error), [piece for piece in pieces if piece.number in there], READERS)
    told = False
    try:
        for piece in pieces:
            if piece.number in there:
                fit, proven = next(kept)
                if not (proven or told):
                    source = piece.source.name
                    messages.note(f"nothing proves that {source} is unchanged: its images are read again and compared")
                    told = True
                yield piece, fit
                continue
            given = next(iter(computed), None)
            if given is None:
                return
            if not engine.keeps:
                files.write(*given, proofs.pop(given[0].number))
            yield given
        yield from computed  # more than was asked for; the caller refuses it
    finally:
        kept.close()
        close = getattr(computed, "close", None)
        if close is not None:
            close()


def _proven(pieces: Iterable[Piece], proofs: dict[int, str], *, keeps: bool) -> Iterator[Piece]:
    """Pass on the pieces, and note the proof of each before its images are read, unless the engine does."""
    for piece in pieces:
        if not keeps:
            proofs[piece.number] = proof_of_piece(piece)
        yield piece


def _usable(files: PieceFiles, pieces: Sequence[Piece], messages: Messages) -> set[int]:
    """Return the numbers of the pieces that need not be computed."""
    there = files.numbers() & {piece.number for piece in pieces}
    for number in sorted(there if files.store.is_local else ()):  # an object store has no half files
        try:
            files.glance(number)
        except DamagedError as error:
            messages.note(f"{error}: the piece is computed again")
            there.remove(number)
    return there


def _read(files: PieceFiles, on_error: str, piece: Piece) -> tuple[Fit, bool]:
    try:
        fit, proven = files.read(piece)
    except (DamagedError, FileNotFoundError) as error:
        raise InputError(f"{error}: remove it, and run again") from error
    if on_error == "raise" and fit.seen.rejected:  # kept by a run that left images out
        raise ImageError(fit.seen.rejected[0])
    return fit, proven


def _images(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.indices) for piece in pieces)


def _beginning_at(known: int, how: How) -> How:
    show = how.progress
    if show is None:
        return how
    show(known)
    return replace(how, progress=lambda done: show(known + done))

"""The facts that all pieces of a resumable run share, in the file ``run.json`` of its folder."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from typing import Any

from ..errors import ImageError, InputError
from ..files.reading import failures
from ..files.store import Store
from ..fit import Facts
from ..images.decode import digest as digest_of_image
from ..messages import Messages
from ..metrics.base import Need
from ..provenance import Provenance
from ..sources import Piece
from ..sources.pieces import read_checked

FORMAT = 2
RUN = "run.json"
_MOST_TEXT = 1 << 20  # bytes
_SAMPLE = 8  # images


def facts_of_run(
    pieces: Sequence[Piece], needs: Sequence[Need], facts: Facts, reading: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the facts of a run.

    Parameters
    ----------
    pieces : sequence of Piece
        All pieces of the source.
    needs : sequence of Need
        What is made of each piece.
    facts : Facts
        What the engine says of the network.
    reading : mapping
        How the images are read, as plain data.

    Raises
    ------
    InputError
        If the provenance is not known.
    """
    if facts.provenance is None:
        raise InputError("resume needs an engine that says how it makes features: Facts(roles, provenance=...)")
    return {**facts_of_names(pieces, needs, facts, facts.provenance, reading), "sample": digest(_sample(pieces))}


def facts_of_names(
    pieces: Sequence[Piece], needs: Sequence[Need], facts: Facts, provenance: Provenance, reading: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the facts of a run that can be told without reading an image."""
    made, source = asdict(provenance), pieces[0].source
    borders = (f"{piece.label}\0{len(piece.indices)}" for piece in pieces)
    keys = (source.key_of(int(index)) for piece in pieces for index in piece.indices)
    return {
        "format": FORMAT,
        "model": made["model"],
        "sha256": made["sha256"],
        **{name: made[name] for name in ("mode", "dims", "precision", "batch_size")},
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(made["versions"].items())),
        "needs": [text_of(need) for need in needs],
        "roles": {need.role: facts.roles[need.role] for need in needs},
        **reading,
        "source": source.name,
        "images": sum(len(piece.indices) for piece in pieces),
        "pieces": len(pieces),
        "order": digest(chain(borders, keys)),
    }


def _sample(pieces: Sequence[Piece]) -> Iterator[str]:
    """Yield hashes of a few images, which tell two sets with the same names apart, wherever they lie."""
    source, some = pieces[0].source, pieces[:: -(-len(pieces) // _SAMPLE)]
    each = -(-_SAMPLE // len(some))
    chosen = sorted(int(index) for piece in some for index in piece.indices[:: -(-len(piece.indices) // each)])
    for item in read_checked(source, chosen[:1] if source.ordered else chosen):
        try:
            image = item.decode()
        except ImageError:
            yield "damaged"
        else:
            yield f"{image.digest or digest_of_image(image.pixels):x} {image.pixels.shape}"


def agree(store: Store, facts: Mapping[str, Any], messages: Messages) -> tuple[str, bool]:
    """Write the facts of a run to its folder, or compare them with those that are there.

    Returns
    -------
    digest : str
        That of the facts.
    anew : bool
        True if the pieces in the folder are of an earlier version, and are not to be used.

    Raises
    ------
    InputError
        If the folder belongs to another run; the message names what differs.
    """
    names = store.names()
    if RUN not in names and any(name.startswith("piece-") for name in names):
        raise InputError(f"{store} has pieces, but no {RUN} that says what made them: give another folder")
    store.write(RUN, json.dumps(facts, indent=1).encode(), replace=False)
    there = facts_in(store)
    if anew := there["format"] < FORMAT:
        messages.note(f"{store} was written by an earlier version of fastfid: begun anew")
        store.write(RUN, json.dumps(facts, indent=1).encode())
        there = dict(facts)
    # The path of the source may be another one on another machine; the order of its images must be the same.
    if differing := [name for name in facts if name != "source" and there.get(name) != facts[name]]:
        what = "; ".join(_differences(differing, there, facts))
        raise InputError(f"{store} keeps the pieces of another run: {what}. Give another folder, or remove this one")
    return digest_of(facts), anew


def facts_in(store: Store) -> dict[str, Any]:
    """Read the facts of the run that a folder keeps."""
    with failures(f"cannot read {store}/{RUN}"), store.read(RUN, _MOST_TEXT) as file:
        facts = json.loads(file.read())
        if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
            raise ValueError("it does not hold the facts of a run")
    if facts["format"] > FORMAT:
        raise InputError(f"{store} was written by a newer fastfid: upgrade to read it")
    return facts


def digest_of(facts: Mapping[str, Any]) -> str:
    """Return a digest of the facts of a run, without the path of the source."""
    return digest([json.dumps({name: value for name, value in facts.items() if name != "source"}, sort_keys=True)])


def digest(texts: Iterable[str]) -> str:
    """Return a hash of texts in their order."""
    hashed = hashlib.blake2b(digest_size=16)
    for text in texts:
        hashed.update(f"{text}\0".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def text_of(need: Need) -> str:
    """Return a need as a text that is the same in every process."""
    kind: Any = need.accumulator
    values = ""
    if isinstance(kind, partial):
        kind, values = kind.func, f"{kind.args}{sorted(kind.keywords.items())}"
    return f"{kind.__module__}.{getattr(kind, '__qualname__', type(kind).__qualname__)}{values} of {need.role}"


def _differences(names: Sequence[str], there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """Say what differs, without what follows from another difference."""
    if [*names] == ["sample"]:
        yield f"images of the same names, but other ones: those of {there.get('source')} there, {here['source']} here"
    if "order" in names:
        counted = (f"{facts.get('images')} of {facts.get('source')}" for facts in (there, here))
        yield f"other images, or in another order: {next(counted)} there, {next(counted)} here"
    follows = {"order", "sample"}
    follows |= {"images", "pieces"} if "order" in names else set()
    follows |= {"roles"} if "needs" in names else set()
    for name in names:
        if name not in follows:
            yield f"{_LABELS.get(name, name)} {_shown(there.get(name))} there, {_shown(here[name])} here"


_LABELS = {"needs": "the metrics need"}


def _shown(value: Any) -> str:
    """Return a value as text, and classes without their modules."""
    parts = value if isinstance(value, list) else [value]
    return ", ".join(part.rpartition(".")[2] if " of " in str(part) else str(part) for part in parts)

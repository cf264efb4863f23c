"""The classes of images: the subfolders that they are in."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from ..errors import InputError
from .base import Source
from .pieces import PIECE, Indices, Piece, choose


def classes_of(source: Source, limit: int | None = None, seed: int = 0) -> dict[str, Indices]:
    """Return the images of each class, sorted by class, from those that `limit` and `seed` choose.

    The class of an image is the first folder that its path has below the folders that all images share.

    Raises
    ------
    InputError
        If an image is in no subfolder, or the source cannot be read class by class.
    """
    chosen = choose(source, limit, seed)
    if chosen is None or source.ordered:
        raise InputError(f"{source.name} cannot be read class by class: give a folder with a subfolder for each class")
    folders = {int(index): source.folder_of(int(index)).split("/") for index in chosen}
    depth = _shared(source)
    found: defaultdict[str, list[int]] = defaultdict(list)
    for index, parts in folders.items():
        if not parts[depth:] or not parts[depth]:
            raise InputError(f"{source.name_of(index)} is in no subfolder, and the subfolders are the classes")
        found[parts[depth]].append(index)
    return {name: np.array(found[name]) for name in sorted(found)}


def class_pieces(source: Source, classes: Mapping[str, Indices]) -> Iterator[Piece]:
    """Cut the images of each class into pieces, class by class."""
    of, number = sum(map(len, classes.values())), 0
    for name, indices in classes.items():
        for first in range(0, len(indices), PIECE):
            yield Piece(source, number, indices[first : first + PIECE], of, name)
            number += 1


def _shared(source: Source) -> int:
    """Return how many leading folders all images of the source share, with at least one folder below them."""
    folders = {source.folder_of(index) for index in range(source.size or 0)}
    split = [folder.split("/") for folder in folders]
    depth, least = 0, min(map(len, split))
    while depth < least - 1 and len({parts[depth] for parts in split}) == 1:
        depth += 1
    return depth

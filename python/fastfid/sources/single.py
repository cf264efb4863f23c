"""Opens one file as a set of images, by its ending."""

from collections.abc import Callable
from typing import NoReturn

from ..errors import InputError
from ..files.places import Place
from .archives import open_archives
from .arrays import open_npy, open_npz
from .base import Source
from .lists import LISTS, open_list
from .mlperf import open_log
from .names import is_archive, is_image
from .tables import is_table, open_table
from .terms import Terms

KINDS = (
    "a folder of images, a .zip or .tar of images or a folder of those, a .parquet or .arrow table, a .txt or .csv "
    "list of paths, an .npz or .npy of images, an array or tensor, or an iterable of arrays, PIL images, paths or "
    "bytes of files"
)


def open_file(place: Place, terms: Terms) -> Source:
    """Open a file that exists.

    Raises
    ------
    InputError
        If its kind is not known, or it holds no images.
    """
    for test, open_kind in _FILES:
        if test(place, terms):
            return open_kind(place, terms)
    raise InputError(f"{place} is of an unknown type: give {KINDS}")


def is_known(place: Place, terms: Terms) -> bool:
    """Return True if the ending of a file is known."""
    return any(test(place, terms) for test, _ in _FILES)


def _open_archive(place: Place, terms: Terms) -> Source:
    return open_archives(str(place), [place], terms)


def _refuse_image(place: Place, *_: object) -> NoReturn:
    raise InputError(f"{place} is a single image: give a folder of images")


def _refuse_pickle(place: Place, *_: object) -> NoReturn:
    raise InputError(
        f"{place} is a pickle, which is read only as statistics and never unpickled: "
        "save images with numpy.save('images.npy', images)"
    )


def _ending(*endings: str) -> Callable[[Place, Terms], bool]:
    return lambda place, _: place.tail.lower().endswith(endings)


#: Kinds of files, by name. The first line that applies is used.
_FILES: tuple[tuple[Callable[[Place, Terms], bool], Callable[[Place, Terms], Source]], ...] = (
    (_ending(".npy"), open_npy),
    (_ending(".npz"), open_npz),
    (lambda place, terms: terms.endings.count(place.tail) or is_image(place.tail), _refuse_image),
    (lambda place, _: is_archive(place.tail), _open_archive),
    (lambda place, _: is_table(place.tail), open_table),
    (_ending(*LISTS), open_list),
    (_ending(".json"), open_log),
    (_ending(".pkl", ".pickle"), _refuse_pickle),
)

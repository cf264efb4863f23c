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

#: What can be given by a path, an address or a pattern of either.
FILES = (
    "a folder of images, a .zip or .tar of images (also .tar.gz and the like), a .parquet or .arrow "
    "table, a folder of archives or tables, a .txt, .csv or .tsv list of paths, an .npz or .npy of images"
)
KINDS = (
    f"{FILES}, a pattern or an address of any of these, an array or tensor, or an iterable of arrays, PIL images, "
    "paths or bytes of files"
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


def missing(name: str) -> InputError:
    """Return the error for a path or an address where there is nothing."""
    return InputError(f"{name} does not exist: give {FILES}, or a pattern of any of these")


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

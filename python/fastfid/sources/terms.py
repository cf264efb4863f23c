"""What the caller says about an input: which of its files are images, and how its values become 8-bit RGB."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..checks import shown
from ..errors import InputError
from ..images.quantise import Quantise
from .names import Endings

#: How a float in 0...255 becomes a whole number: to the nearest; down; after adding 0.5, as ``127.5 x + 128`` does.
QUANTISE = ("round", "truncate", "edm")


@dataclass(frozen=True)
class Terms:
    """The options of `score` that say how an input is opened.

    Attributes
    ----------
    recursive : bool
        Whether to search subfolders.
    endings : Endings
        Which files are images.
    image_key : str or None
        The column or key that holds the image.
    value_range : (float, float) or None
        The values of black and white in images of floats.
    quantise : {"round", "truncate", "edm"} or None
        How floats become whole numbers.
    storage_options : mapping
        What the file system of an address needs, such as credentials.
    """

    recursive: bool = True
    endings: Endings = Endings()  # noqa: RUF009 - frozen
    image_key: str | None = None
    value_range: tuple[float, float] | None = None
    quantise: str | None = None
    storage_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def floats(self) -> Quantise | None:
        """How floats become bytes; None if they are refused."""
        return Quantise(*self.value_range, self.quantise) if self.value_range and self.quantise else None

    @classmethod
    def of(
        cls,
        *,
        recursive: bool = True,
        endings: str | Collection[str] | None = None,
        image_key: str | None = None,
        value_range: tuple[float, float] | None = None,
        quantise: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> "Terms":
        """Make them from the values of the options, which are checked already.

        Raises
        ------
        InputError
            If only one of `value_range` and `quantise` is given.
        """
        if (value_range is None) != (quantise is None):
            given, other = ("quantise", "value_range") if value_range is None else ("value_range", "quantise")
            ways = "the values of black and white, such as (-1, 1)" if value_range is None else ", ".join(QUANTISE)
            raise InputError(f"{given} is about images of floats, which need {other} too: {ways}")
        counted = Endings.of(endings)
        return cls(
            recursive=recursive and not counted.exact,
            endings=counted,
            image_key=image_key,
            value_range=value_range,
            quantise=quantise,
            storage_options=dict(storage_options or {}),
        )


def check_value_range(value: object) -> tuple[float, float] | None:
    """Return a range as two floats; raise `InputError` if it is none. None is passed through."""
    if value is None:
        return None
    ends = tuple(value) if isinstance(value, tuple | list) else ()
    numbers = len(ends) == 2 and all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
    if not numbers or not (float("-inf") < ends[0] < ends[1] < float("inf")):
        raise InputError(f"value_range must be the values of black and white, such as (-1, 1); got {shown(value)}")
    return float(ends[0]), float(ends[1])

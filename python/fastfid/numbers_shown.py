"""How numbers are shown, and the rows of a Markdown table."""

from collections.abc import Sequence
from math import floor, log10

from .terminal import printable


def decimals(error: float) -> int:
    """Return how many decimals show an error of this size with two digits.

    Examples
    --------
    >>> decimals(0.0523), decimals(0.5), decimals(31.0)
    (3, 2, 0)
    """
    return max(0, 1 - floor(log10(error))) if error > 0 else 6


def rounded_up(n: int) -> int:
    """Return a number of images with two digits that is not smaller.

    Examples
    --------
    >>> rounded_up(81_234), rounded_up(82_000), rounded_up(7)
    (82000, 82000, 7)
    """
    unit = int(10 ** max(0, floor(log10(n)) - 1))
    return -(-n // unit) * unit


def markdown(cells: Sequence[str]) -> str:
    r"""Return a row of a Markdown table, in which no cell ends a line, begins another cell or is HTML.

    Examples
    --------
    >>> print(markdown(["a|b", "<b>", "new\nline"]))
    | a\|b | \<b> | new\nline |
    """
    return (
        f"| {' | '.join(printable(cell).replace('|', chr(92) + '|').replace('<', chr(92) + '<') for cell in cells)} |"
    )

"""How many decimals of a number are shown."""

from math import floor, log10


def decimals(error: float) -> int:
    """Return how many decimals show an error of this size with two digits.

    Examples
    --------
    >>> decimals(0.0523), decimals(0.5), decimals(31.0)
    (3, 2, 0)
    """
    return max(0, 1 - floor(log10(error))) if error > 0 else 6

"""Images of floats become 8-bit ones, in one of the ways in which generators' own code does it.

On the scale y = (x - low) / (high - low) * 255, with values outside 0...255 clamped:

=========  ==============================  ==========================================================================
way        byte                            the same bits as
=========  ==============================  ==========================================================================
round      rint(y)                         ``np.round``: MAR, diffusers
truncate   floor(y)                        ``.to(torch.uint8)``, ``.byte()``: ADM, torchmetrics with ``normalize=True``
edm        floor(x * s + 0.5 - low * s),   ``x * 127.5 + 128`` of EDM, StyleGAN, DiT, SiT; for values in 0...1
           s = 255 / (high - low)          ``x * 255 + 0.5`` of torchvision's ``save_image``
=========  ==============================  ==========================================================================

"edm" rounds to the nearest too, and differs from "round" where a sum is rounded to a half. "truncate" is half a grey
level darker on average.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError

#: A loss of the conversion, as `Decoded.losses` has them.
OUTSIDE = "outside value_range"


@dataclass(frozen=True)
class Quantise:
    """How floats become bytes.

    Attributes
    ----------
    low, high : float
        The values of black and white.
    way : {"round", "truncate", "edm"}
    """

    low: float
    high: float
    way: str

    def __call__(self, array: NDArray[Any], name: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """Convert an image of floats.

        It computes in float32, also for half precision, and in float64 for values in float64, as the tools do.

        Parameters
        ----------
        array : ndarray of floats, of any shape
        name : str
            Name of the image in errors.

        Returns
        -------
        pixels : ndarray of uint8, of the same shape
        losses : tuple of str
            `OUTSIDE` if a value was clamped.

        Raises
        ------
        ImageError
            If a value is NaN or infinite.
        InputError
            If there are no 256 numbers between the two ends in the precision that it computes in.

        Examples
        --------
        >>> Quantise(-1, 1, "truncate")(np.array([-1, 0, 1.5]), "x")
        (array([  0, 127, 255], dtype=uint8), ('outside value_range',))
        """
        x: NDArray[np.floating[Any]] = array.astype(np.float64 if array.dtype.itemsize >= 8 else np.float32)
        low, high = self._ends(x.dtype, name)
        least, most = x.min(initial=low), x.max(initial=high)  # NaN if there is one
        if not (np.isfinite(least) and np.isfinite(most)):
            count = x.size - int(np.count_nonzero(np.isfinite(x)))
            raise ImageError(f"{name}: {count} of its {x.size} values are NaN or infinite, which are no pixels")
        with np.errstate(over="ignore"):  # what is infinite then is clamped below
            if self.way == "edm":
                scale = 255 / (self.high - self.low)
                x *= scale
                x += 0.5 - self.low * scale
            else:
                x -= low
                x /= high - low
                x *= 255
        if self.way == "round":
            np.rint(x, out=x)
        np.clip(x, 0, 255, out=x)
        return x.astype(np.uint8), (OUTSIDE,) if least < low or most > high else ()

    def _ends(self, dtype: np.dtype[Any], name: str) -> NDArray[np.floating[Any]]:
        """Return the values of black and white in a precision that tells 256 values between them apart."""
        with np.errstate(over="ignore", invalid="ignore"):  # an end may be infinite in float32
            ends = np.array([self.low, self.high], dtype)
            step = float(np.spacing(np.abs(ends).max()))
        if not step <= (self.high - self.low) / 255:
            raise InputError(
                f"{name}: value_range=({self.low:.9g}, {self.high:.9g}) has no 256 different values in {dtype}: give "
                "the range of the values themselves, such as (-1, 1), or float64"
            )
        return ends

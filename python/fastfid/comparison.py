"""The result of a comparison of two sets of images."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from math import isnan
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from ._core import __version__
from .against import Against
from .checks import truth
from .errors import InputError
from .fit import Side
from .flat import flat
from .metrics.base import Score
from .metrics.certainty import Certainty
from .metrics.intervals import Interval
from .protocols import Protocol
from .protocols.references import Used
from .provenance import Provenance
from .report.html import can_report, framed, report_of, write_report

if TYPE_CHECKING:
    from .report.evidence import Evidence
    from .verdicts import Gate

_CITED = ("onnxruntime", "pillow")  # versions beside our own that a protocol's number may depend on


@dataclass(frozen=True)
class Comparison:
    """The scores of two sets of images, with how they were made and the messages of the run.

    Attributes
    ----------
    scores : dict of str to Score
        The result of each metric, by its name.
    a, b : Side
        Name, number of images and rejected images of each side. `b` is None if only one side was given.
    method : str
        "auto" or "schur": how the FID was computed.
    provenance : Provenance or None
        How the features were made; None if neither side says.
    forced : bool
        True if the two sides were made in different ways and compared only because of ``force=True``.
    warnings, notes : tuple of str
        Messages issued during the run.
    classes : dict of str to dict of str to Score
        The result of each metric for each class, by the names of both; empty without ``per_class``.
    sure : bool
        Whether `certainty` was asked for; a report computes it in any case.
    protocol : Protocol or None
        The published protocol that was followed.
    command : str
        The command, or the call, that repeats the comparison; without credentials.
    evidence : Evidence or None
        What a report shows beyond the scores; None without ``report``.
    reference : Used or None
        The real side of a protocol of one data set: its name, its SHA-256, and how surely it is the published one.
    settings : dict of str to object
        The options about which images there are and how they become bytes, as far as they are not the usual ones.
    baseline : Against or None
        The difference to other generated images, if a baseline was given.
    """

    scores: Mapping[str, Score]
    a: Side
    b: Side | None
    method: str
    provenance: Provenance | None
    forced: bool
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    classes: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    sure: bool = False
    protocol: Protocol | None = None
    command: str = field(default="", compare=False)
    evidence: "Evidence | None" = field(default=None, repr=False, compare=False)
    reference: Used | None = None
    baseline: Against | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def citation(self) -> str:
        """What to state beside the numbers: protocol, reference, versions, numbers and size of images, weights."""
        made, n = self.provenance, " and ".join(_counted(side) for side in (self.a, self.b) if side)
        size = self.protocol.size if self.protocol else None
        facts = [
            f"protocol {self.protocol.name}, as {self.protocol.tool}" if self.protocol else "",
            str(self.reference) if self.reference else "",
            f"fastfid {__version__}",
            _versions(made) if size else "",
            f"n {n}",
            f"{size}x{size} pixels" if size else "",
            *(made.cited() if made else ()),
        ]
        return "; ".join(fact for fact in facts if fact)

    def over_classes(self, metric: str = "fid") -> tuple[float, str]:
        """Return the mean of a metric over the classes, and the class with the worst value."""
        if not self.classes:
            raise InputError("there are no classes: compare with per_class=True")
        if metric not in self.scores:
            raise InputError(f"{metric} was not asked for; the metrics were {', '.join(self.scores)}")
        values = {name: scores[metric].value for name, scores in self.classes.items()}
        worst = max if self.scores[metric].better == "lower" else min
        return fmean(values.values()), worst(values, key=lambda name: values[name])

    @property
    def fid(self) -> float:
        """``mean_term + trace_term``, in squared units of the features."""
        return self._fid.value

    @property
    def mean_term(self) -> float:
        """``|mu1 - mu2|²``."""
        return float(self._fid.parts["mean_term"])

    @property
    def trace_term(self) -> float:
        """``tr(S1) + tr(S2) - 2 tr(sqrt(S1 S2))``."""
        return float(self._fid.parts["trace_term"])

    @property
    def error_estimate(self) -> float:
        """Estimated absolute error of `fid`.

        It covers rounding. For a side that is known only as a covariance matrix of deficient rank, it also covers the
        eigenvalues that cannot be told from zero. NaN with ``method="schur"``, which has no estimate.
        """
        return float(self._fid.parts["error_estimate"])

    @property
    def rank(self) -> tuple[int, int] | None:
        """Numerical ranks of the covariances, without the dims that are zero on either side; None with "schur"."""
        rank: tuple[int, int] | None = self._fid.parts["rank"]
        return rank

    @property
    def certainty(self) -> Certainty | None:
        """How sure the FID is; None without ``certainty=True``."""
        return self._fid.certainty

    @property
    def interval(self) -> Interval | None:
        """Confidence interval; None if `bootstrap` is 0."""
        interval: Interval | None = self._fid.parts["interval"]
        return interval

    def to_html(
        self, path: str | os.PathLike[str] | None = None, *, thumbnails: bool = True, gate: "Gate | None" = None
    ) -> str:
        """Return the report of the comparison: one page that needs no other file and no script.

        A part that was not computed says what to ask for; ``compare(..., report=True)`` computes all of them.

        Parameters
        ----------
        path : path, optional
            A file that the page is written to as well. A report that is there already is replaced.
        thumbnails : bool
            False leaves images out. The names of files stay.
        gate : Gate, optional
            The verdict of a gate, which the page then shows.

        Returns
        -------
        str
            The page. Equal comparisons give equal pages.

        Raises
        ------
        InputError
            If jinja2 is not installed, or the file cannot be written, or is there and is not a report.

        Examples
        --------
        >>> import numpy as np
        >>> import fastfid
        >>> a, b = np.random.RandomState(0).standard_normal((2, 500, 8))
        >>> page = fastfid.compare(a, b, features=True, report=True).to_html()
        >>> page.startswith("<!DOCTYPE html>")
        True
        """
        page = report_of(self, thumbnails=truth("thumbnails", thumbnails), gate=gate)
        if path is not None:
            write_report(page, path)
        return page

    def _repr_html_(self) -> str | None:
        """Return the report for a notebook, in a frame of its own; None without jinja2."""
        return framed(report_of(self)) if can_report() else None

    def _over_classes(self) -> dict[str, dict[str, Any]]:
        summaries = {name: self.over_classes(name) for name in self.scores}
        return {name: {"mean": mean, "worst": worst} for name, (mean, worst) in summaries.items()}

    @property
    def _fid(self) -> Score:
        if "fid" not in self.scores:
            raise InputError(f"the FID was not asked for; the metrics were {', '.join(self.scores)}")
        return self.scores["fid"]

    def as_metrics(self) -> dict[str, float]:
        """Return all numbers as a flat dict of floats, with names that MLflow and Weights & Biases accept.

        ``mlflow.log_metrics(result.as_metrics())`` and ``wandb.log(result.as_metrics())`` take it as it is. The value
        of a metric has its name, such as ``"fid"``, which its other numbers begin with, such as ``"fid_low"`` or
        ``"prdc_recall"``. Those of classes are called ``"classes/NAME/fid"``. Characters other than letters, digits
        and ``_`` become ``_``.
        """
        return flat(self.scores, self.classes)

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON, NaN as None."""
        fid = self.scores.get("fid")
        others = {name: _plain(score) for name, score in self.scores.items() if score is not fid}
        return {
            **({"fid": fid.value, **_plain(fid.parts)} if fid else {}),
            **({"certainty": _plain(fid.certainty)} if fid and fid.certainty else {}),
            **({"scores": others} if others else {}),
            **({"classes": _plain(self.classes), "over_classes": _plain(self._over_classes())} if self.classes else {}),
            **({"protocol": self.protocol.name} if self.protocol else {}),
            **({"reference": asdict(self.reference)} if self.reference else {}),
            **({"baseline": _plain(self.baseline)} if self.baseline else {}),
            "citation": self.citation,
            "a": self.a.as_dict(),
            "b": self.b.as_dict() if self.b else None,
            "method": self.method,
            "settings": _plain(self.settings),
            "provenance": _plain(self.provenance),
            "forced": self.forced,
            "warnings": self.warnings,
            "notes": self.notes,
        }


def _versions(made: Provenance | None) -> str:
    versions = made.versions if made else {}
    return ", ".join(f"{name} {versions[name]}" for name in _CITED if name in versions)


def _counted(side: Side) -> str:
    n = "unknown" if side.n is None else str(side.n)
    return f"{n} (of {side.chosen[0]}, seed {side.chosen[1]})" if side.chosen else n


def _plain(value: Any) -> Any:
    if isinstance(value, Certainty):
        return _plain(value.as_dict())
    if isinstance(value, Score):
        fields = dict(vars(value))
        if value.certainty is None:
            del fields["certainty"]
        return _plain(fields)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        plain = [_plain(item) for item in value]
        return plain if isinstance(value, list) else tuple(plain)
    return None if isinstance(value, float) and isnan(value) else value

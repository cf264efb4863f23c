"""The built-in metrics, by name."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from ..checks import type_of
from ..errors import InputError, UsageError
from .authpct import AuthPct
from .base import Metric, Need, Score
from .cmmd import CMMD
from .fid import FID
from .inception_score import InceptionScore
from .kid import KID
from .mind import MIND
from .prdc import PRDC
from .sfid import SFID
from .vendi import Vendi

METRICS: dict[str, type[Metric]] = {
    metric.name: metric for metric in (FID, KID, InceptionScore, PRDC, SFID, CMMD, MIND, Vendi, AuthPct)
}


def check_name(name: object) -> None:
    """Raise `InputError` for a metric that is not built in."""
    if not isinstance(name, str) or name not in METRICS:
        raise InputError(
            f"metrics: unknown name {name!r}; give one of {', '.join(METRICS)}, or a fastfid.Metric object"
        )


def asked_for(metrics: Any, options: object) -> list[Metric]:
    """Return the requested metrics, which are given by name or as objects.

    Parameters
    ----------
    metrics : sequence of str or Metric
    options : object
        A metric given by name takes its parameters from the attributes with the same names.

    Raises
    ------
    InputError
        If a name is unknown, or two metrics have the same name.
    """
    found = [
        _checked(metric, options) if isinstance(metric, Metric) else _by_name(metric, options) for metric in metrics
    ]
    names = [metric.name for metric in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"metrics: two are called {twice[0]}; give one of them another name")
    return found


def with_certainty(metric: Metric) -> Metric:
    """Return a metric that also says how sure its score is, if it can."""
    if type(metric) in METRICS.values() and hasattr(metric, "certainty"):
        return cast(Metric, replace(cast(Any, metric), certainty=True))
    return metric


def score_of(metric: Metric, sides: Sequence[Any]) -> Score:
    """Compute a metric from the fits of the sides.

    Raises
    ------
    InputError
        If the metric does not return a `Score`.
    """
    # A metric from outside gets copies: what it does to the states must not reach the next metric, or the caller.
    own = type(metric) in METRICS.values()
    found: Any = metric.value(*(side if own else deepcopy(side) for side in sides[: metric.sides]))
    if not isinstance(found, Score):
        raise InputError(f"metrics: {metric.name}.value must return a fastfid.Score, got {type_of(found)}")
    return found if found.role else replace(found, role=", ".join(dict.fromkeys(need.role for need in metric.needs)))


def needs_of(metrics: Sequence[Metric], place: int) -> tuple[Need, ...]:
    """Return what the metrics need, each need once."""
    needs = [need for metric in metrics if metric.sides > place for need in metric.needs]
    return tuple(dict.fromkeys(sorted(needs, key=lambda need: need.optional)))


def _checked(metric: Metric, options: object) -> Metric:
    """Return a metric that was given as an object, if it keeps the contract and no option contradicts it."""
    kind, name, needs = type(metric).__name__, getattr(metric, "name", None), metric.needs
    if not (isinstance(name, str) and name):
        raise InputError(f"metrics: {kind} has no name; set name = '...' in the class")
    if name in METRICS and not isinstance(metric, METRICS[name]):
        raise InputError(f"metrics: {kind} is called {name!r} like a built-in metric; give it another name")
    if metric.sides not in (1, 2):
        raise InputError(f"metrics: {kind}.sides must be 1 or 2, got {metric.sides!r}")
    if not (isinstance(needs, tuple | list) and all(isinstance(need, Need) for need in needs)):
        raise InputError(f"metrics: {kind}.needs must be a tuple of fastfid.Need, got {needs!r}")
    if name in METRICS and is_dataclass(options):
        own = {field.name for field in fields(cast(Any, metric))}
        for field in fields(options):
            if field.name in own - {"seed"} and getattr(options, field.name) != field.default:
                raise InputError(f"{field.name} is a parameter of {kind}: give {kind}({field.name}=...)")
    return metric


def _by_name(name: Any, options: object) -> Metric:
    check_name(name)
    kind: Any = METRICS[name]
    shared = {field.name: getattr(options, field.name) for field in fields(kind) if hasattr(options, field.name)}
    metric: Metric = kind(**shared)
    return metric

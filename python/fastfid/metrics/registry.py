"""The built-in metrics, by name."""

from dataclasses import fields
from typing import Any

from ..errors import InputError
from .base import Metric, Need
from .fid import FID
from .inception_score import InceptionScore
from .kid import KID

METRICS: dict[str, type[Metric]] = {metric.name: metric for metric in (FID, KID, InceptionScore)}


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
    found = [metric if isinstance(metric, Metric) else _by_name(metric, options) for metric in metrics]
    names = [metric.name for metric in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"metrics: two are called {twice[0]}; give one of them another name")
    return found


def needs_of(metrics: list[Metric], place: int) -> tuple[Need, ...]:
    """Return what the metrics need, each need once."""
    return tuple(dict.fromkeys(need for metric in metrics if metric.sides > place for need in metric.needs))


def _by_name(name: Any, options: object) -> Metric:
    if not isinstance(name, str) or name not in METRICS:
        raise InputError(
            f"metrics: unknown name {name!r}; give one of {', '.join(METRICS)}, or a fastfid.Metric object"
        )
    kind: Any = METRICS[name]
    shared = {field.name: getattr(options, field.name) for field in fields(kind) if hasattr(options, field.name)}
    metric: Metric = kind(**shared)
    return metric

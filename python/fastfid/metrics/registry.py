"""The metrics that have a name."""

from dataclasses import fields
from typing import Any

from ..errors import InputError
from .base import Metric, Need
from .fid import FID

METRICS: dict[str, type[Metric]] = {"fid": FID}


def asked_for(metrics: Any, options: object) -> list[Metric]:
    """Return the metrics that were asked for by name or given as objects.

    Parameters
    ----------
    metrics : sequence of str or Metric
    options : object
        A metric asked for by name takes its parameters from the attributes of the same names.

    Raises
    ------
    InputError
        If there is no such metric, or two have one name.
    """
    found = [metric if isinstance(metric, Metric) else _by_name(metric, options) for metric in metrics]
    names = [metric.name for metric in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"metrics: {twice[0]} was asked for twice; give a name of its own to one of the two")
    return found


def needs_of(metrics: list[Metric]) -> tuple[Need, ...]:
    """Return what the metrics need, each need once."""
    return tuple(dict.fromkeys(need for metric in metrics for need in metric.needs))


def _by_name(name: Any, options: object) -> Metric:
    if not isinstance(name, str) or name not in METRICS:
        raise InputError(
            f"metrics: there is no {name!r}; there are {', '.join(METRICS)}, and objects of fastfid.Metric"
        )
    kind: Any = METRICS[name]
    shared = {field.name: getattr(options, field.name) for field in fields(kind) if hasattr(options, field.name)}
    metric: Metric = kind(**shared)
    return metric

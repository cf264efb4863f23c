"""Reads the protocols from `registry.toml`, which says how to write one."""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from ..arguments import default
from ..checks import shown
from ..errors import InputError
from ..files.reading import cause, failures
from ..images.crops import CROPS
from ..images.modes import MODES, resolve
from ..metrics.registry import METRICS
from ..provenance import DIMS
from ..sources.terms import QUANTISE
from .protocol import Line, Network, Protocol, Reference

_INHERITED = ("tool", "mode", "metrics", "lines", "network", "n", "seed", "quantise")
_OWN = ("like", "sources", "data", "size", "crop", "reference", "bounds")


def read(text: str) -> dict[str, Protocol]:
    """Return the protocols of a registry by their names.

    Raises
    ------
    InputError
        If it is no TOML, or an entry is not written as the head of `registry.toml` says; the message names it.
    """
    with failures("the registry of protocols is damaged"):
        tables = tomllib.loads(text)
    entries: dict[str, dict[str, Any]] = {}
    protocols: dict[str, Protocol] = {}
    for name, own in tables.items():
        try:
            if strange := sorted(own.keys() - {*_INHERITED, *_OWN}):
                raise ValueError(f"there is no key {strange[0]!r}")
            base = entries[own["like"]] if "like" in own else {}
            entries[name] = {**{key: base[key] for key in _INHERITED if key in base}, **own}
            protocols[name] = _protocol(name, entries[name])
        except KeyError as error:
            raise InputError(f"protocol {name}: there is no {error}") from error
        except Exception as error:  # a value of another type makes nearly any class
            raise InputError(f"protocol {name}: {cause(error)}") from error
    return protocols


def check_protocol(name: object) -> None:
    """Raise `InputError` if there is no such protocol."""
    if name is None or (isinstance(name, str) and name in PROTOCOLS):
        return
    near = get_close_matches(str(name), PROTOCOLS, cutoff=0.4)
    meant = f"; near it are {', '.join(near)}" if near else ""
    raise InputError(f"protocol must be one that `fastfid protocols` lists, got {shown(name)}{meant}")


def protocol_of(name: str | None) -> Protocol | None:
    """Return a protocol by its name, or None."""
    return None if name is None else PROTOCOLS[name]


def _protocol(name: str, entry: Mapping[str, Any]) -> Protocol:
    if not entry["sources"]:
        raise ValueError("it states no source")
    for key, known in (("crop", CROPS), ("quantise", QUANTISE)):
        if entry.get(key) and entry[key] not in known:
            raise ValueError(f"{key} must be one of {', '.join(known)}; got {entry[key]!r}")
    n = entry.get("n", {})
    if strange := n.keys() - {"generated", "real"}:
        raise ValueError(f"n has no {strange.pop()!r}")
    metrics = tuple(_metrics(entry))
    lines, named = tuple(Line(*line) for line in entry["lines"]), [metric.name for metric in metrics]
    if not lines or any(line.metric not in named for line in lines):
        raise ValueError("it prints no line, or one of a metric that it does not compute")
    network = Network(**entry["network"]) if "network" in entry else None
    reference = Reference(**{"file": f"{name}.npz", **entry["reference"]}) if "reference" in entry else None
    return Protocol(
        name=name,
        tool=entry["tool"],
        settings=_settings(entry["mode"], network),
        metrics=metrics,
        lines=lines,
        network=network,
        n=(n.get("generated"), n.get("real")),
        seed=entry.get("seed"),
        sources=tuple(entry["sources"]),
        base=entry.get("like", ""),
        data=entry.get("data", ""),
        size=entry.get("size"),
        crop=entry.get("crop", ""),
        quantise=entry.get("quantise", ""),
        reference=reference,
        bounds=dict(_bounds(entry.get("bounds", {}), named)),
    )


def _settings(mode: str, network: Network | None) -> dict[str, Any]:
    resolve(mode)
    if (mode in MODES) != (network is None):
        raise ValueError(f"mode {mode} does not fit its network")
    # The file of a network of the user's may state the mode, too.
    return {"mode": mode, "dims": DIMS} if network is None else {"mode": default(mode)}


def _metrics(entry: Mapping[str, Any]) -> Iterator[Any]:
    for each in entry["metrics"]:
        name, _, convention = each.partition(":")
        kind: Any = METRICS[name]
        yield kind(convention) if convention else kind()


def _bounds(bounds: Mapping[str, Any], named: list[str]) -> Iterator[tuple[str, tuple[float, float]]]:
    for metric, (low, high) in bounds.items():
        if metric not in named or not float(low) <= float(high):
            raise ValueError(f"bounds of {metric}: give the smallest and the largest value of one of its metrics")
        yield metric, (float(low), float(high))


PROTOCOLS: dict[str, Protocol] = read((files(__package__) / "registry.toml").read_text(encoding="utf-8"))

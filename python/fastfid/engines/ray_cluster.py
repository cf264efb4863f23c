"""A Ray cluster as the engine sees it: how to reach it, what it has room for, and what its calls return."""

import logging
import math
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..checks import shown, text, whole_number
from ..errors import DeviceError, FastFIDError, InputError

OPTIONS = ("workers", "num_gpus", "num_cpus", "address")
_MOST_CPUS = 4  # of an actor without a GPU, by default; more threads of ONNX Runtime help less than more actors
_LEAST = 0.01  # of a CPU or GPU, in Ray's own steps


class ActorDiedError(DeviceError):
    """A call has no result, because its actor died, or could not be reached, again and again."""


@dataclass(frozen=True)
class Plan:
    """The number of actors, and what each of them takes."""

    workers: int
    num_gpus: float
    num_cpus: float


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the option ``engine_options`` as a dict, or raise `InputError`."""
    for name, value in options.items():
        if name not in OPTIONS:
            raise InputError(f"engine_options: {name!r} is none of {', '.join(OPTIONS)}")
        if name == "workers":
            whole_number("engine_options: workers", value, 1)
        elif name == "address":
            text("engine_options: address", value)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not (value == 0 or value >= _LEAST):
            raise InputError(f"engine_options: {name} must be 0, or a number of at least {_LEAST}, got {shown(value)}")
        elif value == math.inf:
            raise InputError(f"engine_options: {name} must be finite")
    return dict(options)


def plan(asked: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]], device: str) -> Plan:
    """Choose the number of actors and what each takes, from the options and the machines of a cluster.

    Raises
    ------
    DeviceError
        If no machine has room for an actor.
    """
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    cpus, gpus = ([float(machine.get(kind, 0)) for machine in machines] for kind in ("CPU", "GPU"))
    if device.startswith("cuda") and not any(gpus):
        raise DeviceError("device 'cuda' needs a GPU, and the Ray cluster has none")
    num_gpus = asked.get("num_gpus", 0 if device.startswith("cpu") or not any(gpus) else 1)
    num_cpus = asked.get("num_cpus")
    if num_cpus is None and num_gpus:  # its GPU's share of a machine
        shares = [cpu / (gpu / num_gpus) for cpu, gpu in zip(cpus, gpus, strict=True) if gpu >= num_gpus]
        num_cpus = _rounded(min(shares, default=0))
    elif num_cpus is None:
        num_cpus = _share_of(cpus, asked.get("workers", 1))
    room = [
        min(cpu // num_cpus if num_cpus else math.inf, gpu // num_gpus if num_gpus else math.inf)
        for cpu, gpu in zip(cpus, gpus, strict=True)
    ]
    if not any(room):
        raise DeviceError(
            f"an actor takes {num_cpus:g} CPUs and {num_gpus:g} GPUs, and no machine of the Ray cluster has as many: "
            "give less in engine_options"
        )
    total = sum(room)
    return Plan(asked.get("workers") or (1 if total == math.inf else int(total)), num_gpus, num_cpus)


def _share_of(cpus: list[float], workers: int) -> float:
    """Return the CPUs of each actor, as many as let all of them run at once."""
    most = min(_MOST_CPUS, max(cpus, default=0))
    for share in (*range(int(most), 0, -1), *(most / parts for parts in range(2, 101))):
        if sum(cpu // share for cpu in cpus if share) >= workers:
            return _rounded(share)
    return _LEAST


def _rounded(share: float) -> float:
    return math.floor(share) if share >= 1 else max(_LEAST, math.floor(share / _LEAST) * _LEAST)


def attach(address: str | None) -> tuple[Any, bool]:
    """Return the module `ray`, attached to a running cluster, and whether it was attached here.

    Raises
    ------
    InputError
        If Ray is not installed, or is attached to another cluster.
    DeviceError
        If no cluster can be reached.
    """
    try:
        import ray
    except ImportError:
        raise InputError("engine='ray' needs the package ray: pip install ray") from None
    if ray.is_initialized():
        current = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", current):
            raise InputError(f"engine_options: Ray is attached to {current} already, and not to {address}")
        return ray, False
    try:
        with _own_signals():
            ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # of many kinds: no cluster, another version of Ray or Python there
        raise DeviceError(
            f"no Ray cluster can be reached: {error} None is started by fastfid: run `ray start --head` or call "
            "ray.init() first, or name one as engine_options={'address': ...}"
        ) from error
    return ray, True


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the caller's handlers of signals, which `ray.init` replaces."""
    if threading.current_thread() is not threading.main_thread():  # then it cannot replace them
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def result_of_call(ray: Any, result: Any) -> Any:
    """Return the result of a call; raise the error that it raised, or `ActorDiedError`."""
    try:
        return ray.get(result)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, FastFIDError | MemoryError | OSError):
            raise cause from None
        raise DeviceError(f"in an actor of Ray: {type(cause).__name__}: {cause}") from error
    except ray.exceptions.RayError as error:
        raise ActorDiedError(
            f"an actor of Ray died again and again, as happens when memory runs out: {error}; with resume=, the pieces "
            "that are done are kept"
        ) from error

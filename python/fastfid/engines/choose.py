"""Chooses the engine and the network of a run."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ..arguments import given, spelled, spelled_together
from ..errors import DeviceError, InputError, StatisticsMismatch, UsageError
from ..extraction.device import ALL_GPUS, named, parse, parse_devices, visible_gpus
from ..extraction.recipe import Recipe
from ..extractor import Extractor
from ..fit import Facts, Side
from ..images.modes import resolve
from ..messages import Messages
from ..networks.registry import REGISTRY
from ..options import Options
from ..progress import on_a_terminal
from ..protocols import protocol_of
from ..sides import require_roles, roles_of
from .base import Engine
from .local import Local
from .processes import Processes
from .ray import Ray

_BROUGHT = ("mode", "dims", "batch_size", "device", "precision")  # settings that an Extractor has already


@contextmanager
def opened_engine(sides: Sequence[Side], options: Options, messages: Messages) -> Iterator[tuple[Engine | None, Facts]]:
    """Yield an engine that has opened the network, and the facts about that network; None if no side has images."""
    if not any(side.source for side in sides):
        yield None, Facts(roles_of(sides[0].fit) if sides[0].fit else {}, sides[0].provenance)
        return
    own = options.model if isinstance(options.model, Extractor) else None
    devices = _devices(options, own)
    if own is not None:
        check_brought(own, options, several=len(devices) > 1)
    else:
        check_recorded(sides, options)
    roles = tuple(dict.fromkeys(need.role for side in sides if side.source for need in side.needs))
    recipe = _recipe(options, devices[0], roles)
    with _engine(options, devices, own) as engine:
        for side in sides:
            if side.source is not None:
                engine.check(side.source)
        bar = options.progress is True or (options.progress is None and on_a_terminal())
        facts = engine.open(recipe, messages, download_bar=bar)
        if not isinstance(facts, Facts):
            raise InputError(f"{type(engine).__name__}.open must return Facts, got a {type(facts).__name__}")
        require_roles(sides, facts)
        followed = protocol_of(options.protocol)
        if not (followed and followed.network):
            tell_of_model(facts, messages)
        yield engine, facts


def check_recorded(sides: Sequence[Side], options: Options) -> None:
    """Raise `StatisticsMismatch` if statistics are of other settings than the run, before the weights are looked for.

    A network that is not one of the registry states its own mode and dims, and is compared once it is open.
    """
    asked = REGISTRY.get(options.model) if isinstance(options.model, str) else None
    if asked is None or options.force:
        return
    mode = resolve(options.mode).name
    for side in sides:
        if side.source is not None or (made := side.provenance) is None:
            continue
        wrong, ways = [], dict[str, Any]()
        other = made.sha256 != asked.sha256 if asked.sha256 else made.model in REGISTRY and made.model != asked.name
        if other:
            wrong.append(f"model {made.model} ({made.sha256[:12]}) in {side.name}, {asked.name} in this run")
            ways["model"] = made.model if made.model in REGISTRY else "FILE"
        for name, own, ours in (("mode", made.mode, mode), ("dims", made.dims, int(options.dims))):
            if own != ours:
                wrong.append(f"{name} {own} in {side.name}, {ours} in this run")
                ways[name] = own
        if wrong:
            file = f", FILE being {made.model}" if other and made.model not in REGISTRY else ""
            over = "" if "dims" in ways else f" ({spelled('force', True)} overrides)"
            way = f"give {spelled_together(**ways)}{file}{over}"
            raise StatisticsMismatch(f"these cannot be compared: {'; '.join(wrong)}: {way}")


def tell_of_model(facts: Facts, messages: Messages) -> None:
    """Note that scores cannot be compared with published ones, if so."""
    if not facts.comparable and facts.provenance:
        messages.note(f"made with {facts.provenance.model}: not comparable with published FIDs")


def _engine(options: Options, devices: Sequence[str], own: Extractor | None) -> AbstractContextManager[Engine]:
    """Return the engine as a context manager, which closes it at the end unless the caller gave it."""
    engine: Any = options.engine
    if options.engine_options and engine != "ray":
        raise UsageError(
            f"{spelled('engine_options')} are those of {spelled('engine', 'ray')}: leave them out, or choose it"
        )
    if engine is not None and not isinstance(engine, str):
        return nullcontext(engine)
    if engine == "ray":
        return Ray(options.engine_options or {})
    if engine == "local" and len(devices) > 1:
        raise UsageError(
            f"{spelled('engine', 'local')} uses one device, got {', '.join(devices)}; "
            f"{spelled('engine', 'processes')} uses several"
        )
    return Processes(devices) if engine == "processes" or len(devices) > 1 else Local(own.opened if own else None)


def _devices(options: Options, own: Extractor | None) -> Sequence[str]:
    names = parse_devices(options.device) if own is None or given(options.device) else (own.device,)
    if options.engine == "ray":
        return _devices_of_ray(names, options.device)
    if names != (ALL_GPUS,):
        return names
    count = visible_gpus()
    if not count:
        raise DeviceError("device 'cuda:all' needs at least one CUDA device, and none is visible")
    return tuple(f"cuda:{number}" for number in range(count))


def _devices_of_ray(names: Sequence[str], asked: str) -> Sequence[str]:
    """Return the device as an actor of Ray sees it, to which Ray shows its own GPUs only."""
    if len(names) > 1 or names[0] not in ("auto", "cpu", "cuda", "cuda:0", "cuda:all"):
        raise UsageError(
            f"{spelled('engine', 'ray')} chooses among the GPUs itself: give {spelled('device', 'cuda')} or 'cpu', "
            f"not {asked!r}"
        )
    return ("cuda",) if names[0] == "cuda:all" else names


def _recipe(options: Options, device: str, roles: tuple[str, ...]) -> Recipe:
    if isinstance(options.model, Extractor):
        return options.model.recipe
    return Recipe(
        model=options.model,
        mode=options.mode,
        dims=options.dims,
        device=device,
        precision=options.precision,
        batch_size=options.batch_size,
        roles=roles,
    )


def check_brought(extractor: Extractor, options: Options, *, several: bool) -> None:
    """Raise `InputError` if a setting differs from that of the Extractor given as model."""
    for name in _BROUGHT:
        value = getattr(options, name)
        if not given(value) or (name == "device" and several):
            continue
        if name == "mode":
            value = resolve(value).name
        elif name == "device":
            value = extractor.device if value == "auto" else value if value == ALL_GPUS else named(*parse(value))
        own = getattr(extractor, name)
        if value != own:
            raise InputError(f"{name}={value!r} does not fit the Extractor given as model, which has {name}={own!r}")

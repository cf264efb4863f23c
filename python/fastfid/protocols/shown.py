"""The registry as text: a table of all protocols, and everything about one."""

from collections.abc import Iterator, Sequence

from ..images.crops import CROPS
from .protocol import Protocol
from .registry import PROTOCOLS


def table() -> list[tuple[str, ...]]:
    """Return a row for each protocol of one data set: name, data, size and crop, numbers of images, mode, reference."""
    return [
        (
            f"`{protocol.name}`",
            protocol.data,
            f"{protocol.size}²" + (f", {protocol.crop}" if protocol.crop else ""),
            " / ".join(_number(n) for n in protocol.n),
            _mode(protocol),
            f"`{_file(protocol)}`" if protocol.reference and protocol.reference.url else "the images",
            ", ".join(line.label for line in protocol.lines),
        )
        for protocol in PROTOCOLS.values()
        if protocol.reference
    ]


HEAD = ("protocol", "data", "size, crop", "generated / real", "mode", "reference", "result")


def markdown() -> Iterator[str]:
    """Yield the lines of the table for docs/protocols.md."""
    for row in (HEAD, ("---",) * len(HEAD), *table()):
        yield f"| {' | '.join(row)} |"


def listed() -> Iterator[str]:
    """Yield a line for each protocol: its name, and the code that defines it."""
    widest = max(map(len, PROTOCOLS))
    for protocol in PROTOCOLS.values():
        yield f"{protocol.name:<{widest}}  {protocol.tool}"


def facts(protocol: Protocol) -> Iterator[str]:
    """Yield everything that the registry says about a protocol."""
    reference, (generated, real) = protocol.reference, protocol.n
    yield f"{protocol.name}: {protocol.tool}"
    rows: list[tuple[str, str]] = [("data", protocol.data)]
    if protocol.size:
        crop = f"{protocol.crop}: {CROPS[protocol.crop].told}" if protocol.crop else "no source states it"
        rows += [("images", f"{protocol.size}x{protocol.size} pixels"), ("crop", crop)]
    chosen = f", chosen with seed {protocol.seed}" if generated and protocol.seed is not None else ""
    rows.append(("generated", _number(generated) + chosen))
    rows += [("real", _number(real)), ("mode", _mode(protocol)), ("floats", protocol.quantise)]
    if protocol.network:
        rows.append(("network", f"{protocol.network.name}, {protocol.network.dims} dims"))
    rows.append(("result", ", ".join(line.label for line in protocol.lines)))
    if reference:
        rows += [("reference", _file(protocol)), ("get it from", reference.url or "the images: everyone makes it")]
        rows.append(("its hash", _hash(protocol)))
    rows += [(f"{metric} passes", f"{low} to {high}") for metric, (low, high) in protocol.bounds.items()]
    for label, text in rows:
        if text:
            yield f"  {label:<12} {text}"
    yield from _sources(protocol.sources)


def _sources(sources: Sequence[str]) -> Iterator[str]:
    for number, source in enumerate(sources):
        yield f"  {'' if number else 'sources':<12} {source}"


def _hash(protocol: Protocol) -> str:
    reference = protocol.reference
    if reference is None or not reference.url:
        return ""
    if reference.sha256:
        return f"SHA-256 {reference.sha256}"
    return f"{reference.git} in git" if reference.git else "no source states it; that of the first use is recorded"


def _file(protocol: Protocol) -> str:
    reference = protocol.reference
    assert reference is not None
    return f"{reference.file}#{reference.entry}" if reference.entry else reference.file


def _mode(protocol: Protocol) -> str:
    return str(protocol.settings["mode"])


def _number(n: int | None) -> str:
    return "all" if n is None else f"{n:,}"

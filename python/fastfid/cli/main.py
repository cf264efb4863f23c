"""The command line: `fastfid A B`, and the commands merge, models and demo."""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import FastFIDError, FastFIDWarning, InputError
from ..extraction.device import parse as parse_device
from ..extraction.settings import PRECISIONS
from ..images.preprocess import MODES, PRESETS, resolve
from ..messages import CODES
from ..options import default
from ..sources.names import Endings
from ..terminal import check_stdout, say, show, streams
from ..threads import num_threads
from .parser import Parser, expand, passing, whole
from .signals import Ended, ending_as_ctrl_c

if TYPE_CHECKING:
    from ..metrics.moments import Statistics

_EPILOG = """\
other commands:
  fastfid merge OUT.npz IN.npz...     merge statistics of disjoint sets of images
  fastfid models list|fetch|path|export
  fastfid demo                        a tour without any download
A folder with the name of a command is written ./demo.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        0, 1 for bad input, 2 for bad usage, 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = _COMMANDS.get(arguments[0]) if arguments else None
    with streams():
        try:
            num_threads()  # a wrong number in the environment is an error before anything begins
            with ending_as_ctrl_c():
                if command is not None:
                    command(arguments[1:])
                else:
                    _score(arguments)
        except BrokenPipeError:
            return 1  # the reader of our output went away: nothing to say, and nobody to say it to
        except (FastFIDError, OSError) as error:
            say(f"error: {error}")
            return 1
        except MemoryError:
            say("error: out of memory")
            return 1
        except Ended as signal:
            say(f"ended by {signal}")
            return 128 + signal.number
        except KeyboardInterrupt:
            say("interrupted")
            return 130
    return 0


def _score(arguments: Sequence[str]) -> None:
    parser = Parser(
        prog="fastfid",
        description="The Fréchet Inception Distance between two sets of images. The last line is FID:  <value>.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "path", nargs=2, help="a folder, .zip or .tar of images, an .npz or .npy of images, or a statistics .npz"
    )
    parser.add_argument(
        "--save-stats", action="store_true", help="write the statistics of the first path to the second"
    )
    _add_network_options(parser)
    parser.add_argument("--method", default="auto", choices=["auto", "schur"], help="how the trace term is computed")
    parser.add_argument("--batch-size", type=whole(1), help="images per run of the network")
    parser.add_argument("--num-workers", type=whole(0), help="threads that decode and resize")
    parser.add_argument(
        "--device", type=passing(parse_device), default="auto", help="auto, cpu, cuda or cuda:N (default: auto)"
    )
    parser.add_argument("--precision", choices=list(PRECISIONS), default="fp32", help="tf32 needs a GPU")
    parser.add_argument("--limit", type=whole(2), metavar="N", help="score a random subset of N images from each side")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the subset (default: 0)")
    parser.add_argument(
        "--on-error", default="raise", choices=["raise", "skip"], help="what a corrupt image does (default: raise)"
    )
    parser.add_argument("--no-recursive", action="store_true", help="leave subfolders out, as pytorch-fid does")
    parser.add_argument(
        "--endings",
        type=passing(Endings.of),
        metavar="LIST",
        help="endings that count, such as png,jpg; pytorch-fid for exactly the files that it takes",
    )
    parser.add_argument("--force", action="store_true", help="compare what does not fit; overwrite with --save-stats")
    parser.add_argument(
        "--bootstrap", type=whole(0), default=0, metavar="B", help="95 %% interval from B replicates, on stderr"
    )
    parser.add_argument(
        "--silence", action="append", default=[], choices=list(CODES), help="do not warn of this; give it once per kind"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of FID:  <value>")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--version", action="version", version=f"fastfid {__version__}")
    options = parser.parse_args(expand(arguments))
    for code in options.silence:
        warnings.filterwarnings("ignore", f"{code}:", FastFIDWarning)  # until `main` restores the filters
    if options.save_stats:
        _save_stats(options)
    else:
        _print_score(options)


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="inception-v3",
        help="a name from `fastfid models list`, weights (.pth, or .h5 of Keras) or an extractor (.onnx)",
    )
    _add_mode(parser)
    parser.add_argument("--dims", type=whole(1), default=default(2048), help="64, 192, 768, 2048 or 1008 (logits)")


def _add_mode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode",
        type=passing(resolve),
        default=default("pytorch"),
        help=f"whose preprocessing: {', '.join(MODES)} (default: pytorch). For a network other than Inception: "
        f"{', '.join(PRESETS)}, or fields such as '{PRESETS['dinov2']}'",
    )


def _common(options: argparse.Namespace) -> dict[str, Any]:
    names = (
        *("model", "mode", "dims", "batch_size", "device", "precision"),
        *("num_workers", "limit", "seed", "on_error", "endings"),
    )
    return {
        **{name: getattr(options, name) for name in names},
        "recursive": not options.no_recursive,
        "progress": False if options.quiet else None,
    }


def _print_score(options: argparse.Namespace) -> None:
    from .. import compare

    check_stdout()
    common = _common(options)
    result = compare(*options.path, method=options.method, force=options.force, bootstrap=options.bootstrap, **common)
    if options.json:
        show(json.dumps(result.as_dict()))
    else:
        if result.interval is not None:
            i = result.interval
            say(f"{i.level:.0%} interval {i.low:.6g} to {i.high:.6g} ({i.method}, {i.replicates} replicates)")
        show(f"FID:  {result.fid}")


def _save_stats(options: argparse.Namespace) -> None:
    from .. import statistics

    source, target = options.path
    _check_target(target, options.force)
    if options.json:
        check_stdout()
    result = statistics(source, **_common(options))
    saved = result.save(target, overwrite=options.force)
    if options.json:
        show(json.dumps({"saved": str(saved), "n": result.n, "dims": result.dims}))
    else:
        _say_saved(result, saved)


def _say_saved(result: "Statistics", saved: Path) -> None:
    images = "an unknown number of images" if result.n is None else f"{result.n} images"
    say(f"saved the statistics of {images} to {saved}")


def _check_target(target: str, force: bool) -> None:
    """Refuse a file of statistics that could not be written in the end."""
    from ..files.writing import check_writable
    from ..metrics.statistics_file import exists_already, statistics_path

    path = statistics_path(target)
    if os.path.lexists(path) and not force:
        raise exists_already(path)
    check_writable(path)


def _merge(arguments: Sequence[str]) -> None:
    from ..metrics.moments import Statistics

    parser = Parser(prog="fastfid merge", description="Merge statistics of disjoint sets of images.")
    parser.add_argument("out", help="the .npz to write")
    parser.add_argument("inputs", nargs="+", metavar="in", help="the .npz files to merge, in this order")
    parser.add_argument("--force", action="store_true", help="overwrite an existing output")
    options = parser.parse_args(arguments)
    _check_target(options.out, options.force)
    merged = None
    for path in options.inputs:
        part = Statistics.load(path)
        if part.n is None:
            raise InputError(f"{path} does not say how many images it stands for (no n): it cannot be merged")
        merged = part if merged is None else merged.merge(part)
    assert merged is not None
    _say_saved(merged, merged.save(options.out, overwrite=options.force))


def _models(arguments: Sequence[str]) -> None:
    from .. import networks

    parser = Parser(prog="fastfid models", description="Find, fetch and export models.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the models there are, and where they lie on this machine")
    for command, text in (("fetch", "download a model into the cache"), ("path", "print where a model lies")):
        commands.add_parser(command, help=text).add_argument("name", nargs="?", default="inception-v3")
    export = commands.add_parser("export", help="write a model as ONNX")
    export.add_argument("name", help="a name from the list, a file of weights, or an .onnx to write a mode into")
    export.add_argument("out", help="the .onnx to write")
    _add_mode(export)
    export.add_argument("--dims", type=whole(1), default=2048, help="tap (default: 2048)")
    export.add_argument("--force", action="store_true", help="overwrite an existing output")
    options = parser.parse_args(arguments)
    if options.command == "list":
        for row in networks.table():
            show(f"{row.name:<22} {row.digest[:20]:<20}  {row.where or 'not on this machine'}  ({row.note})")
    elif options.command == "fetch":
        show(str(networks.fetch(options.name, progress=True)))
    elif options.command == "path":
        path = networks.find(options.name)
        if path is None:
            where = {row.name: row.where for row in networks.table()}[options.name]
            why = (
                f"is {where}: it has no file" if where else f"is not here; fastfid models fetch {options.name} gets it"
            )
            raise InputError(f"{options.name} {why}")
        show(str(path))
    else:
        show(str(networks.export(options.name, options.out, dims=options.dims, mode=options.mode, force=options.force)))


def _demo(arguments: Sequence[str]) -> None:
    from .demo import run

    parser = Parser(prog="fastfid demo", description="Score disturbed copies of drawn pictures.")
    parser.add_argument("--images", type=whole(2), default=40, help="how many pictures (default: 40)")
    parser.add_argument("--out", default="fastfid-demo.svg", help="where the curves go (default: fastfid-demo.svg)")
    options = parser.parse_args(arguments)
    run(options.images, Path(options.out))


_COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {"merge": _merge, "models": _models, "demo": _demo}

"""`fastfid A B`: the score of two sides. Its parser also serves `fastfid --save-stats`."""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial

from .. import __version__
from ..checks import list_text
from ..comparison import Comparison
from ..metrics.base import Score
from ..metrics.foreign_files import FORMATS
from ..numbers_shown import decimals
from ..options import checked, names, option_of
from ..terminal import check_stdout, printable, say, show
from ..verdicts import Gate
from .gate import add_gate, check_gate, gated, show_baseline
from .parser import IMAGES, Parser, add_option, add_silence, expand, flag_of, given_options, passing, silence
from .save_stats import save_stats

_MOST_PAIRS = 5
_LEAST_P = 1e-15
_EPILOG = """\
other commands:
  fastfid fdr A B --network NAME=NUMBER   distances by several networks
  fastfid rank REAL A B C...              which generator is best, and how sure
  fastfid plan A B --sd NUMBER            how many images are needed
  fastfid history FILE                    the course of a score over many runs
  fastfid diff FIRST SECOND               why two numbers differ
  fastfid merge OUT.npz IN...             merge statistics of disjoint sets
  fastfid shard SRC DIR --index I --of N  compute one part of a set
  fastfid reference FOLDER OUT.npz        write a reference for ADM's evaluator
  fastfid protocols list|show NAME        what published numbers depend on
  fastfid prepare SRC OUT --protocol NAME make a data set as a protocol wants it
  fastfid models list|fetch|path|export   find, download and export models
  fastfid cache [clear]                   list or remove what --cache keeps
  fastfid demo                            a tour that downloads nothing
For a folder that has the name of a command, write ./demo.
"""


def command(arguments: Sequence[str]) -> int:
    """Run the main command; return the exit status."""
    parser = make_parser()
    typed = parser.parse_args(expand(arguments))
    one = any(name in typed for name in ("metrics", "protocol", "reference"))
    if len(typed.path) != 2 and (typed.save_stats or len(typed.path) > 2 or not one):
        parser.error(f"give two paths, not {len(typed.path)}")
    for flag in ("format", "with"):
        if getattr(typed, {"with": "with_metrics"}.get(flag, flag)) and not typed.save_stats:
            parser.error(f"--{flag} says what --save-stats writes, and needs that option")
    if typed.save_stats:
        if typed.with_metrics and typed.format == "edm2":
            parser.error("--format edm2 holds mean and covariance only: leave --with out")
        other = [name for name in names() if name in typed and "fit" not in option_of(name).functions]
        if unused := [name for name in other if name != "force"]:
            parser.error(f"{flag_of(unused[0])} has no effect with --save-stats: leave it out")
    check_gate(parser, typed)
    silence(typed)
    if typed.save_stats:
        save_stats(typed)
        return 0
    check_stdout()
    return gated(typed, partial(_compared, typed), partial(print_score, typed))


def make_parser() -> Parser:
    """Return the parser of the main command, with every option of the table and the flags of the command line only."""
    parser = Parser(
        prog="fastfid",
        usage="fastfid [options] path [path]",
        description="Compute the Fréchet Inception Distance (FID) between two sets of images.\n"
        "The last line on stdout is FID:  <value>, if the FID is asked for and no\n--protocol.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "path",
        nargs="+",
        help=f"{IMAGES}; or a statistics file: generated images first, then real ones; one path suffices for metrics "
        "of one side, and for a protocol whose reference is in the cache",
    )
    parser.add_argument(
        "--save-stats",
        action="store_true",
        help="write the statistics of the first path to the second, an .npz",
    )
    parser.add_argument(
        "--with",
        dest="with_metrics",
        type=passing(lambda text: checked("metrics", list_text(text))),
        metavar="LIST",
        help="metrics that the file of --save-stats is to serve besides the FID, separated by commas",
    )
    parser.add_argument(
        "--format",
        choices=list(FORMATS),
        help="with --save-stats, the tool that shall read the file (default: fastfid, which pytorch-fid, clean-fid and "
        "EDM read too)",
    )
    for name in names():
        add_option(parser, name)
    add_silence(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--version", action="version", version=f"fastfid {__version__}")
    add_gate(parser)
    return parser


def _compared(typed: argparse.Namespace) -> Comparison:
    from .. import compare

    result = compare(*typed.path, **given_options(typed, "compare"))
    if "report" in typed:
        say(f"wrote the report to {typed.report}")
    return result


def print_score(typed: argparse.Namespace, result: Comparison, gate: Gate | None) -> None:
    """Print the result, with the verdict if it is to be JSON."""
    if typed.json:
        show(json.dumps({**result.as_dict(), **({"gate": gate.as_dict()} if gate is not None else {})}))
    else:
        if "fid" in result.scores and result.interval is not None:
            i = result.interval
            say(
                f"{i.level:.0%} interval {i.low:.6g} to {i.high:.6g} of the FID of this many images (by {i.method}, "
                f"{i.replicates} replicates)"
            )
        for name, score in result.scores.items():
            for line in _lines_of_certainty(name, score):
                show(line)
        show_baseline(result)
        for line in _table_of_classes(result):
            show(line)
        if result.protocol:
            for printed in result.protocol.lines:
                show(printed.of(result.scores))
            show(result.citation)
            return
        for name, score in result.scores.items():
            if name != "fid":
                for line in _lines(name, score):
                    show(line)
        if "fid" in result.scores:
            show(f"FID:  {result.fid}")


def _lines_of_certainty(name: str, score: Score) -> Iterator[str]:
    """What is known about the noise of a score, in words."""
    sure = score.certainty
    if sure is None:
        return
    if sure.standard_error is None:
        yield f"certainty of the {name.upper()}: not available, because {sure.reason}"
        return
    digits = decimals(sure.standard_error)
    yield f"certainty of the {name.upper()} ({sure.method}):"
    yield f"  without bias {sure.corrected:.{digits}f} ± {sure.standard_error:.{digits}f} (standard error)"
    yield f"  {100 * sure.level:g}% limits {sure.low:.{digits}f} to {sure.high:.{digits}f}, for infinitely many images"
    if sure.bias:
        yield f"  bias of so few images {sure.bias:.{digits}f}"
    if sure.noise_floor:
        yield f"  two sets of these sizes from one source would get {sure.noise_floor:.{digits}f}"
    if sure.p_value is not None:
        p = f"= {sure.p_value:.2g}" if sure.p_value > _LEAST_P else f"< {_LEAST_P:g}"
        yield f"  p {p}: the chance of so large a value if both sets came from one source"
    for side in sure.fixed:
        yield f"  the {'first' if side == 'a' else 'second'} side has no images and counts as exactly known"


def _table_of_classes(result: Comparison) -> Iterator[str]:
    """One line for each class, the worst first, and the mean."""
    if not result.classes:
        return
    first = next(iter(result.scores))
    worst_first = sorted(
        result.classes.items(),
        key=lambda item: item[1][first].value,
        reverse=result.scores[first].better == "lower",
    )
    for name, scores in worst_first:
        counts = " and ".join(str(n) for n in scores[first].n)
        values = ", ".join(f"{metric.upper()} {score.value:.6g}{_unbiased(score)}" for metric, score in scores.items())
        yield f"{printable(name)}: {values}  ({counts} images)"
    means = ", ".join(f"{metric.upper()} {result.over_classes(metric)[0]}" for metric in result.scores)
    yield f"mean of {len(result.classes)} classes: {means}"
    if "fid" in result.scores:
        yield "the FID of a class has the bias of its few images: compare it with those of equally many only"


def _unbiased(score: Score) -> str:
    """Return the value without bias beside one with, if it is known."""
    sure = score.certainty
    if sure is None or not sure.bias or sure.standard_error is None or sure.corrected is None:
        return ""
    return f" (without bias {sure.corrected:.{decimals(sure.standard_error)}f})"


def _lines(name: str, score: Score) -> Iterator[str]:
    """One metric's value with its other numbers, and below it the pairs that it lists; long arrays are in --json."""
    numbers = {part: value for part, value in score.parts.items() if isinstance(value, int | float)}
    if score.certainty is not None and score.certainty.standard_error is not None:
        numbers.pop("standard_error", None)  # that of the certainty is printed above
    parts = ", ".join(f"{part} {value}" for part, value in numbers.items())
    yield f"{name.upper()}:  {score.value}" + (f"  ({parts})" if parts else "")
    for a, b, distance in score.parts.get("copies", ())[:_MOST_PAIRS]:
        yield f"  {printable(a)} is nearest to {printable(b)} (distance {distance:.6g})"

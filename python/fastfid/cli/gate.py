"""The flags that act on a score: conditions under which the command fails, a report of them, and a history."""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ..checks import shown
from ..comparison import Comparison
from ..conditions import Condition, condition_of_delta, condition_of_warnings, conditions_of_bounds
from ..errors import InputError
from ..files.reading import failures
from ..files.writing import check_replaceable
from ..gate import gate, max_delta_number
from ..history import History, check_history, note_text
from ..junit import START, report, write
from ..numbers_shown import decimals
from ..options import Options
from ..protocols import protocol_of
from ..terminal import say, show
from ..verdicts import FAILED, PASSED, UNSURE, Gate
from .parser import Parser, passing

#: The exit status of the command by the verdict.
STATUS = {PASSED: 0, FAILED: 3, UNSURE: 4}
_DESCRIPTION = f"""\
Exit status: 0 if every condition passed, {STATUS[FAILED]} if one failed, {STATUS[UNSURE]} if one is
inconclusive and none failed; 1 for an error, 2 for wrong usage. With
--certainty the 95 % limits decide. If they lie on both sides of a bound, the
condition is inconclusive. docs/gate.md says more."""
_CONDITIONS = ("--fail-above", "--fail-outside", "--fail-if", "--max-delta", "--fail-on-warning")
_FLAGS = {
    "fail_if": "a condition (--fail-above, --fail-outside, --fail-if)",
    **{name: f"--{name.replace('_', '-')}" for name in ("max_delta", "fail_on_warning", "junit", "append", "note")},
}


def add_gate(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group(
        "gate",
        _DESCRIPTION,
    )
    for flag, start, metavar, text in (
        ("--fail-above", "fid > ", "X", "fail if the FID is above X"),
        ("--fail-outside", "fid outside ", "LO:HI", "fail if the FID is below LO or above HI"),
        ("--fail-if", "", "CONDITION", "fail if it holds, such as 'kid>0.01' or 'prdc.recall<0.5'; can be repeated"),
    ):
        read = passing(partial(_condition, start))
        group.add_argument(flag, dest="fail_if", action="append", default=[], type=read, metavar=metavar, help=text)
    group.add_argument(
        "--max-delta",
        type=passing(_max_delta),
        metavar="X",
        help="with --baseline, fail if the FID without bias is more than X above that of the baseline",
    )
    group.add_argument(
        "--fail-on-warning", action="store_true", help="fail if there is a warning, except those of --silence"
    )
    group.add_argument("--junit", metavar="FILE", help="write the verdicts as a JUnit report, such as out.xml")
    group.add_argument("--append", metavar="FILE", help="append the result to a history, such as history.jsonl")
    group.add_argument("--note", type=passing(note_text), metavar="TEXT", help="what --append calls this run")


def check_gate(parser: Parser, typed: argparse.Namespace) -> None:
    """Exit with a message if the flags do not fit together, or name a number that there will not be."""
    if typed.junit is not None:
        check_replaceable(Path(typed.junit), START, "JUnit report")
        Path(typed.junit).unlink(missing_ok=True)  # no verdict of an earlier run is taken for one of this
    if typed.save_stats:
        if used := [flags for name, flags in _FLAGS.items() if getattr(typed, name) not in (None, [], False)]:
            parser.error(f"{used[0]} has no effect with --save-stats: leave it out")
        return
    if typed.max_delta is not None and "baseline" not in typed:
        parser.error("--max-delta is about --baseline: give both")
    if typed.note is not None and typed.append is None:
        parser.error("--note says what --append calls the run: give both")
    if typed.junit is not None and not _conditions(typed):
        parser.error(f"--junit reports conditions: give {', '.join(_CONDITIONS[:-1])} or {_CONDITIONS[-1]}")
    targets = [_real(path) for path in (typed.junit, typed.append, getattr(typed, "report", None)) if path]
    if len({*targets}) < len(targets):
        parser.error("--junit, --append and --report write a file each: give them different names")
    protocol = protocol_of(getattr(typed, "protocol", None))
    asked = protocol.metrics if protocol else getattr(typed, "metrics", Options.metrics)
    names = [metric if isinstance(metric, str) else metric.name for metric in asked]
    for text in typed.fail_if:
        try:
            Condition.of(text).check(names, certainty="certainty" in typed, classes="per_class" in typed)
        except InputError as error:
            parser.error(str(error))


def _real(path: str | os.PathLike[str]) -> str:
    with failures(f"cannot write {path}"):  # no file can have some names
        return os.path.realpath(path)


def gated(
    typed: argparse.Namespace, compute: Callable[[], Comparison], show_result: Callable[[Comparison, Gate | None], None]
) -> int:
    """Compute a result, show it, report it and decide; return the exit status."""
    began, clock = datetime.now(UTC), time.monotonic()
    texts = _conditions(typed)

    def write_report(found: Gate | None, warnings: Sequence[str] = (), error: str = "") -> None:
        if typed.junit is not None:
            name, seconds = " ".join(os.fspath(path) for path in typed.path), time.monotonic() - clock
            write(Path(typed.junit), report(found, texts, name, seconds, began, error=error, warnings=warnings))

    result, verdict = None, None
    try:
        if typed.append is not None:
            check_history(typed.append)  # raises now if the result could not be appended later
        result = compute()
        verdict = _decided(typed, result) if texts else None
    except BaseException as error:
        with suppress(InputError):  # the error of the run is the one to tell
            write_report(None, result.warnings if result else (), str(error) or type(error).__name__)
        if result is not None:  # a number that was computed is shown even if a condition cannot be checked
            show_result(result, None)
        raise
    try:
        write_report(verdict, result.warnings)
        if typed.append is not None:
            History.record(typed.append, result, verdict, note=typed.note or "")
    finally:  # nor if it cannot be kept
        show_result(result, verdict)
    for check in verdict.checks if verdict is not None else ():
        say(check.sentence)
    return STATUS[verdict.verdict] if verdict is not None else 0


def _decided(typed: argparse.Namespace, result: Comparison) -> Gate:
    """Decide, and put the verdict on the report if there is one."""
    how = {"fail_on_warning": typed.fail_on_warning, "silence": typed.silence}
    verdict = gate(result, typed.fail_if, max_delta=typed.max_delta, **how)
    if "report" in typed:
        result.to_html(typed.report, thumbnails="thumbnails" not in typed, gate=verdict)
    return verdict


def show_baseline(result: Comparison) -> None:
    """Print how far the FID is from that of the baseline."""
    other = result.baseline
    if other is None:
        return
    show(f"baseline {other.name}: FID {other.fid}")
    if other.difference is None or other.standard_error is None:
        show(f"  difference without bias: not known, because {other.reason}")
        return
    digits = decimals(other.standard_error)
    error, limits = f"{other.standard_error:.{digits}f}", f"{other.low:.{digits}f} to {other.high:.{digits}f}"
    show(
        f"  difference without bias {other.difference:+.{digits}f} ± {error} (standard error"
        f"{', paired' if other.paired else ''}), {100 * other.level:g}% limits {limits}"
    )


def _conditions(typed: argparse.Namespace) -> Sequence[str]:
    delta = [] if typed.max_delta is None else [condition_of_delta(typed.max_delta)]
    protocol = protocol_of(getattr(typed, "protocol", None))
    warned = [condition_of_warnings()] if typed.fail_on_warning else []
    return [*(conditions_of_bounds(protocol.bounds) if protocol else ()), *typed.fail_if, *delta, *warned]


def _condition(start: str, text: str) -> str:
    return Condition.of(start + text).text


def _max_delta(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"must be a number, got {shown(text)}") from None
    return max_delta_number(value)

"""`fastfid history FILE`: the course of a score over the runs that --append has kept."""

import json
from collections.abc import Sequence
from pathlib import Path

from ..checks import counted, whole_number, whole_text
from ..errors import InputError
from ..files.reading import failures
from ..files.writing import atomic_write, check_replaceable
from ..history import History
from ..history_picture import START, picture
from ..history_table import number_of, table
from ..terminal import check_stdout, say, show
from .parser import Parser, passing

_MOST_TOLD = 5  # lines that are not read


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser(
        prog="fastfid history",
        description="Show the runs that `fastfid A B --append FILE` has kept, the newest last, and where a changed "
        "model, mode or number of images makes them incomparable.",
    )
    parser.add_argument("file", help="the history, such as history.jsonl")
    parser.add_argument(
        "--metric", default="", metavar="NAME", help="the number to show the course of, such as kid or prdc.recall"
    )
    parser.add_argument("--last", type=passing(_last), metavar="N", help="the newest N runs only")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the course, with 95%% limits where they are known")
    parser.add_argument("--json", action="store_true", help="print the runs as one list in JSON")
    typed = parser.parse_args(arguments)
    target = None if typed.plot is None else Path(typed.plot)
    if target is not None:
        if target.suffix.lower() != ".svg":
            parser.error(f"--plot draws an .svg, not {typed.plot}")
        check_replaceable(target, START, "picture of a history")
    check_stdout()
    history = History.load(typed.file)
    for text in history.skipped[:_MOST_TOLD]:
        say(f"warning: {text}")
    if len(history.skipped) > _MOST_TOLD:
        say(f"warning: {len(history.skipped) - _MOST_TOLD} more lines are not read")
    if not history.entries:
        raise InputError(f"{typed.file} has no runs")
    if typed.last is not None:
        history = History(history.entries[-typed.last :], history.skipped)
    if history.by_name:
        runs = f"{history.by_name} of {counted(len(history.entries), 'run')}"
        say(f"note: {runs} do not say which images the real side had: there its name alone tells it from others")
    course = number_of(history, typed.metric)
    if typed.json:
        show(json.dumps([entry.line for entry in history.entries]))
    else:
        for line in table(history, course):
            show(line)
    if target is not None:
        with failures(f"cannot write {target}"), atomic_write(target) as file:
            file.write(picture(history, course).encode())


def _last(text: str) -> int:
    return whole_number("last", whole_text(text), 1)

"""Renders the page, and writes it. Needs jinja2, which is imported when a report is asked for."""

import os
import re
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..files.reading import failures
from ..files.writing import atomic_write, check_replaceable
from ..terminal import printable
from .page import page_of

if TYPE_CHECKING:
    from ..comparison import Comparison
    from ..verdicts import Gate

_START = "<!DOCTYPE html>\n<!-- a report of fastfid -->\n"
_HEIGHT = 640  # pixels of the frame in a notebook


def can_report() -> bool:
    """Whether jinja2 is installed."""
    return find_spec("jinja2") is not None


def check_report(report: bool | str | os.PathLike[str]) -> None:
    """Raise `InputError` if a report could not be made or written; call it before the images are read.

    `report` is the file, or True for none. A report that is there is replaced, another file is not.
    """
    if not can_report():
        raise InputError("a report needs the package jinja2: pip install 'fastfid[report]'")
    if isinstance(report, bool):
        return
    check_replaceable(Path(report), _START.encode(), "report")


def report_of(result: "Comparison", *, thumbnails: bool = True, gate: "Gate | None" = None) -> str:
    """Return the page of a comparison."""
    check_report(True)
    text: str = _template().render({**page_of(result, thumbnails=thumbnails), "gate": gate})
    return _START + text


def write_report(page: str, path: str | os.PathLike[str]) -> None:
    """Write a page, whole or not at all."""
    check_report(path)
    with failures(f"cannot write {path}"), atomic_write(Path(path)) as file:
        file.write(page.encode())


def framed(page: str) -> str:
    """Return a page in a frame, whose styles and names do not meet those of a notebook."""
    return (
        f'<iframe title="fastfid: report" sandbox="" srcdoc="{escape(page)}" width="100%" height="{_HEIGHT}" '
        'style="border: 1px solid #8886; border-radius: 6px"></iframe>'
    )


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("report.html")


def _visible(value: Any) -> Any:
    """Escape what no page can hold or show: control characters, halves of pairs, and marks of writing direction."""
    return printable(value) if type(value) is str else value


def _breakable(name: str) -> Any:
    """Let a long name break after the marks in it, rather than within a word."""
    from markupsafe import Markup

    return Markup("<wbr>").join(part for part in re.split(r"(?<=[_./ -])", printable(name)) if part)

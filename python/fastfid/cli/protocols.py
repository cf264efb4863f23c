"""`fastfid protocols`: what published numbers depend on, and where that stands."""

import argparse
from collections.abc import Sequence

from ..protocols import check_protocol, protocol_of
from ..protocols.shown import facts, listed, markdown
from ..terminal import show
from .parser import Parser, passing


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    typed = _make_parser().parse_args(arguments or ["list"])
    if typed.command == "show":
        protocol = protocol_of(typed.name)
        lines = facts(protocol) if protocol else iter(())
    else:
        lines = markdown() if typed.markdown else listed()
    for line in lines:
        show(line)


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="fastfid protocols", description="What published numbers depend on, and where that stands.")
    commands = parser.add_subparsers(dest="command", required=True)
    every = commands.add_parser("list", help="list the protocols (what happens without a command, too)")
    every.add_argument("--markdown", action="store_true", help="print the table of docs/protocols.md")
    one = commands.add_parser("show", help="print everything about one, with its sources")
    one.add_argument("name", type=passing(_name), help="a name from the list")
    return parser


def _name(text: str) -> str:
    check_protocol(text)
    return text

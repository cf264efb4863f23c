"""`fastfid models`: find, fetch and export models."""

import argparse
from collections.abc import Sequence

from .. import networks
from ..errors import InputError
from ..terminal import show
from .parser import Parser, add_option, given_options


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    typed = _make_parser().parse_args(arguments)
    if typed.command == "list":
        for row in networks.table():
            show(f"{row.name:<22} {row.digest[:20]:<20}  {row.where or 'not on this machine'}  ({row.note})")
    elif typed.command == "fetch":
        show(str(networks.fetch(typed.name, progress=True)))
    elif typed.command == "path":
        _print_path(typed.name)
    else:
        options = given_options(typed, "statistics")
        show(str(networks.export(typed.name, typed.out, **options, force=typed.force)))


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="fastfid models", description="Find, fetch and export models.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the models, and where they are on this machine")
    for name, text in (("fetch", "download a model into the cache"), ("path", "print the path of a model's file")):
        parser_of = commands.add_parser(name, help=text)
        parser_of.add_argument(
            "name", nargs="?", default="inception-v3", help="a name from the list (default: inception-v3)"
        )
    export = commands.add_parser("export", help="write a model as ONNX")
    export.add_argument("name", help="a name from the list, a file of weights, or an .onnx to write a mode into")
    export.add_argument("out", help="the .onnx to write")
    add_option(export, "mode")
    add_option(export, "dims")
    export.add_argument("--force", action="store_true", help="replace an existing file")
    return parser


def _print_path(name: str) -> None:
    path = networks.find(name)
    if path is not None:
        show(str(path))
        return
    where = {row.name: row.where for row in networks.table()}[name]
    if where:
        raise InputError(f"{name} is {where}: it has no file")
    raise InputError(f"{name} is not on this machine; fastfid models fetch {name} downloads it")

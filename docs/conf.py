"""Settings of Sphinx for the site. The pages are the Markdown files of the repository, as GitHub shows them.

The root of the repository is the source folder, so that links between docs/, bench/ and tests/ work in both places:
``python -m sphinx -W --keep-going -n -c docs . build/site``.
"""

import contextlib
import io
import os
import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.ext.autosummary import Autosummary
from sphinx.util.docutils import SphinxDirective

import fastfid
from fastfid.cli import main as command_line

project = "fastfid"
version = release = fastfid.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "CONTRIBUTING.md",
    *(f"{of}/README.md" for of in ("bench", "models", "tests", "tests/golden", "tests/fuzz/corpus")),
]
exclude_patterns = ["build", "python", "src_cpp", ".*"]
nitpicky = True
nitpick_ignore_regex = [("py:obj", "[a-z].*")]  # names of parameters, fields and what is not public
default_role = "autolink"  # `name` in a docstring is a link if there is such a name
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_typehints = "none"  # the docstrings name the types
maximum_signature_line_length = 80
autosummary_generate = False  # no files in the source folder
numpydoc_show_class_members = False

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"fastfid {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_additional_pages = {"index": "start.html"}  # leads to docs/index.html
html_show_copyright = False
html_copy_source = False
html_show_search_summary = False  # it would be fetched, which browsers refuse where a page comes from a disk


class Names(Autosummary):
    """Lists public names with a line each, and below the list what their docstrings say."""

    def run(self) -> list[nodes.Node]:
        """Return the list and the descriptions."""
        names = [line.strip() for line in self.content if line.strip()]
        self.options["nosignatures"] = True
        text = "\n\n".join(f".. auto{kind_of(getattr(fastfid, name))}:: {name}" for name in names)
        return [*super().run(), *self.parse_text_to_nodes(text)]


def kind_of(thing: object) -> str:
    """Return what autodoc calls a public thing."""
    if not isinstance(thing, type):
        return "function"
    return "exception" if issubclass(thing, BaseException) else "class"


class Commands(SphinxDirective):
    """Writes a section for each command, and for each command of a command, with what its ``--help`` prints."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return [section for name in ("", *command_line._COMMANDS) for section in self.sections(name.split())]

    def sections(self, words: list[str]) -> list[nodes.section]:
        """Return the section of a command, and those of the commands that it has."""
        text, title = help_of(words), " ".join(["fastfid", *words])
        section = nodes.section(ids=[nodes.make_id(title)], names=[nodes.fully_normalize_name(title)])
        section += [nodes.title(title, title), nodes.literal_block(text, text, language="text")]
        inner = re.search(r"^  \{([\w,-]+)\}$", text, re.MULTILINE)
        below = inner.group(1).split(",") if inner else []
        return [section, *(part for word in below for part in self.sections([*words, word]))]


def help_of(words: list[str]) -> str:
    """Return what ``fastfid WORDS --help`` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        command_line.main([*words, "--help"])
    return printed.getvalue()


def keep_initials(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Keep the initials of an author, such as "B. Efron", from becoming a list from A to Z."""
    lines[:] = [re.sub(r"^((?:\.\. \[[\w-]+\] )?)(?=[A-Z]\. )", r"\1\\", line) for line in lines]


def number_citations(app: Sphinx, page: nodes.document) -> None:
    """Show a citation as its number: numpydoc makes the labels unique, and does not find them again in Markdown."""
    for cited in page.findall(pending_xref):
        text = re.sub(r"^\[R\w{12}-(\w+)\]$", r"[\1]", cited.astext())
        if text != cited.astext():
            cited.children = [nodes.Text(text)]


def setup(app: Sphinx) -> None:
    """Add what is above."""
    os.environ["COLUMNS"] = "90"  # the width of the help
    app.connect("autodoc-process-docstring", keep_initials)
    app.connect("doctree-read", number_citations)
    app.add_directive("names", Names)
    app.add_directive("commands", Commands)

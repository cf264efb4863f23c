"""Opens what lies behind an address: a folder, a file, or what matches a pattern."""

from collections.abc import Callable
from typing import Any

from ..files.places import Far, is_local
from ..files.remote import Remote, filesystem, refused
from .base import Source
from .folder import open_remote_folder
from .globs import has_pattern, open_remote_pattern
from .single import is_known, missing, open_file
from .terms import Terms


def open_address(address: str, terms: Terms, open_path: Callable[[str, Terms], Source]) -> Source:
    """Open what lies behind an address; `open_path` opens a path on this machine, which ``file://`` is."""
    fs, root = filesystem(address, terms.storage_options)
    return open_path(root, terms) if is_local(fs) else open_remote(Remote(fs, address, root), terms)


def open_remote(remote: Remote, terms: Terms) -> Source:
    """Open a folder, a file or the matches of a pattern behind an address."""
    address, pattern = remote.name(), has_pattern(remote)
    try:
        info: dict[str, Any] = remote.info()
    except Exception as problem:
        if pattern:  # some stores refuse its characters in names, each with an error of its own
            return open_remote_pattern(remote, terms)
        if isinstance(problem, FileNotFoundError):
            raise missing(address) from problem
        raise refused(f"cannot open {address}", problem) from problem
    place = Far(remote)
    # A web server calls everything a file.
    if info["type"] == "directory" or remote.address.endswith("/") or (_on_web(info) and not is_known(place, terms)):
        return _open_folder(remote, terms)
    return open_file(place, terms)


def _open_folder(remote: Remote, terms: Terms) -> Source:
    try:
        return open_remote_folder(remote, terms)
    except FileNotFoundError as problem:
        raise missing(remote.name()) from problem


def _on_web(info: dict[str, Any]) -> bool:
    return "url" in info

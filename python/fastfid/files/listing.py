"""Lists one folder behind an address, with the sizes and stamps of its files, in little memory."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from ..errors import InputError
from .places import STAMP, is_sure, packed
from .remote import Remote, State, refused, retried, state_of_info
from .turns import protocols, turn

UNKNOWN = -1  # in place of a size


class Table:
    """Names, sizes and stamps of files, in little memory.

    Attributes
    ----------
    names : list of str
        Their paths below the address.
    sizes : array of int
        -1 for one that is unknown.
    stamps : bytearray
        Their `packed` states, one after the other; zeros for one that is unknown.
    sure : bool
        True if all states are `is_sure`.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sizes = array("q")
        self.stamps = bytearray()
        self.sure = True

    def add(self, name: str, state: State) -> None:
        """Add a file."""
        self.names.append(name)
        self.sizes.append(UNKNOWN if state.size is None else state.size)
        self.stamps += packed(state) or bytes(STAMP)
        self.sure &= is_sure(state)

    def copy(self, other: "Table", index: int) -> None:
        """Add one file of another table."""
        self.names.append(other.names[index])
        self.sizes.append(other.sizes[index])
        self.stamps += other.stamps[index * STAMP : (index + 1) * STAMP]
        self.sure &= other.sure

    def extend(self, other: "Table") -> None:
        """Add the files of another table."""
        self.names += other.names
        self.sizes.extend(other.sizes)
        self.stamps += other.stamps
        self.sure &= other.sure


def list_folder(
    remote: Remote, folder: str, enter: Callable[[str, bool], bool], *, first: bool
) -> tuple[Table, list[str]]:
    """Return the files and the folders in a folder; "" is the address itself.

    Parameters
    ----------
    remote : Remote
    folder : str
    enter : callable
        Takes a path below the address and whether it is a folder, and tells whether it is wanted.
    first : bool
        Whether the folder may be missing; otherwise the one above it has listed it.

    Raises
    ------
    FileNotFoundError
        If it is missing, and that may be.
    InputError
        If the folder cannot be listed.
    """
    what = f"cannot list {remote.name(folder)}"
    files, folders = Table(), list[str]()
    try:
        for info in _pages_of_s3(remote, folder, what) if _is_s3(remote, folder) else _listed(remote, folder, what):
            name, is_folder = _name(remote, info), info["type"] == "directory"
            if not name or name == folder or not enter(name, is_folder):
                continue  # the name of the folder itself marks it, in stores that have no folders
            if is_folder:
                folders.append(name)
            else:
                files.add(name, state_of_info(info))
    except FileNotFoundError:
        if first:
            raise
        raise InputError(f"{what}: it has been removed meanwhile") from None
    except Exception as problem:
        raise refused(what, problem) from problem
    return files, folders


def _name(remote: Remote, info: Mapping[str, Any]) -> str:
    path, root = str(info["name"]).strip("/"), remote.root.strip("/")
    return path[len(root) :].lstrip("/") if path.startswith(root) else path


def _listed(remote: Remote, folder: str, what: str) -> Iterable[Mapping[str, Any]]:
    path = remote.path(folder)

    def ask() -> Iterable[Mapping[str, Any]]:
        with turn(remote.fs):
            remote.fs.invalidate_cache(path)
            found: Iterable[Mapping[str, Any]] = remote.fs.ls(path, detail=True)
            return found

    return retried(ask, what)


def _is_s3(remote: Remote, folder: str) -> bool:
    fs = remote.fs
    return bool(
        "s3" in protocols(fs)
        and hasattr(fs, "call_s3")
        and not getattr(fs, "version_aware", False)
        and fs.split_path(remote.path(folder))[0]
    )


def _pages_of_s3(remote: Remote, folder: str, what: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects page by page; s3fs itself keeps 1.5 KB for each until all are listed."""
    bucket, key, _ = remote.fs.split_path(remote.path(folder))
    prefix = f"{key}/" if key else ""
    ask = partial(remote.fs.call_s3, "list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter="/")
    more: dict[str, str] = dict(remote.fs.req_kw)
    empty = True
    while True:
        page = retried(partial(ask, **more), what)
        for line in page.get("CommonPrefixes", []):
            empty = False
            yield {"name": f"{bucket}/{line['Prefix']}", "type": "directory"}
        for line in page.get("Contents", []):
            empty = False
            if not line["Key"].endswith("/"):
                yield {**line, "name": f"{bucket}/{line['Key']}", "type": "file", "size": line["Size"]}
        if not page.get("IsTruncated"):
            break
        more["ContinuationToken"] = page["NextContinuationToken"]
    if empty:
        raise FileNotFoundError(remote.path(folder))

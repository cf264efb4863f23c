"""Finds the column of a table that holds the images."""

from typing import Any

from ..errors import InputError

_MOST_SHOWN = 20


def image_column(schema: Any, key: str | None, name: str) -> int:
    """Return the index of the column of the images.

    Parameters
    ----------
    schema : pyarrow.Schema
    key : str or None
        The name of the column; None for the only one of bytes, or of bytes with a path as Hugging Face has them.
    name : str
        Name of the file in errors.

    Raises
    ------
    InputError
        If there is none, or several, or the one asked for holds something else.
    """
    columns = list(schema)
    listed = [f"{field.name!r} ({field.type})" for field in columns]
    more = f" and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
    held = f"it has {', '.join(listed[:_MOST_SHOWN]) or 'no columns'}{more}"
    if key is not None:
        found = [index for index, field in enumerate(columns) if field.name == key]
        if len(found) != 1:
            raise InputError(f"{name} has {'two columns' if found else 'no column'} {key!r}: {held}")
        if not holds_files(columns[found[0]].type):
            raise InputError(f"{name}: the column {key!r} holds neither bytes nor {_STRUCT}: {held}")
        return found[0]
    found = [index for index, field in enumerate(columns) if holds_files(field.type)]
    if len(found) > 1:
        names = ", ".join(repr(columns[index].name) for index in found[:_MOST_SHOWN])
        raise InputError(f"{name}: which column holds the images? Give image_key, one of {names}")
    if not found:
        raise InputError(f"{name} has no column of bytes or of {_STRUCT}: {held}")
    return found[0]


_STRUCT = "struct<bytes, path>"


def holds_files(kind: Any) -> bool:
    """Return True for a type whose values are files: bytes, or a struct of bytes and a path."""
    import pyarrow.types as types

    if types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        path = fields.get("path")
        return "bytes" in fields and _is_binary(fields["bytes"]) and (path is None or _is_text(path))
    return _is_binary(kind)


def has_paths(kind: Any) -> bool:
    """Return True for a struct of bytes and a path."""
    import pyarrow.types as types

    return types.is_struct(kind) and any(kind[index].name == "path" for index in range(kind.num_fields))


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))

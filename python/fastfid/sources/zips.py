"""Zip archives: listed by zipfile from the directory at the end, each member read at its own place."""

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import IO

from .archive import Archive, Link

_SIGNATURE = b"PK\3\4"
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature; lengths of the name and of the extra field that follow
_MADE_ON_WINDOWS = 0
_ENCRYPTED = 0x1


class Zip(Archive):
    """A ``.zip``."""

    def _members(self, file: IO[bytes]) -> Iterator[tuple[str, zipfile.ZipInfo | Link]]:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
        file.seek(0)
        if infos and file.read(4) == _SIGNATURE and min(info.header_offset for info in infos) > 0:
            raise zipfile.BadZipFile("its directory leaves out what precedes it, as in zips joined by cat")
        for info in infos:
            name = info.filename
            if info.create_system == _MADE_ON_WINDOWS:
                name = name.replace("\\", "/")  # not allowed, but .NET wrote it; no name has a backslash there
            if stat.S_ISLNK(info.external_attr >> 16):
                yield name, Link(self._read(file, info).decode("utf-8", "surrogateescape"), hard=False)
            elif not name.endswith("/"):
                yield name, info

    def _read(self, file: IO[bytes], where: zipfile.ZipInfo) -> bytes:
        # ZipFile.open would do, but each ZipFile lists the whole archive first, or shares one file among all threads.
        if where.flag_bits & _ENCRYPTED:
            raise ValueError("it is encrypted; unpack the archive with its password and give the folder")
        file.seek(where.header_offset)
        signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if signature != _SIGNATURE:
            raise ValueError("it does not begin where the archive's directory says")
        file.seek(name + extra, os.SEEK_CUR)
        with zipfile.ZipExtFile(file, "r", where) as member:
            data = member.read(where.file_size)  # compares the checksum, too
        if len(data) != where.file_size:
            raise ValueError(f"it has {len(data)} bytes, not {where.file_size}")
        return data

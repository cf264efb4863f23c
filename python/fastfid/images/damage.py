"""Finds signs of damage in files that Pillow decodes anyway.

Pillow does not compare the checksums of a PNG's pixels, and does not look for the end of a file. The pixels are those
of Pillow, as in every tool. This module only reports that the file is damaged. It checks:

- PNG: the checksum of each chunk from the pixels on (Pillow checks the earlier ones), and that the end chunk exists.
- JPEG: that an end marker follows the pixels. Data after the marker, such as a phone's second picture, is not damage. A
  JPEG has no checksum, and Pillow does not report it if libjpeg finds corrupt data. But with the tables of the
  standard, which most encoders use, each group of zero bits means "this coefficient is -1", so a long run of zero
  bytes, as a lost disk block leaves it, cannot be a picture. With tables made for the image, zeros can be a flat area.
- WebP: that the file is as long as its header says, and filled by its chunks. It has no checksum of the pixels.

BMP, PPM, TIFF, GIF and AVIF contain nothing to check. If their data is cut short, Pillow refuses it when it notices.
"""

import struct
from zlib import crc32

_CHUNK = struct.Struct(">I4s").unpack_from  # length and type; the data and their checksum follow
_RIFF_CHUNK = struct.Struct("<4sI").unpack_from
_END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
_END_OF_JPEG = b"\xff\xd9"
# Table K.5 of the JPEG standard, AC coefficients of luminance: the number of codes of each length, and the first
# values. It and the three other tables take 420 bytes and come right before the first scan.
_STANDARD_TABLE = bytes.fromhex("0002010303020403050504040000017d 010203")
_WHERE_TABLES_ARE = 460
_ZEROS = bytes(64)  # the longest run in good files with these tables, including flat images, was 7


def damage_of(encoding: str | None, data: bytes, start: int, *, scans: bool = False) -> str:
    """Return the sign of damage in a file that Pillow decodes, or an empty text.

    Parameters
    ----------
    encoding : str or None
        Pillow's name of the format.
    data : bytes
        The file.
    start : int
        Offset of the first chunk (PNG) or scan (JPEG) with pixels.
    scans : bool
        True if a JPEG has several scans. Then zeros can be the colours of a grey area, or the refinement of a flat one.
    """
    if encoding == "PNG":
        return _of_png(data, start)
    if encoding in ("JPEG", "MPO"):
        return _of_jpeg(data, start, scans)
    return _of_webp(data) if encoding == "WEBP" else ""


def _of_png(data: bytes, start: int) -> str:
    while not data.startswith(_END_OF_PNG, start):
        if start + 12 > len(data):
            return "its end, the chunk IEND, is missing"
        length, kind = _CHUNK(data, start)
        stop = start + 8 + length
        if crc32(data[start + 4 : stop]) != int.from_bytes(data[stop : stop + 4], "big"):
            return f"the checksum of its chunk {_shown(kind)} is wrong"
        start = stop + 4
    return ""


def _of_jpeg(data: bytes, start: int, scans: bool) -> str:
    if data.rfind(_END_OF_JPEG, start) < 0:
        return "its end marker is missing"
    if scans or data.find(_STANDARD_TABLE, max(0, start - _WHERE_TABLES_ARE), start) < 0:
        return ""
    zeros = data.find(_ZEROS, start)
    if zeros < 0 or data.find(_END_OF_JPEG, start, zeros) >= 0:
        return ""
    return f"it has a block of zeros, at byte {zeros}"


def _of_webp(data: bytes) -> str:
    stop = 8 + int.from_bytes(data[4:8], "little")
    if stop > len(data):
        return f"its header says {stop} bytes, but it has {len(data)}"
    start = 12
    while start + 8 <= stop:
        kind, length = _RIFF_CHUNK(data, start)
        if min(kind) < 0x20:  # types are written in ASCII
            return f"its chunk at byte {start} has no type"
        start += 8 + length + length % 2
    # Some writers do not count the last byte of padding.
    return "" if start - stop in (0, 1) else f"its chunks end at byte {start}, not at {stop}"


def _shown(kind: bytes) -> str:
    return kind.decode("ascii") if kind.isalpha() and kind.isascii() else "without a name"

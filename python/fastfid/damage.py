"""What a file itself tells of its damage, although Pillow decodes it.

Pillow takes pixels for good that a PNG's checksums contradict, and does not look for the end of a file. The pixels
stay Pillow's, as in every tool; here is only said that the file is damaged:

- PNG: the checksum of each chunk from the pixels on (Pillow compares those before), and that the end chunk is there.
- JPEG: that an end marker follows the pixels. What lies after it, such as a phone's second picture, is no damage.
- WebP: that the file is as long as its header says, and filled by its chunks.

BMP, PPM, TIFF, GIF and AVIF have nothing of the kind; where pixels are missing, Pillow refuses them.
"""

import struct
from zlib import crc32

_CHUNK = struct.Struct(">I4s").unpack_from  # length and type; the data and their checksum follow
_RIFF_CHUNK = struct.Struct("<4sI").unpack_from
_END_OF_JPEG = b"\xff\xd9"


def damage_of(encoding: str | None, data: bytes, start: int) -> str:
    """Say what a file that Pillow decodes shows of its damage, or nothing.

    Parameters
    ----------
    encoding : str or None
        Pillow's name of the format.
    data : bytes
        The file.
    start : int
        Where the first chunk (PNG) or scan (JPEG) with pixels begins.
    """
    if encoding == "PNG":
        return _of_png(data, start)
    if encoding in ("JPEG", "MPO"):
        return "" if data.rfind(_END_OF_JPEG, start) >= 0 else "its end marker is missing"
    return _of_webp(data) if encoding == "WEBP" else ""


def _of_png(data: bytes, start: int) -> str:
    whole = memoryview(data)
    end = len(data)
    while start + 12 <= end:
        length, kind = _CHUNK(data, start)
        stop = start + 8 + length
        if crc32(whole[start + 4 : stop]).to_bytes(4, "big") != data[stop : stop + 4]:
            return f"the checksum of its chunk {_shown(kind)} is wrong"
        if kind == b"IEND":
            return ""
        start = stop + 4
    return "its end, the chunk IEND, is missing"


def _of_webp(data: bytes) -> str:
    stop = 8 + int.from_bytes(data[4:8], "little")
    if stop > len(data):
        return f"it says that it has {stop} bytes, and has {len(data)}"
    start = 12
    while start + 8 <= stop:
        kind, length = _RIFF_CHUNK(data, start)
        if min(kind) < 0x20:  # types are written in ASCII
            return f"its chunk at byte {start} has no type"
        start += 8 + length + length % 2
    # Some writers leave the last byte of padding out of the count.
    return "" if start - stop in (0, 1) else f"its chunks end at byte {start}, not at {stop}"


def _shown(kind: bytes) -> str:
    return kind.decode("ascii") if kind.isalpha() and kind.isascii() else "without a name"

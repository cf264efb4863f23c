"""Reading files from outside: only regular files, every size bounded, and one error for whatever goes wrong."""

import os
import socket
import sys
from pathlib import Path

import pytest

from fastfid import ImageError, InputError
from fastfid.files.reading import failures, open_regular, read_regular


def test_reads_a_file_of_the_largest_size_and_none_above(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(ValueError, match="it has 5 bytes or more; at most 4 are read"):
        read_regular(tmp_path / "a", 4)


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc here")
def test_a_file_without_a_size_is_read_to_its_end():
    assert Path("/proc/self/status").stat().st_size == 0
    assert b"Name:" in read_regular("/proc/self/status", 1 << 20)
    with pytest.raises(ValueError, match="at most 16 are read"):
        read_regular("/proc/self/status", 16)


def test_a_sparse_file_behind_a_link_is_refused_unread(tmp_path):
    with (tmp_path / "big").open("wb") as file:
        file.truncate(3 << 30)
    (tmp_path / "link").symlink_to("big")
    with pytest.raises(ValueError, match="3,221,225,472 bytes"):
        read_regular(tmp_path / "link", 1 << 20)


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path, kind in (("fifo", "a FIFO"), ("socket", "a socket"), ("/dev/zero", "a device"), (".", "a folder")):
            with pytest.raises(ValueError, match=f"it is {kind}, not a regular file"):
                open_regular(tmp_path / path)


def test_failures_become_one_error_and_ours_pass():
    with (
        pytest.raises(ImageError, match=r"cannot decode x: No such file or directory; try y"),
        failures("cannot decode x", ImageError, "; try y"),
    ):
        Path("/nonexistent/x").read_bytes()
    with pytest.raises(InputError, match="^as it was$"), failures("no"):
        raise InputError("as it was")
    with pytest.raises(MemoryError), failures("no"):
        raise MemoryError
    with pytest.raises(InputError, match=r"^no: RecursionError$"), failures("no"):
        raise RecursionError
    with pytest.raises(InputError) as caught, failures("no"):
        raise ValueError("x" * 10_000)
    assert len(str(caught.value)) < 400

"""Files are written completely or not at all, even with several writers and if a writer is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from fastfid.files import writing as files
from fastfid.files.writing import atomic_write, exclusive

WRITER = """
    import sys, time
    from pathlib import Path
    from fastfid.files.writing import atomic_write
    with atomic_write(Path(sys.argv[1])) as file:
        file.write(b"half")
        file.flush()
        print("there", flush=True)
        time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer():
    """Start processes that are in the middle of writing a file."""
    processes = []

    def start(path, code=WRITER):
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), path], stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout.readline() == b"there\n"
        return process

    yield start
    for process in processes:
        kill(process)


def kill(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a.bin"

    def interrupted():
        with atomic_write(target) as file:
            file.write(b"half")
            assert names(tmp_path) == [".a.bin.0.part"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []
    for content in (b"first", b"second"):
        with atomic_write(target) as file:
            file.write(content)
        assert (names(tmp_path), target.read_bytes()) == (["a.bin"], content)


def test_the_umask_is_the_process_own_and_untouched(tmp_path, monkeypatch):
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("every thread's files would be open to all meanwhile"))
            with atomic_write(tmp_path / "a") as file:
                file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_target_that_appears_meanwhile_is_kept(tmp_path):
    target = tmp_path / "a"

    def late():
        with atomic_write(target, replace=False) as file:
            file.write(b"late")
            target.write_bytes(b"early")

    with pytest.raises(FileExistsError):
        late()
    assert (names(tmp_path), target.read_bytes()) == (["a"], b"early")
    target.unlink()
    with atomic_write(target, replace=False) as file:
        file.write(b"alone")
    assert (names(tmp_path), target.read_bytes()) == (["a"], b"alone")


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    test_a_target_that_appears_meanwhile_is_kept(tmp_path)


def test_of_many_writers_one_makes_the_file(tmp_path):
    won, lost, barrier = [], [], threading.Barrier(8)

    def write(number):
        try:
            with atomic_write(tmp_path / "a", replace=False) as file:
                file.write(str(number).encode() * 1000)
                barrier.wait()
            won.append(number)
        except FileExistsError:
            lost.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert (tmp_path / "a").read_bytes() == str(won[0]).encode() * 1000
    assert names(tmp_path) == ["a"]


def test_killed_writers_leave_one_part_that_the_next_writer_removes(tmp_path, writer):
    for _ in range(3):
        kill(writer(tmp_path / "a"))
        assert names(tmp_path) == [".a.0.part"]
    with atomic_write(tmp_path / "a") as file:
        file.write(b"whole")
    assert names(tmp_path) == ["a"]


def test_a_run_that_is_killed_while_it_tries_leaves_what_the_next_writer_removes(tmp_path, writer):
    code = """
        import sys, time
        from pathlib import Path
        from fastfid.files import writing
        def killed(file, part):
            print("there", flush=True)
            time.sleep(60)
        writing._remove = killed
        writing.check_writable(Path(sys.argv[1]))
    """
    for _ in range(3):
        kill(writer(tmp_path / "a", code))
        assert names(tmp_path) == [".a.0.part"]
    files.check_writable(tmp_path / "a")
    assert names(tmp_path) == []


@pytest.mark.parametrize("call", ["open", "_free"])
@pytest.mark.parametrize("dead", [False, True])
def test_nothing_is_left_where_memory_ends(call, dead, tmp_path, monkeypatch):
    def without_memory(*_):
        raise MemoryError

    def opened_without_memory(path, mode, opener):
        os.close(opener(str(path), 0))  # as Python does where it has no memory for the buffer
        raise MemoryError

    if dead:
        (tmp_path / ".a.1.part").write_bytes(b"of a killed writer")
    if call == "open":
        monkeypatch.setattr(files, "open", opened_without_memory, raising=False)
    else:
        monkeypatch.setattr(files, call, without_memory)
    with contextlib.suppress(MemoryError), atomic_write(tmp_path / "a") as file:
        file.write(b"whole")
    monkeypatch.undo()
    assert ".a.0.part" not in names(tmp_path)
    with atomic_write(tmp_path / "a") as file:
        file.write(b"whole")
    assert names(tmp_path) == ["a"]


def test_parts_of_writers_that_live_stay(tmp_path, writer):
    first, second, third = (writer(tmp_path / "a") for _ in range(3))
    assert names(tmp_path) == [".a.0.part", ".a.1.part", ".a.2.part"]
    kill(first)
    kill(third)
    with atomic_write(tmp_path / "a") as file:
        file.write(b"whole")
        assert names(tmp_path) == [".a.0.part", ".a.1.part"]
    assert second.poll() is None
    assert names(tmp_path) == [".a.1.part", "a"]


def test_many_writers_at_once_leave_nothing_else(tmp_path):
    code = """
        import sys, os
        from pathlib import Path
        from fastfid.files.writing import atomic_write
        for number in range(100):
            with atomic_write(Path(sys.argv[1])) as file:
                file.write(str(os.getpid()).encode() * 1000)
            found = Path(sys.argv[1]).read_bytes()
            assert found == found[: len(found) // 1000] * 1000
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "a"]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert names(tmp_path) == ["a"]


def test_where_a_file_system_has_no_locks_age_tells_the_dead(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    (tmp_path / ".a.0.part").write_bytes(b"of yesterday")
    os.utime(tmp_path / ".a.0.part", (0, 0))
    (tmp_path / ".a.1.part").write_bytes(b"fresh")
    for _ in range(2):
        with atomic_write(tmp_path / "a") as file:
            file.write(b"whole")
            assert names(tmp_path) in ([".a.0.part", ".a.1.part"], [".a.0.part", ".a.1.part", "a"])
    assert names(tmp_path) == [".a.1.part", "a"]


def test_a_link_in_place_of_a_part_is_not_followed(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / ".a.0.part").symlink_to("precious")
    with atomic_write(tmp_path / "a") as file:
        file.write(b"whole")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_exclusive_keeps_what_is_there_and_waits_for_the_other(tmp_path, writer):
    part = tmp_path / "part"
    process = writer(part, WRITER.replace("atomic_write(Path(sys.argv[1]))", "exclusive(Path(sys.argv[1]), print)")
                     .replace("import atomic_write", "import exclusive"))  # fmt: skip
    told = []

    def waiting():
        told.append(names(tmp_path))
        process.send_signal(signal.SIGKILL)

    with exclusive(part, waiting) as file:
        assert file.read() == b"half"
        file.truncate(0)
    assert told == [["part"]]
    assert names(tmp_path) == []  # because it is empty


def test_exclusive_follows_a_file_that_was_renamed_while_it_waited(tmp_path):
    part, target = tmp_path / "part", tmp_path / "target"
    ours, others = threading.Event(), []

    def other():
        with exclusive(part, ours.set) as file:
            others.append(file.read())

    thread = threading.Thread(target=other)
    with exclusive(part, lambda: None) as file:
        file.write(b"whole")
        thread.start()
        assert ours.wait(30)
        files.finish(file, part, target)
    thread.join()
    assert others == [b""]
    assert (names(tmp_path), target.read_bytes()) == (["target"], b"whole")

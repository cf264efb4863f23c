"""What the command line prints, and where: malicious names, closed streams, other encodings, signals, targets."""

import argparse
import errno
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.cli.main import main
from fastfid.cli.parser import expand
from fastfid.errors import ImageError
from fastfid.files import writing
from fastfid.images.decode import decode
from fastfid.terminal import printable, streams
from pictures import folder, pictures

POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX shells, permissions and signals")
FORGED = "a.png\r\x1b[2Kfastfid: error: forged\nFID:  0.0\x9b31m\u202e"


@pytest.fixture(scope="module")
def stats(tmp_path_factory):
    """Two files of statistics, which are scored without a network."""
    root = tmp_path_factory.mktemp("stats")
    for name, seed in (("a", 0), ("b", 1)):
        rows = np.random.RandomState(seed).standard_normal((9, 3))
        made_by = fastfid.Provenance("m", "a" * 64, "pytorch", 3, versions={"fastfid": str(seed)})
        fastfid.Statistics(3, made_by).update(rows).save(root / name)
    return str(root / "a.npz"), str(root / "b.npz")


def shell(redirections, *arguments, **environment):
    command = f'exec "$0" -m fastfid "$@" {redirections}'
    return subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, *arguments],
        capture_output=True,
        timeout=60,
        env={**os.environ, **environment},
    )


class TestPrintable:
    def test_what_a_terminal_shows_stays(self):
        text = "C:\\a b/é…日本🎉 'x' \"y\""
        assert printable(text) == text

    def test_every_character_that_acts_is_escaped(self):
        for code in range(0x110000):
            character = chr(code)
            shown = printable(character)
            if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
                assert shown.startswith("\\")
            assert shown.isprintable()

    def test_each_message_is_one_line(self, stats, tmp_path, capsys):
        assert main([FORGED, stats[0]]) == 1
        assert main(["merge", FORGED + "/x", stats[0]]) == 1
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 2
        assert all(line.startswith("fastfid: error: ") for line in err.splitlines())
        assert err.replace("\n", "").isprintable()

    @pytest.mark.parametrize("arguments", [["a", "b", "--mode", FORGED], ["a", "b", FORGED], ["a", "b", "--" + FORGED]])
    def test_usage_errors_are_printable(self, arguments, capsys):
        with pytest.raises(SystemExit):
            main(arguments)
        assert capsys.readouterr().err.replace("\n", "").isprintable()

    def test_warnings_and_notes_are_printable(self, stats, monkeypatch, capsys):
        def compare(*_, **__):
            warnings.warn(FORGED, fastfid.FastFIDWarning, stacklevel=1)
            warnings.warn(FORGED, UserWarning, stacklevel=1)
            fastfid.messages.log.info(FORGED)
            raise fastfid.InputError(FORGED)

        monkeypatch.setattr("fastfid.compare", compare)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            assert main([*stats]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        starts = ("warning: a", "warning: UserWarning: a", "note: a", "error: a")
        assert all(
            line.startswith(f"fastfid: {start}") and line.isprintable()
            for line, start in zip(err.splitlines(), starts, strict=True)
        )

    @POSIX
    def test_names_in_a_folder(self, tmp_path, capsys):
        a, b = folder(tmp_path / "a\x1b[2J\nFID:  1", pictures(3)), folder(tmp_path / "b", pictures(3, seed=1))
        (a / "000.png").rename(a / "x\x1b[31m\nfastfid: error: forged.png")
        (a / "x\x1b[31m\nfastfid: error: forged.png").write_bytes(b"nothing")
        options = ["--model", "inception-v3-random", "--dims", "64", "--on-error", "skip"]
        assert main([str(a), str(b), *options]) == 0
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == 1
        assert all(line.startswith("fastfid: ") and line.isprintable() for line in err.splitlines())
        assert not any(line.startswith("fastfid: error") for line in err.splitlines())
        assert main([str(a), str(b), *options, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["a"]["name"] == str(a)

    def test_the_label_of_the_bar(self, capsys):
        with fastfid.progress.progress_bar(True, 1, FORGED) as show:
            show(1)
        assert "\\x1b[2K" in capsys.readouterr().err


@POSIX
class TestStreams:
    def test_a_closed_stderr_costs_no_result(self, stats):
        plain = shell("", *stats)
        assert plain.stdout.startswith(b"FID:  ")
        assert b"warning" in plain.stderr
        for redirections in ("2>&-", "0<&- 2>&-", "2>/dev/full"):
            done = shell(redirections, *stats)
            assert (done.returncode, done.stdout) == (0, plain.stdout)

    def test_a_closed_stderr_leaves_json_alone(self, stats):
        done = shell("2>&-", *stats, "--json", "--quiet")
        assert done.returncode == 0
        assert json.loads(done.stdout)["warnings"]

    @pytest.mark.parametrize("redirections", ["1>&-", "1>/dev/full", "0<&- 1>&-"])
    def test_a_result_that_cannot_be_written_is_an_error(self, stats, redirections):
        done = shell(redirections, *stats, "--silence", "few-images")
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.decode().splitlines() if "warning" not in line]
        assert line.startswith("fastfid: error: ")

    def test_without_a_stdout_nothing_is_computed(self, monkeypatch, capsys):
        monkeypatch.setattr("fastfid.compare", lambda *_, **__: pytest.fail("computed"))
        monkeypatch.setattr(sys, "stdout", None)
        assert main(["a", "b"]) == 1
        assert "standard output is closed" in capsys.readouterr().err

    def test_a_reader_that_goes_away_is_told_nothing(self, stats):
        command = f"{sys.executable} -m fastfid {stats[0]} {stats[1]} --quiet --force 2>&3 | true"
        done = subprocess.run(["/bin/bash", "-c", f"({command}) 3>&1"], capture_output=True, timeout=60, check=False)
        assert b"Traceback" not in done.stdout + done.stderr
        assert b"BrokenPipe" not in done.stdout + done.stderr

    def test_files_do_not_get_the_number_of_a_closed_stream(self, stats, tmp_path):
        target = tmp_path / "out.npz"
        done = shell("0<&- 1>&- 2>&-", "merge", str(target), *stats)
        assert done.returncode == 0
        assert fastfid.Statistics.load(target).n == 18

    @pytest.mark.parametrize(
        "environment",
        [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}],
    )
    def test_every_encoding_will_do(self, stats, tmp_path, environment):
        for arguments in (["-h"], ["merge", "-h"], ["models", "list"], ["models", "export", "-h"]):
            done = shell("", *arguments, **environment)
            assert done.returncode == 0
            assert done.stdout
            assert not done.stderr
        done = shell("", "é…日本", stats[0], **environment)
        assert done.returncode == 1
        assert done.stderr.startswith(b"fastfid: error: ")
        assert done.stderr.count(b"\n") == 1

    @pytest.mark.skipif(sys.platform == "win32", reason="libtiff is a part of Pillow there")
    def test_libtiff_is_silent_while_a_command_runs(self, capfd):
        """It writes to stderr past Python, which `capfd` sees; what it says is in Pillow's exception."""
        file = io.BytesIO()
        pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, "TIFF", compression="tiff_lzw")
        data = bytearray(file.getvalue())
        data[1000:1400] = bytes(400)

        def stderr():
            with pytest.raises(ImageError):
                decode(bytes(data), "a.tif")
            return capfd.readouterr().err

        with streams():
            assert stderr() == ""
        assert "LZWDecode" in stderr()

    def test_the_streams_are_left_as_they_were(self, stats, capsys):
        before = sys.stdout, sys.stderr, sys.stdout.errors, sys.stderr.errors, warnings.showwarning
        assert main([*stats]) == 0
        assert (sys.stdout, sys.stderr, sys.stdout.errors, sys.stderr.errors, warnings.showwarning) == before


class TestTargets:
    """Refused before the work whose result they would get."""

    @pytest.fixture(autouse=True)
    def nothing_is_computed(self, monkeypatch):
        for name in (
            "fastfid.fit",
            "fastfid.cli.merge.load",
            "fastfid.cli.demo.Extractor",
        ):
            monkeypatch.setattr(name, lambda *_, **__: pytest.fail("computed"))
        monkeypatch.setattr("fastfid.networks.load", lambda *_, **__: pytest.fail("computed"))

    COMMANDS = pytest.mark.parametrize(
        "command",
        [
            ["--save-stats", "a", "{}.npz"],
            ["--save-stats", "a", "{}.npz", "--force"],
            ["merge", "{}.npz", "a"],
            ["demo", "--out", "{}.svg"],
            ["models", "export", "inception-v3-random", "{}.onnx"],
        ],
        ids=lambda command: " ".join(command),
    )

    @COMMANDS
    @pytest.mark.parametrize("target", ["no-such-folder/x", "n" * 300, "file/x", "/proc/x", "nul\0"])
    def test_that_cannot_be(self, tmp_path, monkeypatch, capsys, command, target):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").touch()
        assert main([part.format(target) for part in command]) == 1
        assert capsys.readouterr().err.startswith("fastfid: error: ")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    @COMMANDS
    def test_in_a_folder_that_is_read_only(self, tmp_path, monkeypatch, capsys, command):
        def refuse(*_, **__):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))  # permissions would not stop root

        monkeypatch.setattr(writing, "_create", refuse)
        assert main([part.format(tmp_path / "x") for part in command]) == 1
        assert "cannot write" in (err := capsys.readouterr().err)
        assert os.strerror(errno.EROFS) in err


def test_of_two_that_save_to_one_new_name_the_first_stays(stats, tmp_path, monkeypatch, capsys):
    target = tmp_path / "x.npz"

    def fit(*_, **__):
        fastfid.Statistics(3).update(np.eye(3)).save(target)  # another process, meanwhile
        return fastfid.load(stats[0])

    monkeypatch.setattr("fastfid.fit", fit)
    assert main(["--save-stats", "a", str(target)]) == 1
    assert "x.npz exists already" in capsys.readouterr().err
    assert fastfid.Statistics.load(target).n == 3
    assert main(["--save-stats", "a", str(target), "--force"]) == 0
    assert fastfid.Statistics.load(target).n == 9


def test_statistics_that_do_not_say_their_n(stats, tmp_path, capsys):
    np.savez(tmp_path / "foreign.npz", mu=np.zeros(3), sigma=np.eye(3))
    assert main(["--save-stats", str(tmp_path / "foreign.npz"), str(tmp_path / "x")]) == 0
    assert "saved the statistics of an unknown number of images" in capsys.readouterr().err


@POSIX
class TestSignals:
    @pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
    def test_they_end_a_command_as_ctrl_c_does(self, monkeypatch, capsys, name, code):
        cleaned = []

        def compare(*_, **__):
            try:
                os.kill(os.getpid(), getattr(signal, name))
                time.sleep(10)
            finally:
                cleaned.append(True)

        monkeypatch.setattr("fastfid.compare", compare)
        number = getattr(signal, name)
        before = signal.signal(number, signal.SIG_DFL)  # under nohup, SIGHUP would be ignored here, too
        try:
            assert main(["a", "b"]) == code
            assert cleaned
            assert capsys.readouterr().err == f"fastfid: ended by {name}\n"
            assert signal.getsignal(number) == signal.SIG_DFL
        finally:
            signal.signal(number, before)

    def test_a_library_that_makes_another_exception_of_them(self, monkeypatch, capsys):
        def compare(*_, **__):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
            except KeyboardInterrupt:
                raise KeyboardInterrupt from None  # as Cython code does

        monkeypatch.setattr("fastfid.compare", compare)
        before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            assert main(["a", "b"]) == 143
        finally:
            signal.signal(signal.SIGTERM, before)
        assert capsys.readouterr().err == "fastfid: ended by SIGTERM\n"

    def test_a_process_that_is_told_to_end(self, tmp_path):
        command = [sys.executable, "-m", "fastfid", "demo", "--images", "12", "--out", str(tmp_path / "x.svg")]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path) as process:
            assert process.stdout.readline().startswith("FID of 12")  # the rest takes longer
            process.terminate()
            assert process.wait(timeout=30) == 143
            assert process.stderr.read() == "fastfid: ended by SIGTERM\n"
        assert list(tmp_path.iterdir()) == []

    def test_what_is_ignored_stays_ignored(self, monkeypatch):
        """As under nohup."""

        def compare(*_, **__):
            os.kill(os.getpid(), signal.SIGHUP)
            raise fastfid.InputError("went on")

        monkeypatch.setattr("fastfid.compare", compare)
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            assert main(["a", "b"]) == 1
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_another_thread_may_run_a_command(self, stats, capsys):
        codes = []
        thread = threading.Thread(target=lambda: codes.append(main([*stats])))
        thread.start()
        thread.join()
        assert codes == [0]


def pytorch_fid_parser():
    """Return a parser with the options of pytorch-fid 0.3.0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--num-workers", type=int)
    parser.add_argument("--device", type=str, default=None)
    parser.add_argument("--dims", type=int, default=2048, choices=[64, 192, 768, 2048])
    parser.add_argument("--save-stats", action="store_true")
    parser.add_argument("path", type=str, nargs=2)
    return parser


@pytest.fixture
def taken(monkeypatch, tmp_path):
    """What a command passes on."""
    calls = []
    known = fastfid.fit(np.eye(2), features=True)

    def compare(*sides, **options):
        calls.append({"path": list(sides), "save_stats": False, **options})
        raise fastfid.InputError("stopped")

    def fit(source, **options):
        calls.append({"path": [source], "save_stats": True, **options})
        return known

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastfid.compare", compare)
    monkeypatch.setattr("fastfid.fit", fit)
    return calls


VALUES = {"--batch-size": "7", "--num-workers": "3", "--device": "cpu", "--dims": "64", "--save-stats": None}


@pytest.mark.parametrize("option", VALUES)
@pytest.mark.parametrize("joined", [False, True])
def test_every_abbreviation_that_pytorch_fid_takes(taken, tmp_path, option, joined):
    theirs = pytorch_fid_parser()
    count = 0
    for end in range(3, len(option) + 1):
        value = VALUES[option]
        typed = [option[:end]] if value is None else [f"{option[:end]}={value}"] if joined else [option[:end], value]
        try:
            expected = vars(theirs.parse_args([*typed, "a", "b"]))
        except SystemExit:
            with pytest.raises(SystemExit):  # ambiguous there, and here
                main([*typed, "a", "b"])
            continue
        main([*typed, "a", "b", "--force"])
        name = option[2:].replace("-", "_")
        assert taken[-1][name] == expected[name]
        count += 1
    assert count >= len(option) - 3 - (option in ("--device", "--dims"))


@pytest.mark.parametrize(
    ("typed", "name", "value"),
    [("--bo", "bootstrap", 30), ("--se", "seed", 30), ("--l", "limit", 30), ("--no", "recursive", False)],
)
def test_our_own_abbreviations_stay(taken, typed, name, value):
    main([typed, *(["30"] if value == 30 else []), "a", "b"])
    assert taken[-1][name] == value


def test_what_follows_two_dashes_is_no_option():
    assert expand(["--b", "5", "--", "--b", "--s"]) == ["--batch-size", "5", "--", "--b", "--s"]


def test_endings_are_passed_on(tmp_path, capsys):
    a, b = folder(tmp_path / "a", pictures(4)), folder(tmp_path / "b", pictures(3, seed=1))
    (a / "000.png").rename(a / "000.PNG")
    folder(a / "sub", pictures(2, seed=2))
    options = ["--model", "inception-v3-random", "--dims", "64", "--json"]
    for endings, n in (("png", 6), ("pytorch-fid", 3), (None, 6)):
        more = [] if endings is None else ["--endings", endings]
        assert main([str(a), str(b), *options, *more]) == 0
        assert json.loads(capsys.readouterr().out)["a"]["n"] == n
    assert main(["--save-stats", str(a), str(tmp_path / "s"), *options, "--endings", "pytorch-fid"]) == 0
    assert fastfid.Statistics.load(tmp_path / "s.npz").n == 3
    with pytest.raises(SystemExit):
        main([str(a), str(b), "--endings", "docx"])


@pytest.mark.parametrize("model", ["inception-v3", "inception-v3-keras", "own.pth"])
def test_a_tap_that_does_not_exist_is_refused_before_a_download(tmp_path, monkeypatch, capsys, model):
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("urllib.request.build_opener", lambda *_: pytest.fail("downloaded"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.pth").write_bytes(b"never read")
    a, b = folder(tmp_path / "a", pictures(2)), folder(tmp_path / "b", pictures(2))
    assert main([str(a), str(b), "--model", model, "--dims", "65"]) == 1
    assert "no features of 65 dimensions; it has 64, 192, 768" in capsys.readouterr().err


def test_no_memory_is_one_line(stats, monkeypatch, capsys):
    def compare(*_, **__):
        raise MemoryError

    monkeypatch.setattr("fastfid.compare", compare)
    assert main([*stats]) == 1
    assert capsys.readouterr().err == "fastfid: error: out of memory\n"


WORDS = [
    *("a.npz", "b.npz", "one.npz", "text.png", "folder", "missing", "", ".", "..", "/", "~nouser9/x", "~", "demo"),
    *("merge", "models", "list", "fetch", "path", "export", "inception-v3", "inception-v3-random", "-", "--", "-h"),
    *(
        "\x1b[2J",
        "a\nfastfid: error: b",
        "\udcff",
        "\ud800",
        "\0",
        "a\0.npz",
        "é…日本",
        "x" * 300,
        "y" * 5000,
        "%s",
        "{}",
    ),
    *("--save-stats", "--model", "--mode", "--dims", "--method", "--batch-size", "--num-workers", "--device", "--seed"),
    *("--precision", "--limit", "--on-error", "--no-recursive", "--endings", "--force", "--bootstrap", "--silence"),
    *(
        "--json",
        "--quiet",
        "--version",
        "--images",
        "--out",
        "--metrics",
        "--engine",
        "--b",
        "--s",
        "--n",
        "--d",
        "--=",
        "--b=",
        "--dims=\0",
    ),
    *("0", "1", "2", "3", "20", "64", "-1", "1e9", "9" * 30, "9" * 5000, "٣", "²", "nan", "cpu", "cuda:0", "cuda:99"),
    *("pytorch", "clean", "auto", "schur", "raise", "skip", "fp32", "fp16", "png,jpg", "pytorch-fid", "few-images"),
    *("size=224 resize=bicubic", "size=1e9", "x.svg", "x.onnx", "folder/x.npz", "no/x.npz"),
]


def test_every_option_with_every_kind_of_value(monkeypatch, capsys):
    """Each pair once, through the parser alone."""
    monkeypatch.setattr("fastfid.cli.score.gated", lambda *_: 0)
    monkeypatch.setattr("fastfid.cli.score.save_stats", lambda options: None)
    options = [word for word in WORDS if word.startswith("--")]
    values = [word for word in WORDS if not word.startswith("-")]
    for option, value in itertools.product(options, values[::3]):
        try:
            code = main(["a", "b", option, value])
        except SystemExit as exit_:
            code = exit_.code
        assert code in (0, 2), (option, value)
        capsys.readouterr()

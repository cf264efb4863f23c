"""Short runs of the commands that write, and what must be true of what they leave."""

import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime  # noqa: F401 - imported before the forks; a run without memory may break its import, not our code
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from fastfid.cli.main import main as fastfid
from stand_in import stand_in

IMAGES = 24
_BEFORE = 3  # lines of the history


class Run(NamedTuple):
    """A command that writes something.

    Parameters
    ----------
    arguments : sequence of str
    right : callable
        Given what the command printed, says whether all it was to make is there and right.
    half : callable
        Says whether something of it is there that could be taken for a whole result, and is none.
    """

    arguments: Sequence[str]
    right: Callable[[str], bool]
    half: Callable[[], bool]


class World:
    """A folder in which the commands run, which is made anew for each try."""

    def __init__(self, root: Path) -> None:
        self.root, self.source, self.work = root, root / "source", root / "work"
        self.expected: dict[str, bytes] = {}
        fid = self.source / "fid"
        self.fid = fid.read_text() if fid.exists() else ""

    @classmethod
    def prepared(cls, root: Path) -> "World":
        """Prepare it in a fork, so that no threads of the network's are in this process, which may fork later."""
        pid = os.fork()
        if pid == 0:
            cls(root).prepare()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        return cls(root)

    def begin(self) -> None:
        """Make the folder of the tries anew, with what the commands need."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        os.environ["FASTFID_HOME"] = str(self.work / "home")
        (self.work / "home").mkdir()
        for name in ("one.npz", "two.npz"):
            if (self.source / name).exists():
                shutil.copy(self.source / name, self.work / name)
        if self.fid:
            (self.work / "h.jsonl").write_text((self.source / "line.jsonl").read_text() * _BEFORE)

    def prepare(self) -> None:
        """Make the images, the network and what the commands need, with the number that is right."""
        self.source.mkdir(parents=True)
        rng = np.random.RandomState(0)
        for side in ("a", "b"):
            for i in range(IMAGES):
                path = self.source / side / f"{i % 2}" / f"{i:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.randint(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
        stand_in(self.source / "net.onnx")
        self.begin()
        a, b = str(self.source / "a"), str(self.source / "b")
        for side, name in ((a, "one.npz"), (b, "two.npz")):
            assert run(["--save-stats", side, str(self.work / name), *self._network])[0] == 0
            shutil.copy(self.work / name, self.source / name)
        code, out, err = run([a, b, *self._network, "--append", str(self.work / "h.jsonl")])
        assert code == 0, err
        self.fid = out.split()[-1]
        shutil.copy(self.work / "h.jsonl", self.source / "line.jsonl")
        (self.source / "fid").write_text(self.fid)

    def made(self, name: str) -> bool:
        """Return True if a result is there that the command does not replace unless it is told to."""
        result = {"save": "out.npz", "merge": "out.npz", "export": "out.onnx", "prepare": "made"}.get(name)
        return result is not None and (self.work / result).exists()

    @property
    def _network(self) -> list[str]:
        return ["--model", str(self.source / "net.onnx"), "--dims", "6", "--quiet"]

    def runs(self) -> dict[str, Run]:
        """Give each command by its name; `chosen` says which of them run."""
        a, b, work, network = str(self.source / "a"), str(self.source / "b"), self.work, self._network

        def scored(out: str) -> bool:
            return out.split()[-1:] == [self.fid]

        def never() -> bool:
            return False

        def of(path: Path, *arguments: str) -> Run:
            return Run(
                arguments,
                lambda out: path.exists() and self._whole(path),
                lambda: path.exists() and not self._whole(path),
            )

        page, history = work / "page.html", work / "h.jsonl"
        return {
            "save": of(work / "out.npz", "--save-stats", a, str(work / "out.npz"), *network),
            "merge": of(work / "out.npz", "merge", str(work / "out.npz"), str(work / "one.npz"), str(work / "two.npz")),
            "cache": Run((a, b, *network, "--cache"), scored, never),
            "resume": Run((a, b, *network, "--resume", str(work / "pieces")), scored, never),
            "export": of(
                work / "out.onnx", "models", "export", "inception-v3-random", str(work / "out.onnx"), "--dims", "64"
            ),
            "shard": Run(("shard", a, str(work / "parts"), "--index", "0", "--of", "1", *network), self._merged, never),
            "prepare": Run(
                ("prepare", a, str(work / "made"), "--protocol", "imagenet-64-edm", "--quiet"),
                lambda out: self._prepared(work / "made"),
                lambda: (work / "made").exists() and not self._prepared(work / "made"),
            ),
            "report": Run(
                (a, b, *network, "--report", str(page)),
                lambda out: scored(out) and page.read_text().rstrip().endswith("</html>"),
                lambda: page.exists() and not page.read_text().rstrip().endswith("</html>"),
            ),
            "ray": Run(
                (a, b, *network, "--engine", "ray", "--device", "cpu", "--resume", str(work / "pieces")), scored, never
            ),
            "history": Run(
                (a, b, *network, "--append", str(history)),
                lambda out: scored(out) and self._lines(history) >= _BEFORE + 1,
                lambda: self._lines(history) < _BEFORE,
            ),
        }

    def _whole(self, path: Path) -> bool:
        """Compare a file with the one of the run before all faults; the first call keeps it."""
        if path.suffix == ".npz":
            with np.load(path) as file:
                content = b"".join(file[name].tobytes() for name in ("mu", "sigma"))
        else:
            content = path.read_bytes()
        return self.expected.setdefault(self.current, content) == content

    current = ""

    def _merged(self, out: str) -> bool:
        code, _, err = run(["merge", str(self.work / "merged.npz"), str(self.work / "parts"), "--force"])
        assert code == 0, err
        return self._whole(self.work / "merged.npz")

    def _prepared(self, folder: Path) -> bool:
        record = json.loads((folder / "prepared.json").read_text())
        return record["n"] == IMAGES == len(list(folder.rglob("*.png")))

    def _lines(self, history: Path) -> int:
        """Count the lines, each of which must be whole but for the last one that a killed run may have begun."""
        lines = history.read_bytes().split(b"\n")
        for line in lines[:-1]:
            json.loads(line)
        return len(lines) - 1

    def left_over(self, *, ended_well: bool) -> list[str]:
        """List what is in the folder of the tries besides inputs, results, and what a next run continues."""
        known = {"one.npz", "two.npz", "h.jsonl", "home", "out.npz", "out.onnx", "page.html", "made", "parts"}
        known |= {"pieces", "merged.npz"} | (set() if ended_well else {".made.part", ".made.part.lock"})
        found = [path.name for path in self.work.iterdir() if path.name not in known]
        return found + [
            str(path.relative_to(self.work))
            for path in self.work.rglob(".*")
            if path.parent != self.work and path.is_file() and path.relative_to(self.work).parts[0] != ".made.part"
        ]


def run(arguments: Sequence[str]) -> tuple[int | None, str, str]:
    """Run a command in this process; give its status and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = fastfid(list(arguments))
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
    return code, out.getvalue(), err.getvalue()


def chosen(cases: Mapping[str, Run], names: str | None) -> list[str]:
    """Return the commands that the user has named, or all but the slow one."""
    return names.split(",") if names else [name for name in cases if name != "ray"]

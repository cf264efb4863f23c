"""Options that have no effect on an input are told, and those that have are not."""

import importlib
import inspect
import io
import json
import pkgutil
import shutil
import tarfile

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image
from upath import UPath

import fastfid
from fastfid import sources
from fastfid.sources import Source, open_source
from fastfid.sources.effects import _KINDS
from pictures import folder, pictures

STACK = pictures(4, 8)
FLOATS = {"value_range": (0, 255), "quantise": "round"}
OTHERS = {"endings": "png,jpg", "image_key": "0.png", **FLOATS, "storage_options": {"anon": True}}
KEY = OTHERS["image_key"]


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def table(path, name=KEY):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({name: [png(image) for image in STACK]}), path / "a.parquet")
    return path / "a.parquet"


def npy(path, dtype=np.uint8):
    np.save(path / "a.npy", STACK.astype(dtype))
    return path / "a.npy"


def npys(path):
    for number, image in enumerate(STACK):
        np.save(path / f"{number}.npy", image)
    return path


def tar(path, mode="w"):
    with tarfile.open(path / ("a.tar" if mode == "w" else "a.tar.gz"), mode) as archive:
        for number in range(4):
            info = tarfile.TarInfo(f"{number}.0.png")
            info.size = len(png(STACK[number]))
            archive.addfile(info, io.BytesIO(png(STACK[number])))
    return path / ("a.tar" if mode == "w" else "a.tar.gz")


def listed(path, ending):
    folder(path / "set", STACK)
    lines = [f"set/{number:03}.png" for number in range(4)]
    (path / f"a.{ending}").write_text("\n".join([KEY] * (ending == "csv") + lines))
    return path / f"a.{ending}"


def log(path):
    entries = [{"seq_id": i, "qsl_idx": i, "data": image.tobytes().hex()} for i, image in enumerate(STACK)]
    (path / "mlperf_log_accuracy.json").write_text(json.dumps(entries))
    return path / "mlperf_log_accuracy.json"


def data_set(_, array=False):
    datasets = pytest.importorskip("datasets")
    kind = datasets.Array3D((8, 8, 3), "uint8") if array else datasets.Value("binary")
    cells = list(STACK) if array else [png(image) for image in STACK]
    return datasets.Dataset.from_dict({KEY: cells}, features=datasets.Features({KEY: kind}))


def shards(path):
    (path / "set").mkdir()
    shutil.move(tar(path), path / "set")
    return path / "set"


#: How an input is made, and the options that have no effect on it.
KINDS = {
    "folder": (lambda path: folder(path / "set", STACK), "image_key value_range quantise storage_options"),
    "pattern": (lambda path: f"{folder(path / 'set', STACK)}/*", "image_key value_range quantise storage_options"),
    "folder of arrays": (npys, "image_key storage_options"),
    "npy": (npy, "endings image_key value_range quantise storage_options"),
    "npy of floats": (lambda path: npy(path, np.float32), "endings image_key storage_options"),
    "array": (lambda _: STACK, "endings image_key value_range quantise storage_options"),
    "array of floats": (lambda _: STACK.astype(np.float64), "endings image_key storage_options"),
    "tar": (tar, "endings value_range quantise storage_options"),
    "tar.gz": (lambda path: tar(path, "w:gz"), "endings value_range quantise storage_options"),
    "folder of tars": (shards, "endings value_range quantise storage_options"),
    "table": (table, "endings value_range quantise storage_options"),
    "list of tables": (lambda path: [str(table(path))], "endings value_range quantise storage_options"),
    "txt": (lambda path: listed(path, "txt"), "endings image_key value_range quantise"),
    "csv": (lambda path: listed(path, "csv"), "endings value_range quantise"),
    "log": (log, "endings image_key value_range quantise storage_options"),
    "data set": (data_set, "endings value_range quantise"),
    "data set of arrays": (lambda path: data_set(path, True), "endings"),
    "list": (lambda _: [{KEY: image} for image in STACK], "endings"),
    "iterator": (lambda _: ({KEY: image} for image in STACK), "endings"),
}


def told(source):
    """Return the options that its notes name."""
    notes = [note for note in source.notes if " no effect on " in note]
    assert all(note.endswith(f": {source.name}") for note in notes)
    return " ".join(note.replace(",", "").partition(" ha")[0].replace(" and", "") for note in notes)


@pytest.mark.parametrize("kind", KINDS)
def test_options_without_effect_are_told(tmp_path, kind):
    make, idle = KINDS[kind]
    given = list(make(tmp_path)) if kind == "iterator" else make(tmp_path)
    again = iter if kind == "iterator" else lambda given: given
    options = {name: value for name, value in OTHERS.items() if kind != "folder of arrays" or name != "endings"}
    assert told(open_source(again(given), **options)) == idle
    obeyed = {name: value for name, value in options.items() if name not in idle.split()}
    assert told(open_source(again(given), **obeyed)) == ""


def test_the_notes_are_plain(tmp_path):
    path = folder(tmp_path / "set", STACK)
    assert open_source(path, image_key="x").notes == (f"image_key has no effect on a folder of images: {path}",)
    assert open_source(STACK, storage_options={"a": 1}, **FLOATS).notes == (
        "value_range and quantise have no effect on an array of integers: the array",
        "storage_options has no effect on what is on this machine: the array",
    )
    source = open_source(tar(tmp_path), endings="png")
    assert source.notes == ()


def test_addresses_need_storage_options(tmp_path):
    fs = MemoryFileSystem()
    fs.pipe("/effects/a.png", png(STACK[0]))
    try:
        assert told(open_source("memory://effects", storage_options={"skip_instance_cache": True})) == ""
        notes = open_source(UPath("memory://effects"), storage_options={"a": 1}).notes
        assert notes == ("storage_options has no effect on a UPath: memory://effects",)
    finally:
        fs.rm("/effects", recursive=True)


def test_a_source_of_the_callers_own_is_left_alone():
    class Own(Source):
        def read(self, indices):
            yield from ()

    source = Own("mine", 3)
    assert open_source(source, **OTHERS) is source
    assert source.notes == ()


def test_a_result_has_the_notes(tmp_path):
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    path = folder(tmp_path / "set", STACK)
    with pytest.warns(fastfid.FastFIDWarning):
        result = fastfid.compare(path, STACK, model=extractor, image_key="x", progress=False)
    assert [text for text in result.notes if "no effect" in text] == [
        f"image_key has no effect on a folder of images: {path}",
        "image_key has no effect on an array of integers: the array",
    ]


def test_every_kind_of_source_is_known():
    known = tuple(kind for line, _ in _KINDS for kind in (line if isinstance(line, tuple) else (line,)))
    for module in pkgutil.iter_modules(sources.__path__):
        for name, kind in vars(importlib.import_module(f"fastfid.sources.{module.name}")).items():
            if inspect.isclass(kind) and issubclass(kind, Source) and not inspect.isabstract(kind):
                assert name == "Kept" or issubclass(kind, known), name

"""Parquet and Arrow files: the images of a folder, row by row; and files that are damaged or not what is expected."""

import contextlib
import io
import pickle
import random
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastfid
from fastfid.errors import ImageError, InputError
from fastfid.files.flatbuffers import Table
from fastfid.sources import open_source, read_items
from pictures import folder, pictures
from servers import moto_port, s3, served_s3  # noqa: F401 - fixtures

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
pq = pytest.importorskip("pyarrow.parquet")

STACK = pictures(9, 8)
UNDECODED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


FILES = [png(image) for image in STACK]
COLUMNS = {
    "binary": pa.array(FILES),
    "large_binary": pa.array(FILES, pa.large_binary()),
    "binary_view": pa.array(FILES, pa.binary_view()),
    "struct": pa.array([{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(FILES)], UNDECODED),
    "only bytes": pa.array([{"bytes": data} for data in FILES], pa.struct([("bytes", pa.binary())])),
}


def table(column="struct", name="image"):
    array = COLUMNS[column] if isinstance(column, str) else column
    words = pa.array(["a", "b", "c"] * 3).dictionary_encode()
    return pa.table({"label": range(9), "caption": ["x"] * 9, name: array[:9], "word": words}).slice(0, len(array))


def write_stream(data, path, rows=4, **options):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, data.schema, **options) as writer:
        writer.write_table(data, max_chunksize=rows)


def write_file(data, path, rows=4, **options):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, data.schema, **options) as writer:
        writer.write_table(data, max_chunksize=rows)


def compressed(codec):
    return {"options": pa.ipc.IpcWriteOptions(compression=codec)}


KINDS = {
    "plain.parquet": lambda data, path: pq.write_table(data, path, row_group_size=4),
    "zstd.parquet": lambda data, path: pq.write_table(
        data, path, row_group_size=4, compression="zstd", use_dictionary=False, data_page_version="2.0"
    ),
    "sums.PQ": lambda data, path: pq.write_table(data, path, row_group_size=4, write_page_checksum=True),
    "lz4.feather": lambda data, path: feather.write_feather(data, path, chunksize=4),
    "stream.arrow": write_stream,
    "zstd.arrow": lambda data, path: write_stream(data, path, **compressed("zstd")),
    "file.arrow": write_file,
    "lz4.ipc": lambda data, path: write_file(data, path, **compressed("lz4")),
}


def pixels(source, *chosen):
    return np.array([item.decode().pixels for item in read_items(source, *chosen)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", COLUMNS)
def test_the_rows_are_the_images(tmp_path, kind, column):
    path = tmp_path / kind
    KINDS[kind](table(column), path)
    source = open_source(path)
    assert (source.size, source.starts, source.ordered, source.exact) == (9, (0, 4, 8), False, True)
    items = list(read_items(source))
    named = " ({}.png)" if column == "struct" else ""
    assert [item.name for item in items] == [f"{path}: row {i}{named.format(i)}" for i in range(9)]
    assert {item.decode().encoding for item in items} == {"PNG"}
    np.testing.assert_array_equal(pixels(source), STACK)
    assert [source.key_of(index) for index in (0, 8)] == [f"{kind}:0", f"{kind}:8"]
    proofs = list(source.proofs([0, 8], content=True))
    assert proofs[0] == proofs[1] != ""
    assert list(source.proofs([0, 8])) == (proofs if kind.lower().endswith((".parquet", ".pq")) else ["", ""])


@pytest.mark.parametrize("kind", KINDS)
def test_subsets_are_those_of_a_folder(tmp_path, kind):
    plain = open_source(folder(tmp_path / "plain", STACK))
    KINDS[kind](table(), tmp_path / kind)
    source = pickle.loads(pickle.dumps(open_source(tmp_path / kind)))
    for limit, seed in [(2, 0), (2, 1), (5, 2), (9, 3)]:
        np.testing.assert_array_equal(pixels(source, limit, seed), pixels(plain, limit, seed))


@given(st.sets(st.integers(0, 26)), st.sampled_from(["plain.parquet", "stream.arrow", "lz4.feather"]))
def test_any_indices_of_several_files(tmp_path_factory, indices, kind):
    source = several(tmp_path_factory, kind)
    found = [item.decode().pixels for item in source.read(sorted(indices))]
    for index, image in zip(sorted(indices), found, strict=True):
        np.testing.assert_array_equal(image, STACK[index % 9])


made: dict[str, object] = {}


def several(factory, kind):
    if kind not in made:
        paths = [factory.mktemp("several") / f"{i}{kind}" for i in range(3)]
        for path in paths:
            KINDS[kind](table(), path)
        made[kind] = open_source(paths)
    return made[kind]


def test_a_list_a_folder_a_pattern_and_an_address_of_tables(tmp_path):
    for number, kind in enumerate(["plain.parquet", "stream.arrow", "lz4.feather"]):
        (tmp_path / f"set/{number}").mkdir(parents=True)
        KINDS[kind](table("binary"), tmp_path / f"set/{number}" / kind)
    expected = np.concatenate([STACK] * 3)
    paths = sorted((tmp_path / "set").rglob("*.*"))
    by_list = open_source([str(path) for path in paths])
    assert by_list.name == "a list of 3 tables"
    by_folder = open_source(tmp_path / "set")
    assert by_folder.notes[0].endswith("has no image files but 3 tables: their images are used as one set")
    assert by_folder.key_of(10) == "1/stream.arrow:1"
    for source in (by_list, by_folder, open_source(f"{tmp_path}/set/*/*"), open_source(f"file://{tmp_path}/set")):
        np.testing.assert_array_equal(pixels(source), expected)
    assert open_source(f"{tmp_path}/set/*/*.arrow").size == 9


@pytest.mark.parametrize("kind", ["plain.parquet", "stream.arrow", "lz4.feather", "zstd.arrow"])
def test_tables_behind_an_address(tmp_path, kind, request):
    fsspec = pytest.importorskip("fsspec")
    KINDS[kind](table(), tmp_path / kind)
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/tables/{kind}", (tmp_path / kind).read_bytes())
    request.addfinalizer(lambda: memory.rm("/tables", recursive=True))
    for address in (f"memory://tables/{kind}", "memory://tables", f"memory://tables/*{kind[-4:]}"):
        source = pickle.loads(pickle.dumps(open_source(address)))
        np.testing.assert_array_equal(pixels(source), STACK)
    np.testing.assert_array_equal(pixels(open_source([f"memory://tables/{kind}"] * 2)), np.concatenate([STACK] * 2))
    items = source.read([1, 8])
    next(items)
    memory.pipe(f"/tables/{kind}", (tmp_path / kind).read_bytes() + b"x")
    with pytest.raises(InputError, match="has changed since it was opened|cannot read"):
        next(items)


@pytest.mark.parametrize("kind", ["plain.parquet", "lz4.feather"])
def test_tables_on_s3_with_faults(tmp_path, s3, kind):  # noqa: F811
    (tmp_path / "shard").mkdir()
    KINDS[kind](table(), tmp_path / "shard" / kind)
    s3.fill(f"tables-{kind[:3]}", tmp_path / "shard")
    rng = random.Random(0)
    faults = {"HEAD": ["503", "reset", *[""] * 4], "GET": ["503", "cut", "reset", "short", *[""] * 8]}
    s3.proxy.fault = lambda method, path, number: rng.choice(faults[method]) if path.endswith(kind) else ""
    source = open_source(f"s3://tables-{kind[:3]}/{kind}", storage_options=s3.options)
    np.testing.assert_array_equal(pixels(source), STACK)
    assert len(s3.proxy.requests) > 9  # without faults


def test_only_the_groups_that_are_asked_for_are_read(tmp_path, monkeypatch):
    from fastfid.sources import arrow_file, parquet_file

    for kind, module in (("plain.parquet", parquet_file.ParquetFile), ("stream.arrow", arrow_file.ArrowFile)):
        KINDS[kind](table(), tmp_path / kind)
        source, read, own = open_source(tmp_path / kind), [], module.read

        def spied(self, opened, group, read=read, own=own):
            read.append(group)
            return own(self, opened, group)

        monkeypatch.setattr(module, "read", spied)
        assert len(list(source.read([1, 2, 8]))) == 3
        assert read == [0, 2]


@pytest.mark.filterwarnings("ignore:few-images|duplicates:fastfid.FastFIDWarning")
def test_the_score_is_that_of_the_folder(tmp_path):
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    KINDS["plain.parquet"](table(), tmp_path / "a.parquet")
    plain = folder(tmp_path / "plain", STACK)
    np.testing.assert_array_equal(extractor(tmp_path / "a.parquet"), extractor(plain))
    other = folder(tmp_path / "other", pictures(9, 8, 1))
    score = fastfid.score(tmp_path / "a.parquet", other, model=extractor, progress=False)
    assert score == fastfid.score(plain, other, model=extractor, progress=False)


# --- cells


@pytest.mark.parametrize("kind", ["plain.parquet", "stream.arrow", "lz4.feather"])
def test_nulls_and_damaged_cells_are_image_errors(tmp_path, kind):
    files = [{"bytes": data, "path": None} for data in FILES]
    files[2] = None
    files[5] = {"bytes": None, "path": None}
    files[6] = {"bytes": FILES[6][:-60], "path": "x.png"}
    path = tmp_path / kind
    KINDS[kind](table(pa.array(files, UNDECODED)), path)
    items = list(read_items(open_source(path)))
    for index, message in [(2, "row 2 is null"), (5, "row 5 is null"), (6, r"cannot decode .*: row 6 \(x.png\)")]:
        with pytest.raises(ImageError, match=message) as caught:
            items[index].decode()
        assert str(path) in str(caught.value)
    good = [index for index in range(9) if index not in (2, 5, 6)]
    np.testing.assert_array_equal([items[index].decode().pixels for index in good], STACK[good])


def test_a_path_without_bytes_is_relative_to_the_table(tmp_path):
    folder(tmp_path / "set", STACK)
    files = [{"bytes": None, "path": f"set/{index:03}.png"} for index in range(8)] + [
        {"bytes": None, "path": "gone.png"}
    ]
    KINDS["plain.parquet"](table(pa.array(files, UNDECODED)), tmp_path / "a.parquet")
    items = list(read_items(open_source(tmp_path / "a.parquet")))
    np.testing.assert_array_equal([item.decode().pixels for item in items[:8]], STACK[:8])
    with pytest.raises(ImageError, match=r"a.parquet: row 8 \(.*gone.png\)"):
        items[8].decode()


@pytest.mark.parametrize("kind", KINDS)
def test_the_proof_of_a_path_without_bytes_is_also_that_of_its_file(tmp_path, kind):
    folder(tmp_path / "set", STACK)
    paths = [f"set/{index:03}.png" for index in range(9)]
    mixed = [
        {"bytes": data if index in (0, 1, 2, 3, 5) else None, "path": paths[index]} for index, data in enumerate(FILES)
    ]
    pieces = pa.struct([("x", pa.list_(pa.int8())), *UNDECODED])  # the place of the bytes in a header has to be counted
    for number, kind_of_column in enumerate((UNDECODED, pieces)):
        rows = [{"x": [1], **row} for row in mixed] if number else mixed
        KINDS[kind](table(pa.array(rows, kind_of_column)), tmp_path / f"{number}{kind}")
        source = open_source(tmp_path / f"{number}{kind}")
        before = list(source.proofs(range(9), content=True))
        for index in range(9):
            (tmp_path / paths[index]).write_bytes(FILES[index - 1] + bytes(number))
        for again in (source, pickle.loads(pickle.dumps(source)), open_source(tmp_path / f"{number}{kind}")):
            after = list(again.proofs(range(9), content=True))
            assert [i for i in range(9) if after[i] != before[i]] == [4, 6, 7, 8]


def test_a_proof_reads_no_rows_that_have_bytes(tmp_path, monkeypatch):
    for kind, write in KINDS.items():
        write(table(), tmp_path / kind)
        source = open_source(tmp_path / kind)
        monkeypatch.setattr(type(source._files[0]), "read", None)
        assert all(source.proofs([5], content=True))


def test_a_row_that_is_too_large(tmp_path, monkeypatch):
    KINDS["plain.parquet"](table(), tmp_path / "a.parquet")
    monkeypatch.setattr("fastfid.sources.tables.MOST_FILE_BYTES", 10)
    with pytest.raises(ImageError, match=r"a.parquet: row 0 has \d+ bytes; at most 10 are read"):
        pixels(open_source(tmp_path / "a.parquet"))


# --- columns


TWO = pa.table({"a": FILES, "b": FILES})


@pytest.mark.parametrize(
    ("data", "key", "message"),
    [
        (TWO, None, "which column holds the images? Give image_key, one of 'a', 'b'"),
        (TWO, "c", "has no column 'c': it has 'a' (binary), 'b' (binary)"),
        (
            pa.table({"a": ["x"], "b": [1]}),
            None,
            "has no column of bytes or of struct<bytes, path>: it has 'a' (string)",
        ),
        (
            pa.table({"a": ["x"]}),
            "a",
            "the column 'a' holds neither bytes nor struct<bytes, path>: it has 'a' (string)",
        ),
        (pa.table({"a": [[FILES[0]]]}), None, "has no column of bytes"),
        (pa.table({"a": pa.array([], pa.binary())}), None, "no images in"),
        (pa.table({f"c{i}": [1] for i in range(99)}), None, "'c19' (int64) and 79 more"),
        (pa.Table.from_arrays([pa.array(FILES)] * 2, ["a", "a"]), "a", "has two columns 'a'"),
    ],
)
@pytest.mark.parametrize("kind", ["plain.parquet", "stream.arrow"])
def test_a_column_that_is_not_clear_is_refused(tmp_path, kind, data, key, message):
    KINDS[kind](data, tmp_path / kind)
    with pytest.raises(InputError) as caught:
        open_source(tmp_path / kind, image_key=key)
    assert message in str(caught.value)
    assert str(tmp_path / kind) in str(caught.value)


@pytest.mark.parametrize("kind", ["plain.parquet", "stream.arrow", "lz4.feather"])
def test_image_key_chooses(tmp_path, kind):
    KINDS[kind](pa.table({"a": FILES[::-1], "b.c": FILES, "b": FILES[::-1]}), tmp_path / kind)
    np.testing.assert_array_equal(pixels(open_source(tmp_path / kind, image_key="b.c")), STACK)
    np.testing.assert_array_equal(pixels(open_source(tmp_path / kind, image_key="b")), STACK[::-1])


def test_tables_beside_archives_are_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("0.png", FILES[0])
    for name in ("a.parquet", "b.parquet"):
        KINDS["plain.parquet"](table(), tmp_path / name)
    source = open_source(tmp_path)
    assert source.size == 1
    assert source.notes == (
        f"{tmp_path} has no image files but 1 archive: its images are used",
        "2 tables next to the archives, such as a.parquet, were not opened",
    )
    (tmp_path / "b.parquet").unlink()
    assert open_source(tmp_path).notes[1] == "1 table next to the archives, a.parquet, was not opened"
    (tmp_path / "c.zip").unlink()
    assert open_source(tmp_path).notes == (f"{tmp_path} has no image files but 1 table: its images are used",)


def test_tables_without_rows_are_told(tmp_path):
    for name, data in (("a.parquet", table().slice(0, 0)), ("b.parquet", table())):
        KINDS["plain.parquet"](data, tmp_path / name)
    source = open_source(tmp_path)
    assert f"1 of 2 tables has no rows: {tmp_path / 'a.parquet'}" in source.notes
    np.testing.assert_array_equal(pixels(source), STACK)


def test_one_table_of_several_without_the_column_is_named(tmp_path):
    KINDS["plain.parquet"](table(), tmp_path / "a.parquet")
    KINDS["plain.parquet"](table(name="picture"), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b.parquet has no column 'image'"):
        open_source(tmp_path, image_key="image")


@pytest.mark.parametrize("as_list", [True, False])
def test_tables_with_different_columns_are_no_set(tmp_path, as_list):
    KINDS["plain.parquet"](table(), tmp_path / "a.parquet")
    KINDS["stream.arrow"](table(name="mask"), tmp_path / "b.arrow")
    given = [str(tmp_path / "a.parquet"), str(tmp_path / "b.arrow")] if as_list else tmp_path
    message = "different columns, 'image' in .*a.parquet and 'mask' in .*b.arrow: rename one"
    with pytest.raises(InputError, match=message):
        open_source(given)
    with pytest.raises(InputError, match="b.arrow has no column 'image'"):
        open_source(given, image_key="image")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    KINDS["plain.parquet"](table(), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"needs the package pyarrow: pip install 'fastfid\[tables\]'"):
        open_source(tmp_path / "a.parquet")


# --- damage


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_short_or_empty_is_refused(tmp_path, kind):
    KINDS[kind](table(), tmp_path / kind)
    good = (tmp_path / kind).read_bytes()
    for data in (b"", b"x", bytes(100), good[:20], good[: len(good) // 2 + 8], b"text " * 100):
        (tmp_path / kind).write_bytes(data)
        with pytest.raises(InputError, match=kind):
            list(read_items(open_source(tmp_path / kind)))


def test_feather_of_version_1_is_named(tmp_path):
    (tmp_path / "a.feather").write_bytes(b"FEA1" + bytes(100))
    with pytest.raises(InputError, match="it is Feather of version 1: write it again, with version=2"):
        open_source(tmp_path / "a.feather")


def test_a_stream_without_its_end_is_told(tmp_path):
    write_stream(table(), tmp_path / "a.arrow")
    whole = (tmp_path / "a.arrow").read_bytes()
    assert open_source(tmp_path / "a.arrow").notes == ()
    (tmp_path / "a.arrow").write_bytes(whole[:-8])
    source = open_source(tmp_path / "a.arrow")
    assert source.notes == (f"{tmp_path / 'a.arrow'}: no mark at the end; if it was cut short there, rows are missing",)
    np.testing.assert_array_equal(pixels(source), STACK)


def test_a_file_that_changes_is_noticed(tmp_path):
    for kind in ("plain.parquet", "stream.arrow"):
        KINDS[kind](table(), tmp_path / kind)
        source = open_source(tmp_path / kind)
        KINDS[kind](table("binary"), tmp_path / kind)
        with pytest.raises(InputError, match="has changed since it was opened"):
            list(read_items(source))


def test_a_batch_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    write_stream(pa.table({"image": [bytes(1 << 20)]}), tmp_path / "a.arrow", **compressed("zstd"))
    assert (tmp_path / "a.arrow").stat().st_size < 2000
    monkeypatch.setattr("fastfid.sources.arrow_file._MOST_BATCH", 1 << 16)
    with pytest.raises(
        InputError, match=r"a record batch has 1,048,\d+ bytes; at most 65,536 are read: write it with fewer"
    ):
        open_source(tmp_path / "a.arrow")


def test_more_rows_than_bytes_are_refused(tmp_path):
    nulls = pa.table({"image": pa.nulls(2_000_000, pa.binary())})
    for kind in ("plain.parquet", "lz4.feather"):
        if kind == "plain.parquet":
            pq.write_table(nulls, tmp_path / kind)
        else:
            feather.write_feather(nulls, tmp_path / kind, compression="zstd", chunksize=2_000_000)
        with pytest.raises(InputError, match="it says that it has 2,000,000 rows"):
            open_source(tmp_path / kind)


@given(st.binary(max_size=64))
def test_a_flatbuffer_is_read_within_its_bounds(data):
    with contextlib.suppress(ValueError):
        root = Table.root(data)
        root.has(1), root.uint8(1), root.int64(3), list(root.pairs(2)), root.table(2).int64(0)

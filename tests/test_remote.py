"""Addresses: the images, names and scores are those of the plain folder, whatever the network does, or an error."""

import gc
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import tracemalloc
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image
from upath import UPath

import fastfid
from fastfid import ImageError, InputError
from fastfid.files import retries, windows
from fastfid.files.places import Far, packed
from fastfid.files.ranges import RangeFile
from fastfid.files.remote import Remote, State, filesystem, is_address, retried, state_of_info
from fastfid.files.turns import turn
from fastfid.metrics.saved import save as save_fit
from fastfid.sources import open_source, read_items
from pictures import pictures
from servers import Proxy, moto_port, s3, served_s3, serving, web  # noqa: F401 - fixtures

NAMES = ["a/0.png", "a/1.PNG", "a b/ü.png", "a/c/0.png", "top.png", "z.jpg"]


def save(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pictures(1, 32, seed=number)[0]).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    for number, name in enumerate(NAMES):
        save(root / name, number)
    (root / "a" / "notes.txt").write_text("not an image")
    return root


@pytest.fixture(scope="module")
def shelf(folder, tmp_path_factory):
    """Two folders of archives and arrays with the same images, several times."""
    root = tmp_path_factory.mktemp("shelf")
    (root / "shards").mkdir()
    for name in ("a-00.zip", "a-01.zip"):
        with zipfile.ZipFile(root / "shards" / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*.*")):
                archive.write(path, path.relative_to(folder))
    for name in ("b-00.tar", "b-01.tar", "c.tar.gz"):
        with tarfile.open(root / "shards" / name, "w:gz" if name.endswith("gz") else "w") as archive:
            archive.add(folder, ".")
    (root / "arrays").mkdir()
    np.save(root / "arrays" / "a.npy", pictures(7, 32))
    np.savez(root / "arrays" / "b.npz", pictures(7, 32))
    for number in range(3):
        (root / "npys").mkdir(exist_ok=True)
        np.save(root / "npys" / f"{number}.npy", pictures(1, 32, seed=number)[0])
    return root


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def upload(fs, folder, root):
    for path in Path(folder).rglob("*"):
        if path.is_file():
            fs.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def seen(source, within):
    """Names below a folder, classes, notes and pixels, read by threads as in a run."""
    with ThreadPoolExecutor(4) as pool:
        items = list(read_items(source))
        pixels = list(pool.map(lambda item: item.decode().pixels, items))
    names = [item.name.replace(str(within or "\0"), "ROOT") for item in items]
    if source.size is not None:
        assert [item.name for item in items] == [source.name_of(index) for index in range(source.size)]
    folders = [source.folder_of(index) for index in range(source.size or 0)]
    notes = [note.replace(str(within or "\0"), "ROOT") for note in source.notes]
    return names, folders, notes, [image.tolist() for image in pixels]


# --- every kind of source, at every kind of address


EVERY = ["shards/a-00.zip", "shards/b-00.tar", "shards/c.tar.gz", "arrays/a.npy", "arrays/b.npz", "npys"]


def test_a_folder_in_memory(folder, memory):
    upload(memory, folder, "/set")
    for address in ("memory://set", "MEMORY://set/", "memory:///set"):
        assert seen(open_source(address), "memory://set")[1:] == seen(open_source(folder), folder)[1:]
    assert seen(open_source("memory://set"), "memory://set") == seen(open_source(folder), folder)
    top = open_source("memory://set", recursive=False, endings="png")
    assert [top.name_of(index) for index in range(top.size)] == ["memory://set/top.png"]
    assert open_source("memory://set", endings="pytorch-fid").size == 2


@pytest.mark.parametrize("name", [*EVERY, "shards/a-*", "shards/b-{00..01}.tar"])
def test_archives_and_arrays_in_memory(shelf, memory, name):
    upload(memory, shelf, "/shelf")
    source = pickle.loads(pickle.dumps(open_source(f"memory://shelf/{name}")))
    assert seen(source, "memory://shelf") == seen(open_source(f"{shelf}/{name}"), shelf)


@pytest.mark.parametrize("name", [*EVERY, "shards/a-*"])
def test_archives_and_arrays_in_s3(shelf, s3, name):  # noqa: F811
    s3.fill("shelf", shelf)
    source = pickle.loads(pickle.dumps(open_source(f"s3://shelf/{name}", storage_options=s3.options)))
    assert seen(source, "s3://shelf") == seen(open_source(f"{shelf}/{name}"), shelf)


@pytest.mark.parametrize("name", EVERY)
def test_archives_and_arrays_over_http(shelf, name):
    with web(shelf) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        assert seen(open_source(f"{address}/{name}"), address) == seen(open_source(f"{shelf}/{name}"), shelf)


def test_a_folder_over_http(folder):
    with web(folder) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        names, folders, _, pixels = seen(open_source(f"{address}/a"), address)
        assert (names, folders) == (["ROOT/a/0.png", "ROOT/a/1.PNG", "ROOT/a/c/0.png"], ["", "", "c"])
        assert pixels == seen(open_source(folder / "a"), folder)[3]


def test_a_server_that_does_not_say_how_long_files_are(folder, shelf, monkeypatch):
    with web(folder, sizes=False) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        found = open_source(f"{address}/a")
        assert seen(found, address)[3] == seen(open_source(folder / "a"), folder)[3]
        monkeypatch.setattr("fastfid.sources.folder.MOST_FILE_BYTES", 10)
        with pytest.raises(ImageError, match="it has more than 10 bytes"):
            next(found.read([0])).load()
    with web(shelf, sizes=False) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/shards/a-00.zip"
        with pytest.raises(InputError, match="the server does not say how large it is: download it"):
            open_source(address)


def test_shards_over_http_need_no_list(shelf):
    with web(shelf) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/shards/b-{{00..01}}.tar"
        assert seen(open_source(address), "")[3] == seen(open_source(f"{shelf}/shards/b-*.tar"), "")[3]
        with pytest.raises(InputError, match=r"nothing matches 1 of the 3 alternatives of http.*: b-02\.tar$"):
            open_source(address.replace("..01}", "..02}"))


def test_a_signed_address(shelf):
    with web(shelf) as server:
        signed = f"http://127.0.0.1:{server.server_address[1]}/shards/a-00.zip?signature={'x' * 900}/*[y]"
        source = open_source(signed)
        assert source.size == 6
        assert "signature" not in source.name + source.name_of(0) + "".join(source.notes)
        with pytest.raises(InputError, match=r"/shards/none\.zip does not exist"):
            open_source(signed.replace("a-00", "none"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastfid.FastFIDWarning)
            result = fastfid.compare(signed, shelf / "shards" / "a-01.zip", model="inception-v3-random", dims=64)
        assert "signature" not in repr(result) + json.dumps(result.as_dict())


def test_a_server_without_ranges(shelf):
    with web(shelf, ranges=False) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/shards/a-00.zip"
        with pytest.raises(InputError, match=r"sends the whole file where a part is asked for: give simplecache::http"):
            open_source(address)
        assert open_source(f"simplecache::{address}").size == 6


def test_chains(folder, shelf, memory):
    upload(memory, shelf, "/shelf")
    upload(memory, folder, "/set")
    plain = seen(open_source(folder), folder)
    chained = open_source("zip://::memory://shelf/shards/a-00.zip")
    assert seen(chained, "")[1:] == plain[1:]
    assert chained.name_of(5) == "zip://z.jpg::memory://shelf/shards/a-00.zip"
    part = open_source("zip://a::memory://shelf/shards/a-00.zip")
    assert part.name_of(0) == "zip://a/0.png::memory://shelf/shards/a-00.zip"
    assert part.size == 3
    cached = open_source("simplecache::memory://set")
    assert seen(cached, "simplecache::memory://set") == plain
    assert seen(open_source(f"filecache::file://{folder}"), "")[3] == plain[3]


def test_a_file_system_that_no_two_threads_may_use(shelf):
    """Archives of fsspec read one open file; without a lock, threads would move it under each other."""
    source = open_source(f"tar://::file://{shelf}/shards/b-00.tar")
    expected = [item.decode().pixels for item in read_items(source)]
    items = [item for _ in range(40) for item in read_items(source)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda item: item.decode().pixels, items))
    finally:
        sys.setswitchinterval(interval)
    for index, pixels in enumerate(found):
        np.testing.assert_array_equal(pixels, expected[index % len(expected)])


def test_which_file_systems_several_threads_use_at_once(shelf):
    lock = type(threading.Lock())
    web_fs, _ = filesystem("http://127.0.0.1:1/a")
    cached, _ = filesystem("simplecache::http://127.0.0.1:1/a")  # two threads would write one file at once
    archive, _ = filesystem(f"zip://::{shelf}/shards/a-00.zip")
    assert [isinstance(turn(fs), lock) for fs in (web_fs, fsspec.filesystem("memory"))] == [False, False]
    assert [isinstance(turn(fs), lock) for fs in (cached, archive)] == [True, True]


def test_a_file_address_is_a_path(folder):
    source = open_source(f"file://{folder}")
    assert source.name == str(folder)
    assert seen(source, folder) == seen(open_source(folder), folder)
    assert open_source(f"file://{folder}/a/*.png").size == 1


def test_upaths(folder, memory):
    upload(memory, folder, "/set")
    plain = seen(open_source(folder), folder)
    assert seen(open_source(UPath("memory://set")), "memory://set")[1:] == plain[1:]
    assert seen(open_source(UPath(folder)), folder) == plain
    assert seen(open_source(UPath(f"file://{folder}")), folder)[1:] == plain[1:]
    assert open_source(UPath("memory://set") / "a" / "*.png").size == 1


def test_a_score_equals_that_of_the_folder(folder, memory):
    upload(memory, folder, "/set")
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    with pytest.warns(fastfid.FastFIDWarning):
        one, other = (fastfid.statistics(each, model=extractor, num_workers=3) for each in ("memory://set", folder))
    assert one.n == 6
    np.testing.assert_array_equal(one.sigma, other.sigma)


@pytest.mark.filterwarnings("ignore:.*no record of the model:fastfid.FastFIDWarning")
@pytest.mark.parametrize("name", ["a.npz", "b.pkl"])
def test_statistics_at_an_address(folder, memory, s3, tmp_path, name):  # noqa: F811
    rows = np.random.RandomState(0).randn(90, 8)
    kept = fastfid.Statistics(8).update(rows)
    if name == "a.npz":
        kept.save(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps({"mu": kept.mu, "sigma": kept.sigma}))
    (tmp_path / "shelf").mkdir()
    shutil.copy(tmp_path / name, tmp_path / "shelf" / name)
    memory.pipe_file(f"/{name}", (tmp_path / name).read_bytes())
    bucket = f"kept-{name[0]}"
    s3.fill(bucket, tmp_path / "shelf")
    other = fastfid.Statistics(8).update(rows + 1)
    score = fastfid.score(tmp_path / name, other)
    assert fastfid.score(f"memory://{name}", other) == score
    assert fastfid.score(f"s3://{bucket}/{name}", other, storage_options=s3.options) == score
    assert fastfid.score(UPath(f"memory://{name}"), other) == score
    assert fastfid.score(UPath(f"s3://{bucket}/{name}", **s3.options), other) == score
    with pytest.raises(InputError, match="FDr needs images on a side"):
        fastfid.fdr(f"s3://{bucket}/{name}", other, {"inception-v3-random": 1.0}, storage_options=s3.options)
    assert fastfid.Statistics.load(f"memory://{name}").n == fastfid.Statistics.load(tmp_path / name).n
    with pytest.raises(InputError, match=r"memory://none\.npz does not exist"):
        fastfid.score("memory://none.npz", other)


@pytest.mark.filterwarnings("ignore::fastfid.FastFIDWarning")
def test_statistics_and_images_at_a_signed_address(tmp_path):
    """What a file holds beside its statistics is found, too, although its address ends in the signature."""
    network = fastfid.Extractor("inception-v3-random", dims=64, batch_size=8, roles=("features", "spatial"))
    images = pictures(24, 32)
    made = fastfid.statistics(images[:12], model=network)
    np.savez(tmp_path / "adm.npz", mu=made.mu, sigma=made.sigma, arr_0=images[:12])
    options = {"model": network, "metrics": ("fid", "sfid")}
    save_fit(fastfid.fit(images[:12], **options), tmp_path / "sfid.npz")
    with web(tmp_path) as server:
        for name in ("adm.npz", "sfid.npz"):
            address = f"http://127.0.0.1:{server.server_address[1]}/{name}"
            expected = fastfid.compare(tmp_path / name, images[12:], **options).scores
            for given in (address, f"{address}?signature=x"):
                assert fastfid.compare(given, images[12:], **options).scores == expected
        np.savez(tmp_path / "bad.npz", mu=np.full(4, np.nan), sigma=np.eye(4))
        with pytest.raises(InputError, match=r"/bad\.npz: ") as caught:
            fastfid.score(f"{address.replace(name, 'bad.npz')}?signature=x", images[12:], model=network)
        assert "signature" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*no record of the model:fastfid.FastFIDWarning")
def test_features_at_an_address(memory, tmp_path):
    rows = np.random.RandomState(0).randn(90, 8)
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", rows)
    for name in ("rows.npy", "rows.npz"):
        memory.pipe_file(f"/{name}", (tmp_path / name).read_bytes())
        score = fastfid.score(rows, rows + 1, features=True)
        assert fastfid.score(f"memory://{name}", rows + 1, features=True) == score
        assert fastfid.score(UPath(f"memory://{name}"), rows + 1, features=True) == score


def test_another_process_reads_it(folder, s3):  # noqa: F811
    s3.fill("images", folder)
    source = open_source("s3://images", storage_options=s3.options)
    total = "sum(int(item.decode().pixels.sum()) for item in source.read(range(6)))"
    code = f"import pickle, sys; source = pickle.load(sys.stdin.buffer); print({total})"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(source), capture_output=True, check=True)
    assert int(done.stdout) == eval(total, {"source": source})


def test_keys(folder, memory, tmp_path):
    upload(memory, folder, "/set")
    for address in ("memory://set", shutil.copytree(folder, tmp_path / "set")):
        source = open_source(address)
        assert [source.key_of(index) for index in range(6)] == sorted(NAMES, key=lambda name: name.replace("/", "\0"))


@pytest.mark.parametrize("etags", [True, False])
def test_where_a_server_tells_no_changes_there_is_no_proof(folder, shelf, tmp_path, etags):
    """Its lists of folders tell none, not even sizes; a file may have a tag."""
    with web(folder) as server:
        source = open_source(f"http://127.0.0.1:{server.server_address[1]}/a")
        assert list(source.proofs(range(3))) == ["", "", ""]
    with web(folder, etags=etags) as server:
        (tmp_path / "a.txt").write_text(f"http://127.0.0.1:{server.server_address[1]}/top.png")
        assert any(open_source(tmp_path / "a.txt").proofs([0])) == etags
    with web(shelf, etags=etags) as server:
        for name in EVERY[:5]:
            source = open_source(f"http://127.0.0.1:{server.server_address[1]}/{name}")
            assert any(source.proofs([0], content=True)) == (etags and not name.endswith(".gz")), (
                name
            )  # a stream is not resumed


# --- what networks do


def hit(proxy, fault, *, ending=".png", times=1, method="GET"):
    """Let the first `times` requests for each file with this ending fail."""
    proxy.fault = lambda asked, path, number: (
        fault if asked == method and path.endswith(ending) and number < times else ""
    )


@pytest.mark.parametrize("fault", ["503", "cut", "reset", "short", "slow"])
def test_faults_that_pass_change_nothing(folder, shelf, s3, fault):  # noqa: F811
    s3.fill("images", folder)
    s3.fill("shelf", shelf)
    hit(s3.proxy, fault)
    found = open_source("s3://images", storage_options=s3.options)
    assert seen(found, "s3://images") == seen(open_source(folder), folder)
    for name in ("shards/a-00.zip", "shards/b-00.tar", "shards/c.tar.gz", "arrays/a.npy", "arrays/b.npz"):
        hit(s3.proxy, fault, ending=name, times=2)
        found = seen(open_source(f"s3://shelf/{name}", storage_options=s3.options), "s3://shelf")
        assert found == seen(open_source(shelf / name), shelf)


def test_statistics_are_bit_equal_whatever_happens(folder, shelf, s3):  # noqa: F811
    """Each file and each range meets several faults, of a random kind."""
    s3.fill("images", folder)
    s3.fill("shelf", shelf)
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    chance = random.Random(0)
    for ours, theirs in (("s3://images", folder), ("s3://shelf/shards/a-*.zip", shelf / "shards" / "a-*.zip")):
        happened = []

        def fault(method, path, number, happened=happened):
            kinds = ["503", "cut", "reset", "short", "slow"] if method == "GET" else ["503", "reset"]
            kind = chance.choice(kinds) if path.count("/") > 1 and number % 4 < 3 else ""
            happened.append(kind)
            return kind

        s3.proxy.fault = fault
        with pytest.warns(fastfid.FastFIDWarning):
            one = fastfid.statistics(ours, model=extractor, num_workers=4, storage_options=s3.options)
        with pytest.warns(fastfid.FastFIDWarning):
            other = fastfid.statistics(theirs, model=extractor, num_workers=4)
        assert sum(map(bool, happened)) >= 6
        assert one.n == other.n
        np.testing.assert_array_equal(one.mu, other.mu)
        np.testing.assert_array_equal(one.sigma, other.sigma)


@pytest.mark.parametrize("fault", ["503", "reset"])
def test_faults_of_listings_that_pass(folder, s3, fault):  # noqa: F811
    s3.fill("images", folder)
    hit(s3.proxy, fault, ending="/images", times=2)
    assert open_source("s3://images", storage_options=s3.options).size == 6
    hit(s3.proxy, fault, ending="/top.png", times=1, method="HEAD")
    fs, path = filesystem("s3://images/top.png", s3.options)
    assert Remote(fs, "s3://images/top.png", path).state().size


@pytest.mark.parametrize("fault", ["503", "cut", "reset", "short"])
def test_faults_that_do_not_pass_end_the_run(folder, s3, fault, monkeypatch):  # noqa: F811
    monkeypatch.setattr(retries, "MOST_TRIES", 3)
    s3.fill("images", folder)
    source = open_source("s3://images", storage_options=s3.options)
    hit(s3.proxy, fault, ending="/0.png", times=10**9)
    item = next(source.read([0]))
    with pytest.raises(InputError, match=r"cannot read s3://images/a/0\.png, tried 3 times in \d+ seconds: ") as caught:
        item.load()
    assert not isinstance(caught.value, ImageError)  # on_error="skip" must not leave out what a server does not give
    asked = [path for method, path in s3.proxy.requests if method == "GET" and path == "/images/a/0.png"]
    assert len(asked) == (6 if fault == "reset" else 3)  # aiohttp itself asks again where a connection was kept open


def test_an_object_that_is_gone(folder, s3):  # noqa: F811
    s3.fill("images", folder)
    source = open_source("s3://images", storage_options=s3.options)
    s3.proxy.fault = lambda method, path, number: "404" if path.endswith("/top.png") else ""
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastfid.FastFIDWarning)
        with pytest.raises(ImageError, match=r"cannot decode s3://images/top\.png: "):
            fastfid.statistics(source, model=extractor)
        result = fastfid.statistics(source, model=extractor, on_error="skip")
    assert result.n == 5  # as with a file that is gone
    assert s3.proxy.requests.count(("GET", "/images/top.png")) <= 4  # not tried again: a look and a run each


@pytest.mark.parametrize("same_size", [True, False])
def test_an_object_that_is_replaced(folder, s3, memory, same_size):  # noqa: F811
    bucket = f"replaced-{same_size}".lower()
    s3.fill(bucket, folder)
    upload(memory, folder, f"/{bucket}")
    data = (folder / "top.png").read_bytes()
    other = bytearray(data if same_size else data + b"more")
    other[50] ^= 255
    for fs, address, options in ((s3.plain, f"s3://{bucket}", s3.options), (memory, f"memory://{bucket}", None)):
        source = open_source(address, storage_options=options)
        fs.pipe_file(f"{'/' if fs is memory else ''}{bucket}/top.png", bytes(other))
        item = next(source.read([4]))
        assert item.name == f"{address}/top.png"
        with pytest.raises(InputError, match=r"top\.png has changed since it was listed: start again") as caught:
            item.load()
        assert not isinstance(caught.value, ImageError)


@pytest.mark.parametrize("name", EVERY[:-1])
def test_an_archive_that_is_replaced(shelf, s3, name):  # noqa: F811
    bucket = "changing-" + name.translate({47: 45, 46: 45})
    s3.fill(bucket, shelf)
    source = open_source(f"s3://{bucket}/{name}", storage_options=s3.options)
    data = bytearray((shelf / name).read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    s3.plain.pipe_file(f"{bucket}/{name}", bytes(data))
    with pytest.raises(InputError, match="has changed since it was opened: start again") as caught:
        [item.load() for item in list(read_items(source))]
    assert not isinstance(caught.value, ImageError)


def test_a_listing_is_made_anew(folder, s3):  # noqa: F811
    s3.fill("growing", folder)
    assert open_source("s3://growing", storage_options=s3.options).size == 6
    s3.plain.pipe_file("growing/new.png", (folder / "top.png").read_bytes())
    assert open_source("s3://growing", storage_options=s3.options).size == 7


def test_how_many_requests_there_are(folder, shelf, s3):  # noqa: F811
    """S3 lists the MD5, so that nothing more has to be asked, and members of zips have checksums."""
    s3.fill("images", folder)
    s3.fill("shelf", shelf)
    for address, expected in (("images", ["GET"] * 6), ("shelf/shards/a-00.zip", ["GET"])):
        source = open_source(f"s3://{address}", storage_options=s3.options)
        s3.proxy.requests.clear()
        for item in read_items(source):
            item.load()
        assert [method for method, _ in s3.proxy.requests] == expected
    source = open_source("s3://shelf/shards/b-00.tar", storage_options=s3.options)
    s3.proxy.requests.clear()
    for item in read_items(source):
        item.load()
    methods = [method for method, _ in s3.proxy.requests]
    assert methods == ["GET", "HEAD"] * (len(methods) // 2)  # whether it has changed
    assert len(methods) <= 6


def test_a_zip_is_listed_by_its_end(tmp_path, memory, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(10):
            archive.writestr(f"{number}.png", os.urandom(1 << 20))
    memory.pipe_file("/a.zip", (tmp_path / "a.zip").read_bytes())
    fetched = []
    plain = Remote.fetch

    def fetch(self, name, start, end):
        fetched.append(end - start)
        return plain(self, name, start, end)

    monkeypatch.setattr(Remote, "fetch", fetch)
    assert open_source("memory://a.zip").size == 10
    assert sum(fetched) < 1 << 18


@pytest.fixture
def flaky(shelf, monkeypatch):
    """A web server, of which the first three requests for each path are answered 503; its proxy and its address."""
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retries, "MOST_TRIES", 3)
    with web(shelf) as server:
        proxy = Proxy(server.server_address[1])
        with serving(proxy.handler()) as front:
            proxy.fault = lambda method, path, number: "503" if number < 2 else ""
            yield proxy, f"http://127.0.0.1:{front.server_address[1]}"


@pytest.mark.parametrize("name", [*EVERY, "npys/", "shards/b-{00..01}.tar"])
def test_a_busy_web_server_is_asked_again(shelf, flaky, name):
    """fsspec's file system of the web says that a file is missing whatever has happened."""
    assert seen(open_source(f"{flaky[1]}/{name}"), "")[3] == seen(open_source(f"{shelf}/{name}"), "")[3]


@pytest.mark.filterwarnings("ignore:.*no record of the model:fastfid.FastFIDWarning")
def test_a_busy_web_server_does_not_turn_statistics_into_images(shelf, flaky):
    proxy, address = flaky
    kept = fastfid.Statistics(8).update(np.random.RandomState(0).randn(90, 8))
    np.savez(shelf / "adm.npz", mu=kept.mu, sigma=kept.sigma, arr_0=pictures(7, 32))
    assert fastfid.score(f"{address}/adm.npz", kept) == pytest.approx(0, abs=1e-9)
    proxy.fault = lambda *_: "503"
    with pytest.raises(InputError, match=r"adm\.npz, tried 3 times in \d+ seconds: 503"):
        fastfid.score(f"{address}/adm.npz", kept)


def test_what_a_web_server_refuses_is_not_called_missing(flaky):
    proxy, address = flaky
    for name in ("shards/a-00.zip", "arrays/", "shards/b-{00..01}.tar"):
        proxy.fault = lambda *_: "403"
        with pytest.raises(InputError, match="403, message='Forbidden'"):
            open_source(f"{address}/{name}")
        proxy.fault = lambda *_: "404"
        with pytest.raises(InputError, match="does not exist|nothing matches 2 of the 2"):
            open_source(f"{address}/{name}")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9/a\.zip, tried 3 times in \d+ seconds: Connect"):
        open_source("http://127.0.0.1:9/a.zip")
    with pytest.raises(InputError, match=r"cannot open http.*unexpected keyword argument 'nonsense'"):
        open_source(f"{address}/shards/a-00.zip", storage_options={"nonsense": 1})


# --- bad input


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://none", "memory://none does not exist: give a folder of images, a .zip or .tar .* list of paths"),
        ("memory://set/one.png", "memory://set/one.png is a single image"),
        ("memory://set/one.pkl", "memory://set/one.pkl is a pickle"),
        ("memory://set/one.rar", "is an archive of a kind that cannot be read"),
        ("memory://set/one.what", "memory://set/one.what is of an unknown type"),
        ("memory://set/text", "no images in memory://set/text and its subfolders: looked for files ending in"),
        ("memory://set/one.zip", "cannot read the archive memory://set/one.zip: it is not a zip file"),
        ("memory://set/one.tar.gz", "cannot read the archive memory://set/one.tar.gz: it is not packed"),
        ("memory://set/one.npy", "cannot read memory://set/one.npy: "),
        ("memory://set/*.gif", r"nothing matches the pattern memory://set/\*.gif"),
        ("nowhere://a", "cannot open nowhere://a: Protocol not known: nowhere"),
    ],
)
def test_what_is_no_set_of_images(memory, address, message):
    for name in ("one.png", "one.pkl", "one.rar", "one.what", "text/a.txt", "one.zip", "one.tar.gz", "one.npy"):
        memory.pipe_file(f"/set/{name}", b"something")
    with pytest.raises(InputError, match=message):
        open_source(address)


def test_a_bucket_that_is_not_there(s3):  # noqa: F811
    with pytest.raises(InputError, match="s3://no-such-bucket/a does not exist"):
        open_source("s3://no-such-bucket/a", storage_options=s3.options)


def test_a_bucket_that_needs_credentials(s3, folder, monkeypatch):  # noqa: F811
    s3.fill("images", folder)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    options = {key: value for key, value in s3.options.items() if key not in ("key", "secret")}
    with pytest.raises(InputError, match=r"s3://images: .*credentials.*storage_options, or give \{'anon': True\}"):
        open_source("s3://images", storage_options=options)


def test_objects_that_may_be_listed_and_not_read(s3, folder):  # noqa: F811
    s3.fill("images", folder)
    options = {key: value for key, value in s3.options.items() if key not in ("key", "secret")} | {"anon": True}
    item = next(open_source("s3://images", storage_options=options).read([0]))
    with pytest.raises(InputError, match=r"cannot read s3://images/a/0\.png: Forbidden; say who you are by") as caught:
        item.load()
    assert not isinstance(caught.value, ImageError)  # on_error="skip" would skip all


def test_packages_that_are_missing(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "fsspec.core", None)
        with pytest.raises(InputError, match=r"s3://a is an address, which needs the package fsspec: pip install"):
            open_source("s3://a")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"cannot open gs://a: Please install gcsfs"):
        open_source("gs://a")


def test_a_folder_below_itself(memory, monkeypatch):
    memory.pipe_file("/deep/" + "a/" * 120 + "b.png", b"x")
    with pytest.raises(InputError, match=r"is below 100 folders, and perhaps below itself"):
        open_source("memory://deep")


def test_markers_of_folders_are_no_files(s3, folder):  # noqa: F811
    s3.fill("markers", folder)
    s3.plain.call_s3("put_object", Bucket="markers", Key="a/", Body=b"")
    s3.plain.call_s3("put_object", Bucket="markers", Key="empty.png/", Body=b"")
    assert open_source("s3://markers", storage_options=s3.options).size == 6


# --- the parts


def test_addresses():
    for text in ("s3://a", "S3://a", "zip::/a.zip", "simplecache::s3://a", "hf://datasets/a", "a+b://c"):
        assert is_address(text)
    for text in ("a/b", "/a", "C:\\a", "C:/a", "C://a", "a::b.png", "://a", "a b://c", ""):
        assert not is_address(text)


def test_a_file_with_the_name_of_an_address(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "s3:" / "bucket")
    assert open_source("s3://bucket").size == 6


class Status(Exception):
    def __init__(self, status):
        self.status = status


def cause_of(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("problem", "passes"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (Status(503), True),
        (Status(429), True),
        (Status(500), True),
        (Status(501), False),
        (Status(403), False),
        (Status(404), False),
        (cause_of(OSError(5, "?"), Status(503)), True),
        (cause_of(OSError(5, "?"), Status(403)), False),
        (type("EndpointConnectionError", (type("ConnectionError", (Exception,), {}),), {})(), True),
        (type("ClientPayloadError", (Exception,), {})(), True),
        (cause_of(OSError(5, "?"), type("ClientPayloadError", (Exception,), {})()), True),
        (type("ClientConnectorCertificateError", (ConnectionError,), {})(), False),
        (retries.ShortRead(), True),
        (FileNotFoundError(), False),
        (cause_of(FileNotFoundError(), Status(404)), False),
        (cause_of(FileNotFoundError(), KeyError()), False),
        (cause_of(FileNotFoundError(), TypeError()), False),
        (cause_of(FileNotFoundError(), Status(503)), True),
        (cause_of(FileNotFoundError(), cause_of(FileNotFoundError(), TimeoutError())), True),
        (PermissionError(), False),
        (NotImplementedError(), False),
        (ValueError(), False),
        (OSError(5, "Input/output error"), False),
    ],
)
def test_which_failures_may_pass(problem, passes):
    assert retries.may_pass(problem) is passes


def test_waits_grow_and_end(monkeypatch):
    waits, clock = [], [0.0]

    def sleep(seconds):
        waits.append(seconds)
        clock[0] += seconds

    def fail():
        raise TimeoutError("no answer")

    monkeypatch.setattr(retries.time, "sleep", sleep)
    monkeypatch.setattr(retries.time, "monotonic", lambda: clock[0])
    with pytest.raises(InputError, match=r"^cannot read it, tried 6 times in \d+ seconds: no answer$"):
        retried(fail, "cannot read it")
    assert len(waits) == 5
    assert all(0.25 * 2**k <= wait <= 0.5 * 2**k for k, wait in enumerate(waits))

    def slow():
        clock[0] += 70
        raise TimeoutError

    with pytest.raises(InputError, match="tried 2 times in 14"):
        retried(slow, "cannot read it")
    answers = iter([TimeoutError(), ConnectionError(), 7])

    def later():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retried(later, "") == 7


def test_ctrl_c_while_waiting(tmp_path):
    code = """
        import signal, threading, time
        from fastfid.files.retries import retried
        def fail():
            raise TimeoutError
        threading.Timer(0.6, signal.raise_signal, [signal.SIGINT]).start()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        begin = time.monotonic()
        try:
            retried(fail, "")
        except KeyboardInterrupt:
            print(time.monotonic() - begin)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=True, text=True)
    assert float(done.stdout) < 2


def test_a_range_file_is_a_file(memory):
    content = np.random.RandomState(0).bytes(300_000)
    memory.pipe_file("/a", content)
    remote = Remote(memory, "memory://a", "/a")
    rng = np.random.RandomState(1)
    for first in (1, 100, 1 << 16):
        file, twin = RangeFile(remote, first=first), io.BytesIO(content)
        for _ in range(300):
            if rng.rand() < 0.5:
                place = int(rng.randint(0, 310_000))
                assert file.seek(place) == twin.seek(place)
            size = int(rng.choice([1, 30, 512, 5000, 100_000]))
            assert file.read(size) == twin.read(size)
            assert file.tell() == twin.tell()
        file.seek(-10, io.SEEK_END)
        assert file.read() == content[-10:]
        assert file.read(5) == b""
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)
        buffer = bytearray(7)
        file.seek(3)
        assert file.readinto(buffer) == 7
        assert buffer == content[3:10]


class Counted(Remote):
    """Counts the ranges of bytes 0, 1, 2, ... that are fetched, slowly."""

    fetched: list
    fail: bool

    def fetch(self, name, start, end):
        self.fetched.append((start, end))
        time.sleep(0.002)
        if self.fail:
            raise InputError("no answer")
        return np.arange(start, end, dtype=np.int64).astype(np.uint8).tobytes()


def counted():
    remote = Counted(None, "memory://a", "/a")
    object.__setattr__(remote, "fetched", [])
    object.__setattr__(remote, "fail", False)
    return remote


def test_threads_share_what_they_fetch():
    remote = counted()
    shared = windows.Windows(remote, "", 30_000_000)

    def read(start):
        with RangeFile(remote, size=shared.size, first=1000, windows=shared) as file:
            file.seek(start)
            return file.read(1000)

    places = range(0, 10_000_000, 1000)
    with ThreadPoolExecutor(16) as pool:
        for start, data in zip(places, pool.map(read, places), strict=True):
            assert data == np.arange(start, start + 1000).astype(np.uint8).tobytes()
    assert len(remote.fetched) < 60
    assert sum(end - start for start, end in remote.fetched) < 25_000_000
    remote.fetched.clear()
    far_apart = range(0, 30_000_000, 1_000_000)
    assert all(len(read(start)) == 1000 for start in far_apart)
    assert sum(end - start for start, end in remote.fetched) <= len(far_apart) << 14  # next to nothing is read in vain


def test_a_range_that_fails_is_fetched_again():
    remote = counted()
    shared = windows.Windows(remote, "", 10_000)
    object.__setattr__(remote, "fail", True)
    with ThreadPoolExecutor(4) as pool:
        failed = [future.exception() for future in [pool.submit(shared.read, 0, 10, 100) for _ in range(8)]]
    assert all(isinstance(error, InputError) for error in failed)
    object.__setattr__(remote, "fail", False)
    assert shared.read(0, 3, 100) == b"\0\1\2"


def test_ranges_of_few_files_are_kept():
    many = [windows.Windows(counted(), str(number), 100) for number in range(20)]
    for each in many:
        windows.keep(each)
        each.read(0, 10, 100)
    assert sum(bool(each._kept) for each in many) == 4
    assert all(each.read(0, 2, 100) == b"\0\1" for each in many)


def test_stamps():
    md5 = "0123456789abcdef0123456789abcdef"
    assert state_of_info({"size": 3, "ETag": f'"{md5}"', "mtime": 5}) == State(3, f'ETag "{md5}"')
    assert packed(State(3, f'ETag "{md5}"')) == bytes.fromhex(md5)
    assert packed(State(3, "md5Hash ASNFZ4mrze8BI0VniavN7w==")) == bytes.fromhex(md5)
    assert packed(State(3, 'ETag "0123-4"')) != packed(State(3, 'ETag "0123-5"'))
    assert state_of_info({"size": None}) == State(None, "")


def test_hashes_that_the_hub_of_hugging_face_lists(folder, memory, monkeypatch):
    """SHA-256 of large files, git's of others: no image needs another request."""

    class Hub(MemoryFileSystem):
        protocol = "hf"

        def _known(self, info):
            if info["type"] == "file":
                data = self.store[info["name"]].getvalue()
                git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                large = len(data) % 2
                lfs = SimpleNamespace(sha256=hashlib.sha256(data).hexdigest()) if large else None
                return {"name": info["name"], "type": "file", "size": len(data), "blob_id": git, "lfs": lfs}
            return info

        def ls(self, path, detail=True, **_):
            return [self._known(info) for info in super().ls(path, detail=True)]

        def info(self, path, **_):
            asked.append(path)
            return self._known(super().info(path))

        def cat_file(self, path, start=None, end=None, *, cache_type):
            assert cache_type == "none"
            return super().cat_file(path, start, end)

    asked = []
    upload(memory, folder, "/set")
    source = open_source(UPathLike(Hub(), "hf://set", "/set"))
    asked.clear()
    assert seen(source, "hf://set") == seen(open_source(folder), folder)
    assert asked == []
    memory.pipe_file("/set/top.png", (folder / "a" / "0.png").read_bytes())
    with pytest.raises(InputError, match="has changed since it was listed"):
        [item.load() for item in read_items(source)]


class UPathLike:
    protocol, storage_options = "hf", {}

    def __init__(self, fs, address, path):
        self.fs, self.address, self.path = fs, address, path

    def __str__(self):
        return self.address


def test_memory_for_a_million_names(monkeypatch):
    """A million names may take 300 MB; here a fiftieth of them is listed."""

    class Listed(fsspec.AbstractFileSystem):
        protocol = "listed"

        def ls(self, path, detail=True, **_):
            if path == "/set":
                return [{"name": f"/set/{k:03}", "size": 0, "type": "directory"} for k in range(20)]
            return [
                {"name": f"{path}/image_{k:06}.png", "size": k, "type": "file", "ETag": f'"{k:032x}"'}
                for k in range(1000)
            ]

        def info(self, path, **_):
            return {"name": path, "size": 0, "type": "directory"}

    gc.collect()
    tracemalloc.start()
    try:
        fsspec.register_implementation("listed", Listed, clobber=True)
        source = open_source("listed:///set")
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert source.size == 20_000
    assert peak < 6 << 20
    assert kept < 5 << 20


def test_places_can_be_pickled(memory):
    memory.pipe_file("/a.png", b"x")
    place = pickle.loads(pickle.dumps(Far(Remote(memory, "memory://a.png", "/a.png"))))
    assert (str(place), place.tail, place.read(9)) == ("memory://a.png", "a.png", b"x")


def test_threads_that_wait_are_left_alone():
    from fastfid.files.parallel import in_threads

    running, most, lock = 0, 0, threading.Lock()

    def work(value):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if value == 13:
            raise KeyError(value)
        with lock:
            running -= 1
        return value * 2

    assert in_threads(work, range(12), 4) == [value * 2 for value in range(12)]
    assert most <= 4
    with pytest.raises(KeyError):
        in_threads(work, range(100), 4)

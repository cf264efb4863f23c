"""Where weights are searched for, and downloads that succeed or fail; the server is local."""

import contextlib
import dataclasses
import hashlib
import http.server
import re
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from fastfid import networks
from fastfid.errors import ModelError
from fastfid.networks import cache, registry
from fastfid.networks import download as downloads

BODY = bytes(range(256)) * 4000
OFFICIAL = registry.entry("inception-v3")
OURS, FIDELITYS = OFFICIAL.file_names
PART = f".{OURS}.part"
KERAS = registry.entry("inception-v3-keras")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        self.server.ranges.append(self.headers["Range"])
        if self.path == "/missing":
            self.send_error(404)
            return
        body = {"/wrong": BODY[::-1], "/long": BODY + b"x" * 10_000_000, "/brief": BODY[:5000]}.get(self.path, BODY)
        start = self.start(len(body))
        if start is None:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        # "/short" and "/cut" promise more than they send, "/brief" is honest about sending less.
        size = {"/short": 5000, "/cut": 300_000}.get(self.path, len(body))
        with contextlib.suppress(OSError):  # the client may leave early
            for at in range(start, min(start + size, len(body)), 50_000):
                self.wfile.write(body[at : min(at + 50_000, start + size)])
                if self.path == "/slow":
                    self.server.gate.wait(60)

    def start(self, size):
        """Where an answer starts: "/good", "/cut" and "/slow" know ranges, as the usual servers do."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if self.path == "/416":
            return None if asked else 0
        if self.path == "/elsewhere":
            return 7 if asked else 0
        return int(asked[1]) if asked and self.path in ("/good", "/cut", "/slow", "/" + OURS) else 0

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.requests, httpd.ranges, httpd.gate = [], [], threading.Event()
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield httpd
        httpd.shutdown()


@pytest.fixture
def place(monkeypatch, tmp_path, server):
    """Point an entry of the registry at a path of the server, and all caches at empty folders."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "ours"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("FASTFID_MIRROR", raising=False)
    server.requests.clear()
    server.ranges.clear()

    def point(path, port=server.server_address[1], entry=OFFICIAL):
        kind = "sha256" if entry.sha256 else "md5"  # as published
        changed = {
            "url": f"http://127.0.0.1:{port}{path}",
            "size": len(BODY),
            kind: hashlib.new(kind, BODY).hexdigest(),
        }
        monkeypatch.setitem(registry.REGISTRY, entry.name, dataclasses.replace(entry, **changed))
        return tmp_path / "ours" / entry.file_names[0]

    return point


def put(folder, name, data=BODY):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def test_download_then_cache(place, server, capsys):
    target = place("/good")
    assert networks.find("inception-v3") is None
    assert networks.fetch("inception-v3") == target
    assert target.read_bytes() == BODY
    assert [p.name for p in target.parent.iterdir()] == [OURS]
    assert networks.fetch("inception-v3") == networks.find("inception-v3") == target
    assert server.requests == ["/good"]
    assert capsys.readouterr() == ("", "")


def test_keras_weights_are_checked_by_their_md5(place, server, tmp_path):
    target = place("/wrong", entry=KERAS)
    with pytest.raises(ModelError, match=r"has the MD5 [0-9a-f]{32} instead of [0-9a-f]{32}.*Three ways out") as caught:
        networks.fetch(KERAS.name)
    assert f"Keras' cache, {tmp_path / 'keras' / 'models'}" in str(caught.value)
    assert list(target.parent.iterdir()) == []
    place("/good", entry=KERAS)
    assert networks.fetch(KERAS.name) == target
    assert target.read_bytes() == BODY
    target.write_bytes(BODY[:-1])
    with pytest.raises(ModelError, match=rf"its MD5 is {hashlib.md5(BODY[:-1]).hexdigest()} .*Delete"):
        networks.fetch(KERAS.name)


def test_keras_own_cache(place, server, tmp_path):
    place("/good", entry=KERAS)
    path = put(tmp_path / "keras" / "models", KERAS.file_names[0])
    assert networks.find(KERAS.name) == networks.fetch(KERAS.name) == path
    assert server.requests == []


def test_progress_goes_to_stderr(place, capsys):
    place("/good")
    networks.fetch("inception-v3", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "inception-v3" in err
    assert "100%" in err


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/wrong", "has the SHA-256"),
        ("/brief", "sent 5,000 bytes instead of 1,024,000"),
        ("/short", "sent 5,000 bytes instead of 1,024,000"),
        ("/long", "sent at least 1,024,001 bytes"),
        ("/missing", "answered 404"),
    ],
)
def test_bad_downloads_leave_nothing_damaged_and_say_the_ways_out(place, tmp_path, path, said):
    target = place(path)
    with pytest.raises(ModelError, match=said) as caught:
        networks.fetch("inception-v3")
    for way in (registry.entry("inception-v3").url, str(target), "--model PATH", "model=PATH", "hub", "checkpoints"):
        assert way in str(caught.value)
    # What may be the beginning of the file is kept, and nothing else.
    kept = {PART: BODY[:5000]} if path in ("/brief", "/short") else {}
    assert {file.name: file.read_bytes() for file in target.parent.iterdir()} == kept


def test_connection_refused(place):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_address[1]
    target = place("/good", port)
    with pytest.raises(ModelError, match=r"could not be downloaded: .*Three ways out"):
        networks.load("inception-v3", dims=64)
    assert list(target.parent.iterdir()) == []


def test_a_download_that_was_interrupted_goes_on(place, server, monkeypatch):
    target = place("/good")

    @contextlib.contextmanager
    def interrupting(*_):
        def show(size):
            if size > 300_000:
                raise KeyboardInterrupt

        yield show

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_bar", interrupting)
        with pytest.raises(KeyboardInterrupt):
            networks.fetch("inception-v3")
    (part,) = target.parent.iterdir()
    size = part.stat().st_size
    assert (part.name, part.read_bytes()) == (PART, BODY[:size])
    assert networks.fetch("inception-v3") == target
    assert server.ranges == [None, f"bytes={size}-"]
    assert (target.read_bytes(), list(target.parent.iterdir())) == (BODY, [target])


def test_a_connection_that_is_cut_again_and_again(place, server, capsys):
    target = place("/cut")
    for size in (300_000, 600_000, 900_000):
        with pytest.raises(ModelError, match=rf"sent {size:,} bytes instead of 1,024,000; they are kept, and the next"):
            networks.fetch("inception-v3")
    assert networks.fetch("inception-v3", progress=True) == target
    assert target.read_bytes() == BODY
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert "100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "kept", "requests"),
    [
        ("/plain", BODY[:5000], 1),  # a server without ranges sends the whole
        ("/416", BODY[:5000], 2),
        ("/elsewhere", BODY[:5000], 2),  # a range that was not asked for
        ("/good", b"x" * 5000, 2),  # what was kept is damaged
        ("/good", BODY[:-1] + b"x", 1),
        ("/good", BODY + b"x" * 10, 1),
        ("/good", BODY, 0),  # killed before the last step
    ],
)
def test_whatever_was_kept_the_file_is_right(place, server, path, kept, requests):
    target = place(path)
    put(target.parent, PART, kept)
    assert networks.fetch("inception-v3") == target
    assert (target.read_bytes(), list(target.parent.iterdir())) == (BODY, [target])
    assert len(server.requests) == requests


def test_a_wrong_file_is_not_kept_however_it_came(place):
    target = place("/wrong")
    put(target.parent, PART, BODY[:5000])
    for _ in range(2):
        with pytest.raises(ModelError, match="has the SHA-256"):
            networks.fetch("inception-v3")
        assert list(target.parent.iterdir()) == []


FETCH = """
    import dataclasses, logging, sys
    from fastfid import networks
    from fastfid.networks import registry
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    url, size, digest = sys.argv[1:]
    entry = registry.entry("inception-v3")
    registry.REGISTRY[entry.name] = dataclasses.replace(entry, url=url, size=int(size), sha256=digest)
    print(networks.fetch(entry.name))
"""


@pytest.fixture
def fetching(server):
    """Start processes that download: the first has begun, the others wait for it."""
    processes = []
    server.gate.clear()

    def start():
        entry = registry.entry("inception-v3")
        command = [sys.executable, "-c", textwrap.dedent(FETCH), entry.url, str(entry.size), entry.sha256]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        if len(processes) > 1:
            assert processes[-1].stderr.readline() == "waiting for another download of inception-v3 to end\n"
        while not server.requests:
            time.sleep(0.01)
        return processes[-1]

    yield start
    server.gate.set()
    for process in processes:
        process.kill()
        process.communicate()


def test_many_processes_download_once(place, server, fetching):
    target = place("/slow")
    processes = [fetching() for _ in range(6)]
    server.gate.set()
    assert [process.communicate(timeout=60)[0] for process in processes] == [f"{target}\n"] * 6
    assert server.requests == ["/slow"]
    assert list(target.parent.iterdir()) == [target]


def test_who_waited_for_a_process_that_was_killed_goes_on(place, server, fetching):
    target = place("/slow")
    first, second = fetching(), fetching()
    first.kill()
    server.gate.set()
    assert second.communicate(timeout=60)[0] == f"{target}\n"
    assert (target.read_bytes(), list(target.parent.iterdir())) == (BODY, [target])
    assert len(server.requests) == 2


def test_a_mirror(place, server, monkeypatch, tmp_path):
    target = place("/missing")
    monkeypatch.setenv("FASTFID_MIRROR", f"http://127.0.0.1:{server.server_address[1]}/")
    assert networks.fetch("inception-v3") == target
    assert server.requests == ["/" + OURS]
    target.unlink()
    put(tmp_path / "mirror", OURS)
    monkeypatch.setenv("FASTFID_MIRROR", (tmp_path / "mirror").as_uri())
    assert networks.fetch("inception-v3") == target
    for mirror, said in (((tmp_path / "nowhere").as_uri(), "No such file"), ("no URL", "unknown url type")):
        target.unlink(missing_ok=True)
        monkeypatch.setenv("FASTFID_MIRROR", mirror)
        with pytest.raises(ModelError, match=rf"{said}.* \(FASTFID_MIRROR: {mirror}/{OURS}\)\. Three ways out"):
            networks.fetch("inception-v3")
    put(tmp_path / "mirror", OURS, BODY[::-1])
    monkeypatch.setenv("FASTFID_MIRROR", (tmp_path / "mirror").as_uri())
    with pytest.raises(ModelError, match="has the SHA-256"):
        networks.fetch("inception-v3")


def test_folders_that_cannot_be_searched_hold_nothing(place, monkeypatch):
    place("/good")
    for variable in ("FASTFID_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, "/" + "a" * 5000)
    assert networks.find("inception-v3") is None
    with pytest.raises(ModelError, match=r"File name too long.*Three ways out"):
        networks.fetch("inception-v3")


def test_cache_folder_that_cannot_be_made(place, tmp_path, monkeypatch):
    place("/good")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(ModelError, match="Three ways out"):
        networks.fetch("inception-v3")


@pytest.mark.parametrize("name", [OURS, FIDELITYS])
def test_hub_cache_under_both_names(place, server, tmp_path, name):
    place("/good")
    path = put(tmp_path / "torch" / "hub" / "checkpoints", name)
    assert networks.find("inception-v3") == path
    assert networks.fetch("inception-v3") == path
    assert server.requests == []


def test_our_cache_comes_before_the_hub(place, tmp_path):
    target = place("/good")
    put(tmp_path / "torch" / "hub" / "checkpoints", OURS)
    path = put(target.parent, OURS)
    assert networks.find("inception-v3") == path


def test_default_folders(monkeypatch, tmp_path):
    for variable in ("FASTFID_HOME", "TORCH_HOME", "KERAS_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "fastfid"
    assert cache.hub_folder() == tmp_path / ".cache" / "torch" / "hub" / "checkpoints"
    assert cache.keras_folder() == tmp_path / ".keras" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache.cache_folder() == tmp_path / "x" / "fastfid"
    assert cache.hub_folder() == tmp_path / "x" / "torch" / "hub" / "checkpoints"
    monkeypatch.setenv("FASTFID_HOME", "~/f")
    monkeypatch.setenv("TORCH_HOME", "~/t")
    monkeypatch.setenv("KERAS_HOME", "~/k")
    assert cache.cache_folder() == tmp_path / "f"
    assert cache.hub_folder() == tmp_path / "t" / "hub" / "checkpoints"
    assert cache.keras_folder() == tmp_path / "k" / "models"


@pytest.mark.parametrize("hub", [False, True])
@pytest.mark.parametrize("use", [networks.fetch, lambda name: networks.load(name, dims=64)])
def test_a_cached_file_with_a_wrong_hash(place, server, tmp_path, hub, use):
    target = place("/good")
    path = put(tmp_path / "torch" / "hub" / "checkpoints" if hub else target.parent, OURS, BODY[:-1])
    with pytest.raises(ModelError) as caught:
        use("inception-v3")
    for part in (str(path), hashlib.sha256(BODY[:-1]).hexdigest(), hashlib.sha256(BODY).hexdigest(), "Delete"):
        assert part in str(caught.value)
    assert server.requests == []
    assert path.exists()


def test_names_and_table(place, tmp_path):
    target = place("/good")
    assert networks.names() == ("inception-v3", "inception-v3-keras", "inception-v3-random")
    rows = {row.name: row for row in networks.table()}
    assert rows["inception-v3"].where is None
    assert rows["inception-v3-random"].where == "built in"
    assert rows["inception-v3-keras"][1:3] == (f"MD5 {KERAS.md5}", None)
    for name in ("inception-v3-keras", "inception-v3-random"):
        assert "not comparable" in rows[name].note
    put(target.parent, OURS)
    assert networks.table()[0].where == str(target)


def test_built_in_and_unknown_names_have_no_file():
    assert networks.find("inception-v3-random") is None
    with pytest.raises(ModelError, match="built in"):
        networks.fetch("inception-v3-random")
    for use in (networks.find, networks.fetch):
        with pytest.raises(ModelError, match="'resnet'; the registry has inception-v3, inception-v3-keras, incep"):
            use("resnet")


def test_the_registry_is_what_was_published():
    assert (OFFICIAL.size, OFFICIAL.sha256[:8], OURS[-12:-4]) == (95_628_359, "6726825d", "6726825d")
    assert OFFICIAL.url.startswith("https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/")
    assert OFFICIAL.url.endswith("/" + OURS)
    assert (KERAS.size, KERAS.md5, KERAS.sha256) == (87_910_968, "bcbd6486424b2319ff4ef7d526e38f63", None)
    assert KERAS.url.startswith("https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/")
    assert KERAS.url.endswith("/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5")
    assert KERAS.url.endswith("/" + KERAS.file_names[0])

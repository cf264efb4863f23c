"""A server of S3 and one of HTTP on this machine, and a proxy in front of the first that does what networks do."""

import http.client
import http.server
import logging
import socket
import struct
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
GONE = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        """Say nothing of connections that the other side has closed."""


@contextmanager
def serving(handler):
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body, *, length=None):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Proxy:
    """In front of another server. `fault` is asked about each request, and names what goes wrong, or nothing.

    Faults: "503", "404", "403"; "cut" and "reset", where the connection ends in the middle of a body or before the
    answer; "short", a body of half the length that says so; "slow", a body in pieces.
    """

    def __init__(self, port):
        self.target, self.requests = port, []
        self.fault = lambda method, path, number: ""
        self._lock = threading.Lock()

    def asked(self, method, path):
        with self._lock:
            number = sum(one == (method, path) for one in self.requests)
            self.requests.append((method, path))
        return self.fault(method, path, number)

    def handler(proxy):  # noqa: N805 - the handler has the self
        class Handler(_Quiet):
            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = proxy.asked(self.command, self.path.partition("?")[0])
                if fault in ("503", "404", "403"):
                    said = BUSY if fault == "503" else GONE
                    return self.answer(int(fault), [("Content-Type", "application/xml")], said)
                if fault == "reset":
                    return self.reset()
                connection = http.client.HTTPConnection("127.0.0.1", proxy.target)
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                data = response.read()
                connection.close()
                length = response.getheader("Content-Length")
                length = int(length) if self.command == "HEAD" and length else len(data)
                dropped = ("content-length", "transfer-encoding", "connection")
                headers = [(name, value) for name, value in response.getheaders() if name.lower() not in dropped]
                if fault == "short":
                    headers = [(name, value) for name, value in headers if "checksum" not in name.lower()]
                    return self.answer(response.status, headers, data[: len(data) // 2])
                if fault == "cut":
                    self.answer(response.status, headers, data[: len(data) // 2], length=length)
                    return self.reset()
                if fault == "slow":
                    self.answer(response.status, headers, b"", length=length)
                    for start in range(0, len(data), 1 + len(data) // 5):
                        self.wfile.write(data[start : start + 1 + len(data) // 5])
                        time.sleep(0.02)
                    return None
                return self.answer(response.status, headers, data, length=length)

            def reset(self):
                self.wfile.flush()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward  # noqa: N815 - as http.server calls them

        return Handler


class S3:
    """S3 behind a proxy; `plain` is a file system without the proxy, and `options` are those for the one with it."""

    def __init__(self, proxy, port, plain):
        self.proxy, self.plain = proxy, plain
        self.options = options_for(port)

    def fill(self, bucket, folder, *, public=False):
        """Make a bucket with the files below a folder, unless there is one already."""
        kind = {"ACL": "public-read"} if public else {}
        if self.plain.exists(bucket):
            return
        self.plain.mkdir(bucket)
        for path in Path(folder).rglob("*"):
            if path.is_file():
                self.plain.pipe_file(f"{bucket}/{path.relative_to(folder).as_posix()}", path.read_bytes(), **kind)
        self.plain.invalidate_cache()


def options_for(port):
    return {
        "key": "key",
        "secret": "secret",
        "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"},
        "config_kwargs": {"retries": {"max_attempts": 0}, "read_timeout": 20},
    }


@pytest.fixture(scope="session")
def moto_port():
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture(scope="session")
def served_s3(moto_port):
    s3fs = pytest.importorskip("s3fs")
    proxy = Proxy(moto_port)
    with serving(proxy.handler()) as server:
        plain = s3fs.S3FileSystem(**options_for(moto_port), skip_instance_cache=True)
        yield S3(proxy, server.server_address[1], plain)


@pytest.fixture
def s3(served_s3, monkeypatch):
    """S3 with the buckets that earlier tests have made; waits between tries are short."""
    monkeypatch.setattr("fastfid.files.retries.FIRST_WAIT", 0.01)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    served_s3.proxy.fault = lambda method, path, number: ""
    served_s3.proxy.requests.clear()
    return served_s3


class Files(_Quiet):
    """The files of a folder over HTTP, with or without ranges, and lists of its folders."""

    def __init__(self, *args, root, ranges=True, sizes=True, etags=True):
        self.root, self.ranges, self.sizes, self.etags = root, ranges, sizes, etags
        super().__init__(*args)

    def do_GET(self):
        path = self.root / self.path.lstrip("/").partition("?")[0]
        if path.is_dir():
            links = "".join(f'<a href="{each.name}{"/" if each.is_dir() else ""}">x</a>\n' for each in path.iterdir())
            return self.answer(200, [("Content-Type", "text/html")], links.encode())
        if not path.is_file():
            return self.answer(404, [], b"")
        data, headers = path.read_bytes(), [("ETag", f'"{path.stat().st_mtime_ns}"')] if self.etags else []
        wanted = self.headers.get("Range", "")
        if not self.sizes:
            return self.chunks(headers, data)
        if not (self.ranges and wanted):
            return self.answer(200, headers, data)
        first, last = wanted.removeprefix("bytes=").split("-")
        part = data[int(first) : int(last) + 1]
        headers.append(("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"))
        return self.answer(206, headers, part)

    def chunks(self, headers, data):
        self.send_response_only(200)
        for name, value in [*headers, ("Transfer-Encoding", "chunked")]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        return

    do_HEAD = do_GET  # noqa: N815


def web(root, **options):
    """Serve a folder; for a ``with``."""
    return serving(partial(Files, root=Path(root), **options))

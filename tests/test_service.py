"""The service of the examples: its answers, its limits, and clients that go away."""

import asyncio
import io
import runpy
import struct
import threading
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import fastfid
from pictures import pictures
from stand_in import stand_in

SERVICE = str(Path(__file__).parents[1] / "examples" / "service.py")

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


IMAGES = pictures(20, 16)
FILES = [*map(png, IMAGES)]


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The names of the module; changing one of them changes what its functions see."""
    model = stand_in(tmp_path / "own.onnx")
    np.save(tmp_path / "real.npy", pictures(30, 16, 1))
    monkeypatch.setenv("FASTFID_REAL", str(tmp_path / "real.npy"))
    monkeypatch.setenv("FASTFID_MODEL", str(model))
    return runpy.run_path(SERVICE)["add"].__globals__


@pytest.fixture
def client(service):
    with TestClient(service["app"]) as client:
        yield client


def test_a_run_scores_like_a_comparison(client, tmp_path):
    for n, file in enumerate(FILES, 1):
        assert client.post("/runs/mine", content=file).json() == {"n": n}
    found = client.get("/runs/mine").json()
    expected = fastfid.score(IMAGES, tmp_path / "real.npy", model=tmp_path / "own.onnx", progress=False)
    assert found["fid"] == pytest.approx(expected, rel=1e-6)
    assert (found["a"]["n"], found["b"]["n"]) == (20, 30)
    assert client.get("/runs").json() == {"mine": 20}
    health = client.get("/health").json()
    assert (health["runs"], health["waiting"]) == (1, 0)
    assert "own.onnx" in health["extractor"]
    assert client.delete("/runs/mine").status_code == 204
    assert client.get("/runs").json() == {}


def test_errors_have_the_message_of_fastfid(client):
    assert client.post("/runs/mine", content=FILES[0]).status_code == 200
    cases = [
        (client.post("/runs/mine", content=b"no image"), 422, "cannot decode image 0"),
        (client.get("/runs/mine"), 422, "has 1 images, and a score needs at least 2"),
        (client.get("/runs/other"), 404, "there is no run other"),
        (client.delete("/runs/other"), 404, "there is no run other"),
        (client.post("/runs/a%20b", content=FILES[0]), 422, "pattern"),
        (client.post("/runs/...", content=FILES[0]), 422, "pattern"),
        (client.post(f"/runs/{'a' * 65}", content=FILES[0]), 422, "at most 64"),
    ]
    for answer, status, text in cases:
        assert answer.status_code == status, text
        assert text in str(answer.json()["detail"])
    assert client.get("/runs").json() == {"mine": 1}


@pytest.mark.parametrize(
    ("limit", "value", "status"),
    [
        ("MOST_BYTES", 50, 413),
        ("MOST_PIXELS", 15, 413),
        ("MOST_UPLOADS", 0, 503),
        ("MOST_WAITING", 0, 503),
        ("MOST_RUNS", 1, 429),
        ("MOST_IMAGES", 1, 409),
    ],
)
def test_limits(client, service, limit, value, status):
    assert client.post("/runs/mine", content=FILES[0]).status_code == 200
    service[limit] = value
    answer = client.post("/runs/other" if limit == "MOST_RUNS" else "/runs/mine", content=FILES[0])
    assert answer.status_code == status
    health = client.get("/health").json()
    assert (health["waiting"], health["uploads"]) == (0, 0)
    assert client.get("/runs").json() == {"mine": 1}


def test_a_large_image_is_refused_by_its_header(client, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", None)
    for size in ((4097, 1), (1, 4097), (9500, 9500), (20_000, 20_000)):
        header = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
        file = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        answer = client.post("/runs/mine", content=file + struct.pack(">I", 9) + b"IDAT")
        assert (answer.status_code, answer.json()["detail"]) == (413, "an image has at most 4096 pixels a side")


def test_a_run_begins_with_an_image(client, service):
    service["MOST_RUNS"] = 1
    for name in ("a", "b"):
        assert client.post(f"/runs/{name}", content=b"no image").status_code == 422
    assert client.get("/runs").json() == {}
    assert client.post("/runs/c", content=FILES[0]).status_code == 200


def posted(held, *chunks, gone=False, pause=0.0):
    """Return a request whose body are the chunks, with a pause after each."""

    class Posted:
        app = SimpleNamespace(state=SimpleNamespace(evaluator=held))

        async def stream(self):
            for chunk in chunks:
                yield chunk
                await asyncio.sleep(pause)

        async def is_disconnected(self):
            return gone

    return Posted()


@pytest.mark.parametrize(
    ("limit", "request_of"),
    [
        ("MOST_PAUSE", lambda held: posted(held, b"x", pause=3600)),
        ("MOST_SECONDS", lambda held: posted(held, *[b"x"] * 10_000, pause=0.01)),  # one byte after the other
    ],
)
def test_uploads_that_take_too_long_end(service, limit, request_of):
    service[limit] = 0.2
    held = service["Evaluator"]()

    async def post():
        uploads = [asyncio.create_task(service["add"](request_of(held), "idle")) for _ in range(3)]
        return await asyncio.gather(*uploads, return_exceptions=True)

    assert [error.status_code for error in asyncio.run(post())] == [408] * 3
    assert held.uploads == []


def test_a_client_that_goes_away_in_its_upload_is_no_error_of_the_service(service):
    held = service["Evaluator"]()

    async def stream():
        yield b"x"
        raise service["ClientDisconnect"]

    request = posted(held)
    request.stream = stream
    with pytest.raises(service["HTTPException"]) as raised:
        asyncio.run(service["add"](request, "mine"))
    assert raised.value.status_code == 499
    assert held.uploads == []


def test_slow_clients_hold_nobody_up(service, monkeypatch):
    """All uploads that there may be are theirs, and the others' images are added at once."""
    service["MOST_UPLOADS"] = 8
    held, now = service["Evaluator"](), [0.0]
    monkeypatch.setitem(service, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def post():
        worker = asyncio.create_task(held.work())
        quick = posted(held, bytes(1 << 20), pause=3600)  # it sends well, and does not give way
        service["MOST_PAUSE"] = 3600
        slow = [asyncio.create_task(service["add"](posted(held, b"x", pause=3600), "slow")) for _ in range(7)]
        good = asyncio.create_task(service["add"](quick, "good"))
        await asyncio.sleep(0)
        with pytest.raises(service["HTTPException"], match="8 images are being uploaded already"):
            await service["add"](posted(held, FILES[0]), "mine")  # not slow yet
        now[0] = 2.0
        added = [await service["add"](posted(held, file), "mine") for file in FILES]
        ended = [task for task in slow if task.done()]
        assert not good.done()
        assert len(held.uploads) == 7
        for task in (good, worker, *slow):
            task.cancel()
        return added, ended

    added, ended = asyncio.run(post())
    assert [answer["n"] for answer in added] == list(range(1, 21))
    assert len(ended) == 1  # those after it find the place free
    assert ended[0].exception().status_code == 408
    assert list(held.runs) == ["mine"]


def test_images_that_wait_for_a_run_that_is_deleted(service, monkeypatch):
    held = service["Evaluator"]()
    update, computes, go_on = fastfid.Monitor.update, threading.Event(), threading.Event()

    def slow(monitor, images):
        update(monitor, images)
        if monitor.n > 1:
            computes.set()
            go_on.wait(9)

    monkeypatch.setattr(fastfid.Monitor, "update", slow)

    async def post_and_delete():
        worker = asyncio.create_task(held.work())
        await service["add"](posted(held, FILES[0]), "mine")
        first = asyncio.create_task(service["add"](posted(held, FILES[1]), "mine"))
        await asyncio.to_thread(computes.wait, 9)
        others = [asyncio.create_task(service["add"](posted(held, file), "mine")) for file in FILES[2:5]]
        while held.queue.qsize() < 3:
            await asyncio.sleep(0)
        await service["forget"](posted(held), "mine")
        later = asyncio.create_task(service["add"](posted(held, FILES[5]), "mine"))
        while held.queue.qsize() < 4:
            await asyncio.sleep(0)
        go_on.set()
        errors = await asyncio.gather(first, *others, return_exceptions=True)
        added = await later
        worker.cancel()
        return [error.status_code for error in errors], added

    assert asyncio.run(post_and_delete()) == ([410] * 4, {"n": 1})
    assert held.run("mine").n == 1
    assert not held.waiting


def test_images_that_wait_together_and_a_bad_one_among_them(service):
    held = service["Evaluator"]()

    async def add_all():
        loop = asyncio.get_running_loop()
        batch = [service["Waiting"]("mine", file, loop.create_future()) for file in (*FILES[:5], b"bad", FILES[6])]
        await held.add("mine", batch)
        return [waiting.done.exception() for waiting in batch]

    errors = asyncio.run(add_all())
    assert [type(error).__name__ for error in errors] == [*["NoneType"] * 5, "ImageError", "NoneType"]
    assert held.run("mine").n == 6


def test_an_image_does_not_count_whose_client_is_gone_before_its_turn(service):
    held = service["Evaluator"]()

    async def post_and_work():
        with pytest.raises(service["HTTPException"]) as raised:
            await service["add"](posted(held, FILES[0], gone=True), "mine")
        worker = asyncio.create_task(held.work())
        while not held.queue.empty():
            await asyncio.sleep(0.01)
        worker.cancel()
        return raised.value.status_code

    assert asyncio.run(post_and_work()) == 499
    assert (held.runs, held.waiting) == ({}, {})

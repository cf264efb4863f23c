"""The service of the examples: its answers, its limits, and clients that go away."""

import asyncio
import io
import runpy
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
    ]
    for answer, status, text in cases:
        assert answer.status_code == status, text
        assert text in str(answer.json()["detail"])
    assert client.get("/runs").json() == {"mine": 1}


@pytest.mark.parametrize(
    ("limit", "value", "status"),
    [("MOST_BYTES", 50, 413), ("MOST_RUNS", 1, 429), ("MOST_IMAGES", 1, 409), ("MOST_WAITING", 0, 503)],
)
def test_limits(client, service, limit, value, status):
    assert client.post("/runs/mine", content=FILES[0]).status_code == 200
    service[limit] = value
    answer = client.post("/runs/other" if limit == "MOST_RUNS" else "/runs/mine", content=FILES[0])
    assert answer.status_code == status
    assert client.get("/health").json()["waiting"] == 0
    assert client.get("/runs").json() == {"mine": 1}


def test_images_that_wait_together_and_a_bad_one_among_them(service):
    monitor = service["Evaluator"]().run("mine", new=True)

    async def add_all():
        loop = asyncio.get_running_loop()
        batch = [service["Waiting"](monitor, file, loop.create_future()) for file in (*FILES[:5], b"bad", FILES[6])]
        await service["_add"](batch)
        return [waiting.done.exception() for waiting in batch]

    errors = asyncio.run(add_all())
    assert [type(error).__name__ for error in errors] == [*["NoneType"] * 5, "ImageError", "NoneType"]
    assert monitor.n == 6


def test_an_image_does_not_count_whose_client_is_gone_before_its_turn(service):
    held = service["Evaluator"]()

    class Gone:
        app = SimpleNamespace(state=SimpleNamespace(evaluator=held))

        async def stream(self):
            yield FILES[0]

        async def is_disconnected(self):
            return True

    async def post_and_work():
        with pytest.raises(service["HTTPException"]) as raised:
            await service["add"](Gone(), "mine")
        worker = asyncio.create_task(held.work())
        while not held.queue.empty():
            await asyncio.sleep(0.01)
        worker.cancel()
        return raised.value.status_code

    assert asyncio.run(post_and_work()) == 499
    assert (held.run("mine").n, held.reserved) == (0, 0)

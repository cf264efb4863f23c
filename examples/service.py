"""A service that scores images as they are made, behind FastAPI.

    pip install fastapi uvicorn
    FASTFID_REAL=real.npz uvicorn service:app

    curl --data-binary @image.png localhost:8000/runs/mine   # add an image to the run "mine"
    curl localhost:8000/runs/mine                            # its scores so far
    curl -X DELETE localhost:8000/runs/mine                  # forget it

Images that wait at the same time share a run of the network. Memory is bounded by the limits below. It is one process,
which uses all cores or a GPU: a second one would have runs of its own. docs/service.md has more.
"""

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.responses import JSONResponse, Response
from PIL import Image
from starlette.requests import ClientDisconnect

import fastfid

MOST_BYTES = 16 << 20  # of an image file
MOST_PIXELS = 4096  # a side of an image, which then takes 48 MiB
MOST_UPLOADS = 32  # at a time; another one takes the place of the oldest slow one, or is refused with 503
MOST_SECONDS, MOST_PAUSE = 30, 5  # of an upload, and between two parts of it
SLOW = 64 << 10  # bytes a second; slower uploads give way to others after the first second
MOST_WAITING = 32  # images that are uploaded; further ones are refused with 503
MOST_RUNS = 16
MOST_IMAGES = 1_000_000  # of a run
Name = Annotated[str, Path(pattern="^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=64)]  # not only dots


class Waiting(NamedTuple):
    """An image that waits for the network, and the request that waits for the number of images of its run."""

    name: str
    image: bytes
    done: asyncio.Future[int]


class Upload:
    """An image file that arrives; the `limit` of its time ends it."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        self.limit, self.begun, self.data = limit, time.monotonic(), bytearray()

    @property
    def is_slow(self) -> bool:
        """True if it should give way to another one."""
        seconds = time.monotonic() - self.begun
        return seconds > 1 and len(self.data) < SLOW * seconds


class Evaluator:
    """The network, the real side, and a monitor for each run."""

    def __init__(self) -> None:
        settings = {"model": os.environ.get("FASTFID_MODEL"), "dims": int(os.environ.get("FASTFID_DIMS", "0"))}
        self.extractor = fastfid.Extractor(**{name: value for name, value in settings.items() if value})
        self.real = fastfid.fit(os.environ["FASTFID_REAL"], model=self.extractor, cache=True, progress=False)
        self.runs: dict[str, fastfid.Monitor] = {}
        self.queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self.waiting: dict[asyncio.Future[int], str] = {}  # the run of each image that waits or is computed
        self.uploads: list[Upload] = []  # the oldest first

    def run(self, name: str) -> fastfid.Monitor:
        """Return a run; the first image that is added begins it."""
        if name not in self.runs:
            raise HTTPException(404, f"there is no run {name}: add an image first")
        return self.runs[name]

    def forget(self, name: str) -> None:
        """Remove a run; the requests whose images wait for it are told so."""
        self.run(name)
        del self.runs[name]
        for done in [done for done, run in self.waiting.items() if run == name and not done.done()]:
            done.set_exception(HTTPException(410, f"the run {name} was deleted before the image was added"))

    async def work(self) -> None:
        """Add the waiting images, as many at once as the network takes."""
        while True:
            batch = [await self.queue.get()]
            while len(batch) < self.extractor.batch_size and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            for name in dict.fromkeys(waiting.name for waiting in batch):
                await self.add(name, [waiting for waiting in batch if waiting.name == name])

    async def add(self, name: str, batch: list[Waiting]) -> None:
        """Add images to one run; if they cannot be added together, one is bad, and they are added one by one."""
        batch = [waiting for waiting in batch if not waiting.done.done()]  # the clients of the others are gone
        if not batch:
            return
        monitor, error = self.runs.get(name), None
        new = monitor is None
        try:
            if new and len(self.runs) >= MOST_RUNS:
                raise HTTPException(429, f"there are {MOST_RUNS} runs: delete one")
            monitor = monitor or await asyncio.to_thread(fastfid.Monitor, self.real, model=self.extractor)
            await asyncio.to_thread(monitor.update, [waiting.image for waiting in batch])
        except Exception as problem:
            error = problem
        if error and len(batch) > 1:
            for waiting in batch:
                await self.add(name, [waiting])
            return
        if new and not error:
            self.runs[name] = monitor
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_exception(error) if error else waiting.done.set_result(monitor.n)


async def unless_gone(request: Request, result: Awaitable[Any]) -> Any:
    """Wait for a result, and give it up if the client goes away first."""
    waiting = asyncio.ensure_future(result)
    while not (await asyncio.wait({waiting}, timeout=0.2))[0]:
        if await request.is_disconnected():
            waiting.cancel()
            raise HTTPException(499, "the client is gone")
    return waiting.result()


def make_room(uploads: list[Upload]) -> None:
    """End the oldest slow upload if there are too many, so that slow clients hold nobody up."""
    if len(uploads) < MOST_UPLOADS:
        return
    slow = next((upload for upload in uploads if upload.is_slow), None)
    if slow is None:
        raise HTTPException(503, f"{MOST_UPLOADS} images are being uploaded already", {"Retry-After": "1"})
    uploads.remove(slow)
    slow.limit.reschedule(0)


async def body_of(request: Request, uploads: list[Upload]) -> bytes:
    """Read the image file, and no more than is allowed."""
    make_room(uploads)
    try:
        async with asyncio.timeout(MOST_SECONDS) as limit:
            upload, parts = Upload(limit), request.stream()
            uploads.append(upload)
            try:
                while True:
                    async with asyncio.timeout(MOST_PAUSE):
                        part = await anext(parts, None)
                    if part is None:
                        return bytes(upload.data)
                    upload.data += part
                    if len(upload.data) > MOST_BYTES:
                        raise HTTPException(413, f"an image file has at most {MOST_BYTES:,} bytes")
            finally:
                if upload in uploads:
                    uploads.remove(upload)
    except ClientDisconnect:
        raise HTTPException(499, "the client is gone") from None
    except TimeoutError:
        raise HTTPException(
            408,
            f"an upload takes at most {MOST_SECONDS} seconds, with pauses of at most {MOST_PAUSE}, and below "
            f"{SLOW >> 10} KiB a second it gives way to others",
        ) from None


def check_size(image: bytes) -> None:
    """Refuse an image that would take too much memory; its header says so, and nothing is decoded."""
    try:
        with Image.open(io.BytesIO(image)) as opened:
            large = max(opened.size) > MOST_PIXELS
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        large = True
    except Exception:  # no image: fastfid says why
        large = False
    if large:
        raise HTTPException(413, f"an image has at most {MOST_PIXELS} pixels a side")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the network here: each worker runs this after it was forked, and a network does not survive a fork."""
    app.state.evaluator = await asyncio.to_thread(Evaluator)
    work = asyncio.create_task(app.state.evaluator.work())
    yield
    work.cancel()


app = FastAPI(title="fastfid", lifespan=lifespan)


@app.exception_handler(fastfid.FastFIDError)
def explain(_: Request, error: fastfid.FastFIDError) -> JSONResponse:
    """Answer with fastfid's own message: 422 if the images are at fault, 503 if the network or device is."""
    status = 422 if isinstance(error, fastfid.InputError) else 503
    return JSONResponse({"detail": str(error), "kind": type(error).__name__}, status)


@app.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Say what is open, and how much waits; no image is computed."""
    held = request.app.state.evaluator
    counts = {"runs": len(held.runs), "uploads": len(held.uploads), "waiting": len(held.waiting)}
    return {"extractor": repr(held.extractor), **counts, "process": os.getpid()}


@app.get("/runs")
async def runs(request: Request) -> dict[str, int]:
    """Return the number of images of each run."""
    return {name: monitor.n for name, monitor in request.app.state.evaluator.runs.items()}


@app.post("/runs/{name}")
async def add(request: Request, name: Name) -> dict[str, int]:
    """Add an image, the file of which is the body; answer once it counts."""
    held = request.app.state.evaluator
    image = await body_of(request, held.uploads)
    check_size(image)
    if len(held.waiting) >= MOST_WAITING:
        raise HTTPException(503, f"{MOST_WAITING} images wait already", {"Retry-After": "1"})
    if name in held.runs and held.runs[name].n >= MOST_IMAGES:
        raise HTTPException(409, f"the run has {held.runs[name].n} images, and no run may have more")
    waiting = Waiting(name, image, asyncio.get_running_loop().create_future())
    held.waiting[waiting.done] = name
    held.queue.put_nowait(waiting)
    try:
        return {"n": await unless_gone(request, waiting.done)}
    finally:
        del held.waiting[waiting.done]


@app.get("/runs/{name}")
async def scores(request: Request, name: Name) -> dict[str, Any]:
    """Return the scores of a run so far."""
    monitor = request.app.state.evaluator.run(name)
    return (await asyncio.to_thread(monitor.compute)).as_dict()


@app.delete("/runs/{name}", status_code=204)
async def forget(request: Request, name: Name) -> Response:
    """Forget a run."""
    request.app.state.evaluator.forget(name)
    return Response(status_code=204)

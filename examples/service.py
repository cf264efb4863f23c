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
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.responses import JSONResponse, Response

import fastfid

MOST_BYTES = 16 << 20  # of an image file
MOST_WAITING = 32  # images; further ones are refused with 503
MOST_RUNS = 16
MOST_IMAGES = 1_000_000  # of a run
Name = Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,64}$")]


class Waiting(NamedTuple):
    """An image that waits for the network, and the request that waits for it."""

    monitor: fastfid.Monitor
    image: bytes
    done: asyncio.Future[None]


class Evaluator:
    """The network, the real side, and a monitor for each run."""

    def __init__(self) -> None:
        settings = {"model": os.environ.get("FASTFID_MODEL"), "dims": int(os.environ.get("FASTFID_DIMS", "0"))}
        self.extractor = fastfid.Extractor(**{name: value for name, value in settings.items() if value})
        self.real = fastfid.fit(os.environ["FASTFID_REAL"], model=self.extractor, cache=True, progress=False)
        self.runs: dict[str, fastfid.Monitor] = {}
        self.queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self.reserved = 0  # images that are being uploaded or wait

    def run(self, name: str, *, new: bool = False) -> fastfid.Monitor:
        """Return a run; a new one is begun by its first image."""
        if name not in self.runs and not new:
            raise HTTPException(404, f"there is no run {name}: add an image first")
        if name not in self.runs and len(self.runs) >= MOST_RUNS:
            raise HTTPException(429, f"there are {MOST_RUNS} runs: delete one")
        return self.runs.setdefault(name, fastfid.Monitor(self.real, model=self.extractor))

    async def work(self) -> None:
        """Add the waiting images, as many at once as the network takes."""
        while True:
            batch = [await self.queue.get()]
            while len(batch) < self.extractor.batch_size and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            for monitor in {id(waiting.monitor): waiting.monitor for waiting in batch}.values():
                await _add([waiting for waiting in batch if waiting.monitor is monitor and not waiting.done.done()])


async def _add(batch: list[Waiting]) -> None:
    """Add images to one run; if they cannot be added together, one is bad, and they are added one by one."""
    if not batch:  # all of their clients are gone
        return
    error = None
    try:
        await asyncio.to_thread(batch[0].monitor.update, [waiting.image for waiting in batch])
    except Exception as problem:
        error = problem
    if error and len(batch) > 1:
        for waiting in batch:
            await _add([waiting])
        return
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(error) if error else waiting.done.set_result(None)


async def unless_gone(request: Request, result: Awaitable[Any]) -> Any:
    """Wait for a result, and give it up if the client goes away first."""
    waiting = asyncio.ensure_future(result)
    while not (await asyncio.wait({waiting}, timeout=0.2))[0]:
        if await request.is_disconnected():
            waiting.cancel()
            raise HTTPException(499, "the client is gone")
    return waiting.result()


async def body_of(request: Request) -> bytes:
    """Read the image file, and no more than is allowed."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise HTTPException(413, f"an image file has at most {MOST_BYTES:,} bytes")
    return bytes(data)


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
    return {"extractor": repr(held.extractor), "runs": len(held.runs), "waiting": held.reserved, "process": os.getpid()}


@app.get("/runs")
async def runs(request: Request) -> dict[str, int]:
    """Return the number of images of each run."""
    return {name: monitor.n for name, monitor in request.app.state.evaluator.runs.items()}


@app.post("/runs/{name}")
async def add(request: Request, name: Name) -> dict[str, int]:
    """Add an image, the file of which is the body; answer once it counts."""
    held = request.app.state.evaluator
    if held.reserved >= MOST_WAITING:
        raise HTTPException(503, f"{MOST_WAITING} images wait already", {"Retry-After": "1"})
    held.reserved += 1
    try:
        image = await body_of(request)
        monitor = held.run(name, new=True)
        if monitor.n >= MOST_IMAGES:
            raise HTTPException(409, f"the run has {monitor.n} images, and no run may have more")
        waiting = Waiting(monitor, image, asyncio.get_running_loop().create_future())
        held.queue.put_nowait(waiting)
        await unless_gone(request, waiting.done)
    finally:
        held.reserved -= 1
    return {"n": monitor.n}


@app.get("/runs/{name}")
async def scores(request: Request, name: Name) -> dict[str, Any]:
    """Return the scores of a run so far."""
    monitor = request.app.state.evaluator.run(name)
    return (await asyncio.to_thread(monitor.compute)).as_dict()


@app.delete("/runs/{name}", status_code=204)
async def forget(request: Request, name: Name) -> Response:
    """Forget a run."""
    request.app.state.evaluator.run(name)
    del request.app.state.evaluator.runs[name]
    return Response(status_code=204)

"""Streams that are slow, abandoned, concurrent, or still open when Python exits."""

import signal
import threading
import time

import numpy as np
import pytest

import fastfid
from fastfid.extraction import lanes
from fastfid.extraction.workers import Workers, in_a_thread
from fastfid.images.decode import Decoded
from fastfid.sources import Item, Source, open_source
from pictures import pictures
from processes import run


@pytest.fixture(scope="module")
def extractor():
    return fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)


class Slow(Source):
    """Twelve images, of which some are not there before `event`."""

    def __init__(self, event, late, broken=()):
        super().__init__("slow", 12)
        self.event, self.late, self.broken, self.begun = event, late, broken, threading.Event()

    def _load(self, i):
        if i in self.late:
            self.begun.set()
            self.event.wait()
        if i in self.broken:
            raise fastfid.ImageError(f"image {i} is broken")
        return Decoded(np.full((8, 8, 3), 200, np.uint8))

    def read(self, indices):
        for i in indices:
            yield Item(f"image {i}", lambda i=i: self._load(i))


@pytest.fixture
def event():
    """Nothing waits for it any more when a test ends."""
    event = threading.Event()
    yield event
    event.set()
    for thread in ours():
        thread.join(30)


def ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastfid")]


class TestSlowReads:
    """A read that hangs cannot be broken off; nobody waits for it, and its buffer is not used again."""

    def test_are_not_waited_for_when_a_stream_is_closed(self, extractor, event):
        stream = extractor.stream(source := Slow(event, {5}), num_workers=2)
        next(stream)
        assert source.begun.wait(30)
        start = time.monotonic()
        stream.close()
        assert time.monotonic() - start < 20
        assert len(ours()) == 1

    def test_their_buffers_are_not_lent_again(self, extractor, event):
        extractor(pictures(8))
        for lane in extractor.opened.session._lanes._idle:
            lane.images[...] = 7
        stream = extractor.stream(Slow(event, {4}), num_workers=1)
        next(stream)
        stream.close()
        assert len(extractor.opened.session._lanes._idle) == 1
        assert not extractor.opened.session._lanes._lent
        before = extractor(pictures(8))
        event.set()
        for thread in ours():
            thread.join(30)
        np.testing.assert_array_equal(extractor(pictures(8)), before)

    def test_an_error_does_not_wait_for_the_next_batch(self, extractor, event):
        with pytest.raises(fastfid.ImageError, match="image 2 is broken"):
            list(extractor.stream(Slow(event, {5}, {2}), num_workers=2))

    @pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals for threads here")
    def test_ctrl_c(self, extractor, event):
        source = Slow(event, {5})

        def interrupt():
            source.begun.wait()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            list(extractor.stream(source, num_workers=2))

    def test_do_not_hold_the_end_of_python(self):
        code = """
import threading
import numpy as np
import fastfid
extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=2)
hanging = threading.Event()
def hang(*_):
    hanging.set()
    threading.Event().wait()
extractor.opened._kernel = hang
threading.Thread(target=extractor, args=(np.zeros((4, 8, 8, 3), np.uint8),), daemon=True).start()
hanging.wait()
"""
        assert run(code).returncode == 0


class TestManyAtOnce:
    def test_the_same_bits_and_a_bounded_number_of_buffers(self, extractor, monkeypatch):
        images = pictures(10)
        expected, most, found = extractor(images), [], []
        plain = lanes.Lanes.borrow

        def watched(self, *arguments):
            lane = plain(self, *arguments)
            most.append(len(self._lent))
            return lane

        monkeypatch.setattr(lanes.Lanes, "borrow", watched)
        threads = [threading.Thread(target=lambda: found.append(extractor(images))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 16
        for features in found:
            np.testing.assert_array_equal(features, expected)
        assert max(most) <= lanes.MOST_LANES
        assert not extractor.opened.session._lanes._lent

    def test_more_streams_than_buffers_in_one_thread(self, extractor):
        """Each waits for its reader, and none of them keeps a buffer meanwhile."""
        images = pictures(9)
        streams = [extractor.stream(open_source(images)) for _ in range(lanes.MOST_LANES + 4)]
        whole = [np.concatenate(parts) for parts in zip(*zip(*streams, strict=True), strict=True)]
        for features in whole:
            np.testing.assert_array_equal(features, whole[0])

    def test_an_iterator_that_scores(self, extractor):
        """One call within another, for each image."""

        def generate():
            for image in pictures(9):
                assert extractor([image]).shape == (1, 64)
                yield image

        np.testing.assert_array_equal(extractor(generate()), extractor(pictures(9)))

    def test_no_more_threads(self, extractor, monkeypatch):
        started, plain = [], threading.Thread.start

        def start(thread):
            if len(started) == 3:
                raise RuntimeError("can't start new thread")
            started.append(thread)
            plain(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(fastfid.DeviceError, match="no thread can be started .* can't start new thread"):
            list(extractor.stream(open_source(pictures(9)), num_workers=7))
        for thread in started:
            thread.join(30)
            assert not thread.is_alive()


class TestProgress:
    def test_what_it_raises_ends_the_run(self, extractor):
        class Enough(Exception):
            pass

        told = []

        def progress(done, total):
            told.append((done, total))
            if done >= 8:
                raise Enough("of this")

        for score in (
            lambda: extractor(pictures(20), progress=progress),
            lambda: list(extractor.stream(open_source(pictures(20)), progress=lambda done: progress(done, 20))),
        ):
            told.clear()
            with pytest.raises(Enough, match="^of this$"):
                score()
            assert told == [(4, 20), (8, 20)]
            assert ours() == []

    def test_a_bar_where_it_is_asked_for(self, extractor, capsys):
        extractor(pictures(5))
        assert capsys.readouterr().err == ""
        extractor(pictures(5), progress=True)
        assert "5/5" in capsys.readouterr().err


class TestTheEnd:
    CODE = """
import sys, threading, time
import numpy as np
import fastfid
from fastfid.sources import open_source

images = np.random.RandomState(0).randint(0, 256, (40, 32, 32, 3)).astype(np.uint8)
extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
begun = threading.Event()

def score(times):
    for _ in range(times):
        features = np.concatenate([begun.set() or rows for rows in extractor.stream(open_source(images))])
    print(features.shape, flush=True)

"""

    def test_a_thread_that_scores_when_the_main_thread_returns(self):
        done = run(self.CODE + "threading.Thread(target=score, args=(2,)).start(); begun.wait()")
        assert (done.returncode, done.stdout, done.stderr) == (0, "(40, 64)\n", "")

    def test_a_daemon_thread(self):
        """Python does not wait for it: an error that may not be heard to its end, but no crash."""
        code = """
def told(times):
    try:
        score(times)
    except Exception as error:
        print(error, flush=True)
        ended.set()

ended = threading.Event()
threading.Thread(target=told, args=(10**6,), daemon=True).start()
begun.wait()
"""
        done = run(self.CODE + "threading.Thread(target=score, args=(10**6,), daemon=True).start(); begun.wait()")
        assert done.returncode == 0
        done = run("import atexit\nended = None\natexit.register(lambda: ended.wait(30))\n" + self.CODE + code)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(
            "Python is exiting, so no more images can be scored: join the thread that scores before that\n"
        )

    def test_a_stream_that_nobody_closed(self):
        done = run(self.CODE + "stream = extractor.stream(open_source(images)); next(stream)")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_a_call_after_it_has_begun(self):
        code = """
import atexit

@atexit.register  # before fastfid is imported: called after its own
def late():
    try:
        score(1)
    except fastfid.DeviceError as error:
        print(error)
"""
        done = run(code + self.CODE)
        assert done.stdout.startswith("Python is exiting")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals for threads here")
def test_ctrl_c_ends_a_run_that_only_listens_to_its_own_flag():
    ended, stop = threading.Event(), threading.Event()

    def endless():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        stop.wait()
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        in_a_thread(endless, stop=stop.set)
    assert ended.is_set()


def test_workers_do_things_in_order():
    done, workers = [], Workers(1, "fastfid-test")
    for i in range(5):
        workers.do(lambda i=i: done.append(i))
    finished = threading.Event()
    workers.do(finished.set)
    assert finished.wait(30)
    workers.stop()
    workers.join()
    assert done == [0, 1, 2, 3, 4]

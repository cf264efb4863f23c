"""`Monitor`: images that come batch by batch, in one process or several, score as if they had come at once."""

import copy
import inspect
import io
import json
import os
import pickle
import re
import runpy
import threading
import types
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.arguments import given
from fastfid.extraction.session import Session
from fastfid.files.npz import Npz, write_npz
from fastfid.options import Options
from fuzz import CASES, rng_of
from pictures import folder, pictures
from processes import child_of, wait_for
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
FLOATS = {"value_range": (-1, 1), "quantise": "round"}
EXAMPLES = Path(__file__).parents[1] / "examples"
BATCH = 16  # of the network on a CPU


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fastfid.Extractor(stand_in(tmp_path_factory.mktemp("network") / "own.onnx"))


@pytest.fixture(scope="module")
def real(model, tmp_path_factory):
    fit = fastfid.fit(pictures(40, 16, 1), model=model, metrics=["fid", "kid"], progress=False)
    return str(fastfid.save(fit, tmp_path_factory.mktemp("real") / "real.npz"))


@pytest.fixture(scope="module")
def images():
    return pictures(48, 16)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network runs")

    monkeypatch.setattr(Session, "run", refuse)


class Foreign:
    """A tensor of another library: it has only the methods that are named."""

    def __init__(self, array, *methods):
        self.shape = array.shape
        for method in methods:
            setattr(type(self), method, lambda _, *args, method=method, **named: getattr(array, method)(*args, **named))


def scores(result):
    return {name: score.value for name, score in result.scores.items()}


def test_it_equals_a_comparison_of_the_same_images(model, real, images):
    metrics = ["fid", fastfid.KID(), "vendi", fastfid.PRDC(k=2)]
    monitor = fastfid.Monitor(real, model=model, metrics=metrics)
    for start in range(0, len(images), BATCH):
        monitor.update(images[start : start + BATCH])
    whole = fastfid.compare(images, real, model=model, metrics=metrics)
    np.testing.assert_equal(
        {name: score.parts for name, score in monitor.compute().scores.items()},
        {name: score.parts for name, score in whole.scores.items()},
    )
    assert monitor.compute().provenance == whole.provenance
    assert repr(monitor) == f"Monitor(n=48, real={real!r}, metrics=['fid', 'kid', 'vendi', 'prdc'])"
    monitor.reset()
    assert monitor.n == 0


FORMS = {
    "first": lambda x: x.transpose(0, 3, 1, 2),
    "floats": lambda x: (x.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32),
    "float64": lambda x: x / 127.5 - 1,
    "half": lambda x: x.astype(np.int16),
    "pil": lambda x: [Image.fromarray(image) for image in x],
    "dlpack": lambda x: Foreign(x, "__dlpack__", "__dlpack_device__"),
    "array": lambda x: Foreign(x, "__array__"),
    "batches": lambda x: iter([x[:9], x[9:]]),
    "labelled": lambda x: [(image, 3) for image in x],
}


@pytest.mark.parametrize("form", FORMS)
def test_what_users_hold(model, real, images, form):
    plain, other = (fastfid.Monitor(real, model=model, **FLOATS) for _ in range(2))
    plain.update(images)
    other.update(FORMS[form](images))
    assert other.n == 48
    if form in ("batches",):  # of a length that is not known; the features are those of another batch size
        assert other.compute().fid == pytest.approx(plain.compute().fid, rel=1e-6)
    else:
        assert other.compute().fid == plain.compute().fid


BAD = {
    "floats": (lambda x: x / 255, {}, "dtype float64 is not accepted.*value_range and quantise"),
    "latents": (lambda x: np.zeros((2, 4, 8, 8)), FLOATS, r"shape \(2, 4, 8, 8\) is not \(N, H, W, 3\)"),
    "one image": (lambda x: x[0].transpose(2, 0, 1), {}, "looks like one image with its channels first"),
    "features": (lambda x: np.zeros((9, 3)), FLOATS, "For features"),
    "nan": (lambda x: np.where(np.arange(3) > 1, np.nan, x[:5] / 255), FLOATS, "image 0 .* NaN or infinite"),
    "range": (lambda x: x.astype(np.int64) - 9, {}, "outside 0...255"),
    "none": (lambda x: None, {}, "NoneType cannot be scored"),
    "empty": (lambda x: x[:0], {}, "no pixels"),
    "nowhere": (lambda x: "no-such-folder", {}, "does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_images_are_refused_before_the_network_runs(model, real, images, no_network, case):
    make, options, text = BAD[case]
    monitor = fastfid.Monitor(real, model=model, **options)
    with pytest.raises(fastfid.InputError, match=text):
        monitor.update(make(images))
    assert monitor.n == 0


def test_an_update_that_fails_adds_nothing(model, real, images):
    monitor = fastfid.Monitor(real, model=model)
    monitor.update(images)
    before = monitor.compute()
    with pytest.raises(fastfid.ImageError, match=r"image 40"):
        monitor.update([*map(Image.fromarray, images[:40]), b"not an image"])
    assert monitor.n == 48
    assert monitor.compute() == before


class Counted(fastfid.Accumulator):
    """Refuses further rows once it has more than 40."""

    def __init__(self, dims):
        self.rows = 0

    def update(self, rows):
        self.rows += len(rows)
        if self.rows > 40:
            raise RuntimeError("no more")

    def merge(self, other):
        self.rows += other.rows


class Counts(fastfid.Metric):
    name = "counts"
    sides = 1
    needs = (fastfid.Need("features", Counted),)

    def value(self, a):
        return fastfid.Score(a[self.needs[0]].rows)


def test_no_score_of_a_part_of_a_batch(model, real, images):
    monitor = fastfid.Monitor(real, model=model, metrics=["fid", Counts()])
    monitor.update(images[:20])
    alone, state = monitor.compute(), monitor.state()
    with pytest.raises(RuntimeError, match="no more"):
        monitor.update(images[20:])  # the FID has taken these, and a first part of them is in all
    for copied in (monitor, copy.deepcopy(monitor)):
        for refused in (monitor.compute, copied.state, lambda: monitor.update(images[:2])):
            with pytest.raises(fastfid.InputError, match="have a part of a batch.*: call reset"):
                refused()
    assert scores(monitor.compute([state])) == scores(alone)
    monitor.reset()
    monitor.update(images[:20])
    assert monitor.compute() == alone


@pytest.mark.parametrize("kind", ["fit", "statistics", "save"])
def test_the_real_side_stays_what_it_was(model, images, tmp_path, kind):
    real, more = (
        getattr(fastfid, "fit" if kind == "fit" else "statistics")(pictures(20, 16, seed), model=model)
        for seed in (1, 2)
    )
    if kind == "save":
        real = fastfid.Statistics.load(real.save(tmp_path / "real"))
    monitor = fastfid.Monitor(real, model=model)
    monitor.update(images)
    before = monitor.compute()
    assert before.fid == fastfid.score(images, real, model=model)
    real.merge(more)
    assert monitor.compute() == before


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"mode": "size=8 resize=box"}, fastfid.StatisticsMismatch, "mode size=8 .* in the monitor's images"),
        ({"seed": 1}, fastfid.StatisticsMismatch, "model own.onnx"),
        ({"metrics": ["is"]}, fastfid.ModelError, "logits_unbiased"),
        ({"metrics": ["fod"]}, fastfid.InputError, "unknown name 'fod'"),
        ({"value_range": (0, 1)}, fastfid.InputError, "which need quantise too"),
        ({"real": None}, fastfid.InputError, "fid compares two sides: give the real one"),
        ({"real": "no-such.npz"}, fastfid.InputError, "does not exist"),
        ({"real": fastfid.Statistics(9).update(np.eye(9))}, fastfid.StatisticsMismatch, "dims 6 in .*, 9 in"),
        ({"real": pictures(1)}, fastfid.InputError, "at least 2"),
        ({"dims": 64}, fastfid.ModelError, "64"),
    ],
)
def test_a_bad_monitor_is_refused_at_once(real, no_network, tmp_path, options, error, text):
    model = stand_in(tmp_path / "own.onnx", seed=options.pop("seed", 0), mode=None)
    options = {"mode": "size=8 resize=bilinear", **options}
    with pytest.raises(error, match=text):
        fastfid.Monitor(options.pop("real", real), model=model, **options)


def test_a_setting_that_the_extractor_contradicts(model, real):
    with pytest.raises(fastfid.InputError, match="batch_size=3 does not fit the Extractor"):
        fastfid.Monitor(real, model=model, batch_size=3)


def test_too_few_images(model, real, images):
    monitor = fastfid.Monitor(real, model=model)
    for count in (0, 1):
        with pytest.raises(fastfid.InputError, match=f"has {count} images, and a score needs at least 2"):
            monitor.compute()
        monitor.update(images[:1])
    assert monitor.compute().a.n == 2


def test_what_the_images_show_is_in_the_result(model, real, images):
    monitor = fastfid.Monitor(real, model=model, **FLOATS)
    monitor.update(images[[0] * 20] / 100.0)
    told = " ".join(monitor.compute().warnings)
    assert "the monitor's images: 20 images have values outside value_range" in told
    assert "duplicates: the monitor's images: 19 of 20 images" in told
    assert "made with own.onnx: not comparable with published FIDs" in monitor.compute().notes


def test_metrics_of_one_side_need_no_real_images(model, images):
    monitor = fastfid.Monitor(model=model, metrics=["vendi"])
    monitor.update(images)
    assert monitor.compute().b is None
    assert list(scores(fastfid.Monitor(images, model=model, metrics=["vendi"]).compute([monitor.state()]))) == ["vendi"]


def test_real_images_are_read_once_and_kept_in_the_cache(model, images, tmp_path, monkeypatch):
    source = folder(tmp_path / "real", pictures(20, 16, 1))
    first = fastfid.Monitor(source, model=model, cache=True)
    monkeypatch.setattr("fastfid.sources.folder.load_image", None)
    second = fastfid.Monitor(source, model=model, cache=True)
    for monitor in (first, second):
        monitor.update(images)
    assert first.compute().fid == second.compute().fid


# --- several processes


def dealt(model, real, images, *shares, metrics=("fid", "kid")):
    monitors = [fastfid.Monitor(real, model=model, metrics=metrics) for _ in shares]
    for monitor, share in zip(monitors, shares, strict=True):
        for start in range(share.start, share.stop, BATCH):
            monitor.update(images[start : min(start + BATCH, share.stop)])
    return monitors


def test_states_of_several_processes(model, real, images):
    one, other, none = dealt(model, real, images, slice(0, 32), slice(32, 48), slice(0, 0))
    (alone,) = dealt(model, real, images, slice(0, 48))
    states = [monitor.state() for monitor in (one, other, none)]
    assert all(type(state) is bytes for state in states)
    found = [monitor.compute(states) for monitor in (one, other, none)]
    assert found[0] == found[1] == found[2]
    assert scores(found[0])["kid"] == scores(alone.compute())["kid"]  # of the rows, which stay in order
    assert found[0].fid == pytest.approx(alone.compute().fid, rel=1e-12)
    assert (found[0].a.n, one.n, other.n, none.n) == (48, 32, 16, 0)
    assert one.compute([one.state()]) == one.compute()


def test_a_state_has_the_same_bits_wherever_it_was_made(model, real, images):
    (one,), (again,) = (dealt(model, real, images, slice(0, 48)) for _ in range(2))
    assert one.state() == again.state()
    later = [monitor.compute([copied.state(), one.state()]) for monitor, copied in ((one, again), (again, one))]
    assert later[0] == later[1]


def test_a_bad_state_is_refused(model, real, images, tmp_path):
    (monitor,) = dealt(model, real, images, slice(0, 32))
    state = monitor.state()
    with pytest.raises(fastfid.InputError, match="has 0 images"):
        monitor.compute([])
    with pytest.raises(fastfid.InputError, match="state 1 is a NoneType, not the bytes"):
        monitor.compute([state, None])
    for damaged in (b"", state[:-9], state.replace(b"PK\x03\x04", b"PK\x03\x05"), state[:300] + b"?" + state[301:]):
        with pytest.raises(fastfid.InputError, match="state 0 is damaged"):
            monitor.compute([damaged])
    with pytest.raises(fastfid.InputError, match="state 0 is of a monitor of other metrics"):
        fastfid.Monitor(real, model=model).compute([state])
    other = fastfid.Extractor(stand_in(tmp_path / "own.onnx", seed=1))
    with pytest.raises(fastfid.StatisticsMismatch, match="cannot merge"):
        fastfid.Monitor(pictures(9), model=other, metrics=["fid", "kid"]).compute([state])


def arrays_of(state):
    with Npz(io.BytesIO(state)) as npz:
        arrays = {key: npz.read(key, 1 << 20) for key in npz.keys}
    return json.loads(str(arrays.pop("piece"))), arrays


def state_of(facts, arrays):
    file = io.BytesIO()
    write_npz(file, [("piece", np.array(json.dumps(facts))), *arrays.items()])
    return file.getvalue()


ARRAYS = {
    "int64": lambda x: x.astype(np.int64),
    "float16": lambda x: x.astype(np.float16),
    "float64": lambda x: x.astype(np.float64) + 0.0,
    "complex": lambda x: x.astype(complex),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "bool": lambda x: x.astype(bool),
    "text": lambda x: np.array("x"),
    "scalar": lambda x: np.float32(3),
    "transposed": lambda x: x.T.copy(),
    "columns": np.asfortranarray,
    "cut": lambda x: x[:-1],
    "cut, columns": lambda x: x[..., :-1],
    "twice": lambda x: np.concatenate([x, x]),
    "nan": lambda x: np.full_like(x, np.nan) if x.dtype.kind == "f" else x[:1],
    "huge": lambda x: x * 1e30 if x.dtype.kind == "f" else x + 1,
    "empty": lambda x: x[:0],
}
VALUES = [None, -1, 0, 2**31 - 1, 2**70, 1.5, float("nan"), "x", [], {}, True, [[1, 2]], [[[1, 2], 3]], ["x"]]


def places(held):
    """Yield each dict or list inside, and each of its keys."""
    for key, value in held.items() if isinstance(held, dict) else enumerate(held):
        yield held, key
        if isinstance(value, dict | list):
            yield from places(value)


def damages(state):
    facts, arrays = arrays_of(state)
    for key, change in product(arrays, ARRAYS.values()):
        with np.errstate(over="ignore"):
            changed = change(arrays[key])
        yield state_of(facts, {**arrays, key: changed})
    for key in arrays:
        yield state_of(facts, {name: array for name, array in arrays.items() if name != key})
    for place, value in product(range(len(list(places(facts)))), VALUES):
        changed = copy.deepcopy(facts)
        held, key = list(places(changed))[place]
        held[key] = value
        yield state_of(changed, arrays)
    for case in range(CASES // 10):
        rng, data = rng_of("states", case), bytearray(state)
        for _ in range(rng.randint(1, 4)):
            data[rng.randint(len(data))] ^= 1 << rng.randint(8)
        yield bytes(data)


@pytest.mark.parametrize("count", [3, 9])  # fewer rows than dims, which are kept, and more
def test_a_damaged_state_is_an_input_error_or_a_score(model, real, images, count):
    monitor = fastfid.Monitor(real, model=model, metrics=["fid", "kid", "vendi"])
    monitor.update(images[:count])
    state = monitor.state()
    refused = 0
    for number, bad in enumerate(damages(state)):
        try:
            monitor.compute([bad, state])
        except fastfid.FastFIDError:
            refused += 1
        except BaseException as error:
            raise AssertionError(f"case {number}") from error
    assert refused > 0.6 * number


def test_bytes_that_change_on_the_way_never_give_another_score(model, real, images):
    """Each part of a state has a checksum."""
    (monitor,) = dealt(model, real, images, slice(0, 20), metrics=["fid", "kid"])
    state, refused = monitor.state(), 0
    expected = str(monitor.compute([state]).as_dict())
    for case in range(CASES // 2):
        rng, data = rng_of("bytes of states", case), bytearray(state)
        at, length = rng.randint(len(data)), rng.randint(1, 40)
        if case % 3 == 0:
            data[at] ^= 1 << rng.randint(8)
        elif case % 3 == 1:
            data[at : at + length] = rng.bytes(rng.randint(1, 40))
        else:
            del data[at : at + length]
        try:
            assert str(monitor.compute([bytes(data)]).as_dict()) == expected, case
        except fastfid.FastFIDError:
            refused += 1
    assert refused > 0.8 * CASES // 2


@pytest.mark.parametrize(
    ("joined", "n"),
    [
        (lambda a, b: a + b, None),
        (lambda a, b: a + a, None),
        (lambda a, b: b"x" + a, None),
        (lambda a, b: a + bytes(99), 20),  # filled up, as when states of several lengths are gathered
        (lambda a, b: a + b"\n", 20),
    ],
)
def test_states_that_are_joined_are_refused(model, real, images, joined, n):
    """The last one alone would be read."""
    a, b = (monitor.state() for monitor in dealt(model, real, images, slice(0, 20), slice(20, 35)))
    monitor = fastfid.Monitor(real, model=model, metrics=["fid", "kid"])
    if n is None:
        with pytest.raises(
            fastfid.InputError, match=r"state 0 is damaged: [\d,]+ bytes stand before it, as if several"
        ):
            monitor.compute([joined(a, b)])
    else:
        assert monitor.compute([joined(a, b)]).a.n == n


@pytest.mark.parametrize("change", [lambda rows: rows[:-1], lambda rows: np.vstack([rows, rows])])
@pytest.mark.parametrize("metrics", [["kid"], ["fid", "kid"], [fastfid.FID(bootstrap=20), "kid"]])
def test_a_state_has_the_rows_that_it_says(model, real, images, metrics, change):
    (monitor,) = dealt(model, real, images, slice(0, 20), metrics=metrics)
    facts, arrays = arrays_of(monitor.state())
    key = next(key for key in arrays if key.endswith(".rows"))
    with pytest.raises(fastfid.InputError, match=r"state 0 is damaged: .*Rows of features are float32 of shape"):
        monitor.compute([state_of(facts, {**arrays, key: change(arrays[key])})])


@pytest.mark.parametrize("key", ["digests", "bomb", "piece"])
def test_a_state_that_unpacks_to_more_than_it_is(model, real, images, monkeypatch, key):
    (monitor,) = dealt(model, real, images, slice(0, 20))
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(monitor.state())) as held, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in {*held.namelist()} - {f"{key}.npy"}:
            bomb.writestr(name, held.read(name))
        with bomb.open(f"{key}.npy", "w") as member:
            np.save(member, np.zeros(1 << 20, np.uint64))
    monkeypatch.setattr(Npz, "read", None)
    with pytest.raises(fastfid.InputError, match=r"state 0 is damaged: its arrays have 8,\d+,\d+ bytes, although it"):
        monitor.compute([file.getvalue()])


def test_a_state_with_a_pickle_inside_is_not_unpickled(model, real, images):
    class Trap:
        def __reduce__(self):
            return os._exit, (3,)

    with pytest.raises(fastfid.InputError, match="state 0 is damaged"):
        fastfid.Monitor(real, model=model).compute([pickle.dumps(Trap())])


# --- threads, forks, pickles


def test_threads_lose_no_image(model, real, images):
    monitor = fastfid.Monitor(real, model=model, metrics=["fid", "kid"])
    threads = [threading.Thread(target=monitor.update, args=(images[i * 8 : i * 8 + 8],)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.n == 48
    assert monitor.compute().fid == pytest.approx(fastfid.score(images, real, model=model), rel=1e-9)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda monitor: pickle.loads(pickle.dumps(monitor))])
def test_a_copy_goes_on_by_itself(model, real, images, copied):
    monitor = fastfid.Monitor(real, model=model, metrics=["fid", "kid"])
    monitor.update(images[:32])
    other = copied(monitor)
    other.update(images[32:])
    assert (monitor.n, other.n) == (32, 48)
    monitor.update(images[32:])
    assert monitor.compute() == other.compute()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_in_a_fork_it_still_computes_and_says_that_it_takes_no_images(model, real, images):
    monitor = fastfid.Monitor(real, model=model)
    monitor.update(images)
    expected, held = monitor.compute().fid, monitor._lock

    def work():
        try:
            monitor.update(images)
        except fastfid.DeviceError as error:
            return int(monitor.compute().fid != expected or "after the fork" not in str(error))
        return 2

    with held:  # as by a thread that adds images
        child = child_of(work)
    assert wait_for(child) == 0


def test_its_options_are_those_of_the_table():
    found = inspect.signature(fastfid.Monitor).parameters
    names = [name for name in vars(Options()) if name in found]
    assert [name for name in found if name != "real"] == names
    for name in names:
        value, usual = found[name].default, getattr(Options, name)
        assert (value, given(value)) == (usual, given(usual))


# --- what the documentation shows


def test_the_page_about_training(model, real, images, monkeypatch, tmp_path):
    monitor_of, logged = fastfid.Monitor, []
    folder(tmp_path / "real", pictures(20, 16, 1))
    (tmp_path / "real.npz").symlink_to(real)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fastfid, "Monitor", lambda real, **options: monitor_of(real, model=model, **options))
    page = (EXAMPLES.parent / "docs" / "training.md").read_text()
    loop, sure, cached, gathered = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope = {
        "train": len,
        "generator": lambda: images[:2].transpose(0, 3, 1, 2) / 127.5 - 1,
        "log": lambda metrics, step: logged.append((step, metrics)),
    }
    exec(loop.replace("train(step)", "train(str(step))"), scope)
    assert [step for step, _ in logged] == [5000, 10_000, 15_000, 20_000]
    assert all(metrics.keys() >= {"fid", "kid", "kid_standard_error"} for _, metrics in logged)
    exec(sure, scope)
    scope["monitor"].update(pictures(60, 16).transpose(0, 3, 1, 2) / 127.5 - 1)
    named = {"fid_corrected", "fid_low", "fid_high", "fid_standard_error"}  # on the page
    assert all(f"`{name}`" in page for name in named)
    assert named <= scope["monitor"].compute().as_metrics().keys()
    exec(cached, scope)
    scope["monitor"].update(images)

    def gather(states, state):
        states[:] = [state, state]

    group = types.SimpleNamespace(get_world_size=lambda: 2, all_gather_object=gather)
    exec(gathered.replace("import torch.distributed as dist\n", ""), {**scope, "dist": group})


def test_the_loop_of_the_examples(model, monkeypatch, capsys):
    monitor_of = fastfid.Monitor

    def smaller(real, **options):
        return monitor_of(real, **{**options, "model": model, "dims": 6})

    monkeypatch.setattr(fastfid, "Monitor", smaller)
    monkeypatch.setattr("sys.argv", ["training_loop.py"])
    runpy.run_path(str(EXAMPLES / "training_loop.py"), run_name="__main__")
    fids = [float(fid) for fid in re.findall(r"'fid': ([\d.]+)", capsys.readouterr().out)]
    assert len(fids) == 3
    assert fids == sorted(fids, reverse=True)

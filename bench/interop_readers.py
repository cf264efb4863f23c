"""What `bench/interop_checkouts.py` runs of tools that are checkouts: their own code that writes, reads and compares.

python bench/interop_tools.py write NAME CHECKOUT ROWS.npy OUT   statistics of rows, as the tool writes them
python bench/interop_tools.py score NAME CHECKOUT A B            the tool's distance of two files that it reads
python bench/interop_tools.py fork-folder CHECKOUT A STATS W.pth  the call of MAR and JiT
python bench/interop_tools.py mlperf CHECKOUT A STATS            MLPerf's compute_fid on the images of a folder
python bench/interop_tools.py imf-inputs CHECKOUT A OUT.npy       the images of a folder as iMF's network gets them
python bench/interop_tools.py edm-subset CHECKOUT A NUM SEED OUT  copies the images that EDM's dataset chooses

Modules that these functions do not need (JAX, audio, the command line) are replaced by mocks.
"""

import importlib
import pickle
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch


def load(checkout: str, module: str, *absent: str) -> Any:
    sys.path.insert(0, checkout)
    sys.modules.update({name: mock.MagicMock() for name in absent})
    return importlib.import_module(module)


def fork(checkout: str) -> Any:
    return load(checkout, "torch_fidelity.metric_fid")


def write_fork(checkout: str, rows: Any, out: str) -> None:
    np.savez(out, **fork(checkout).fid_features_to_statistics(torch.from_numpy(rows)))


def score_fork(checkout: str, a: str, b: str) -> float:
    # As calculate_metrics opens its fid_statistics_file; the other side is the tool's own, so both dtypes are checked.
    sides = [{key: np.load(file)[key] for key in ("mu", "sigma")} for file in (a, b)]
    assert [sides[0]["mu"].dtype, sides[0]["sigma"].dtype] == [np.float32, np.float64]
    metrics = fork(checkout).fid_statistics_to_metric(*sides, verbose=False)
    return float(metrics["frechet_inception_distance"])


def imf(checkout: str) -> Any:
    jax = ("jax", "jax.numpy", "jax.experimental", "absl")
    return load(checkout, "utils.fid_util", *jax, "utils.jax_fid", "utils.logging_util")


def write_imf(checkout: str, rows: Any, out: str) -> None:
    np.savez(out, ref_mu=np.mean(rows, axis=0), ref_sigma=np.cov(rows, rowvar=False))  # compute_fid_stats' last lines


def score_imf(checkout: str, a: str, b: str) -> float:
    tool = imf(checkout)
    x, y = tool.get_reference(a), tool.get_reference(b)
    return float(tool.compute_fid(x["mu"], y["mu"], x["sigma"], y["sigma"]))


def write_edm(checkout: str, rows: Any, out: str) -> None:
    n, act = len(rows), torch.from_numpy(rows).to(torch.float64)  # as calculate_inception_stats sums them
    mu, sigma = act.sum(0), act.T @ act
    mu /= n
    sigma -= mu.ger(mu) * n
    sigma /= n - 1
    np.savez(out, mu=mu.numpy(), sigma=sigma.numpy())


def score_edm(checkout: str, a: str, b: str) -> float:
    tool = load(checkout, "fid", "click", "dnnlib", "torch_utils", "training")
    x, y = dict(np.load(a)), dict(np.load(b))
    return float(tool.calculate_fid_from_inception_stats(x["mu"], x["sigma"], y["mu"], y["sigma"]))


def edm2(checkout: str) -> Any:
    return load(checkout, "calculate_metrics", "click", "torch_utils", "training", "generate_images")


def write_edm2(checkout: str, rows: Any, out: str) -> None:
    tool = edm2(checkout)
    same = mock.Mock(side_effect=lambda x: x, feature_dim=rows.shape[1])
    batches = [torch.from_numpy(part) for part in np.array_split(rows, 20)]
    with (
        mock.patch.object(tool, "get_detector", return_value=same),
        mock.patch.object(torch.distributed, "all_reduce"),
        mock.patch.object(tool.dist, "get_rank", return_value=0),
    ):
        device = torch.device("cpu")
        list(tool.calculate_stats_for_iterable(batches, metrics=["fid"], verbose=False, dest_path=out, device=device))


def score_edm2(checkout: str, a: str, b: str) -> float:
    tool = edm2(checkout)
    stats = tool.load_stats(a, verbose=False)
    return float(tool.calculate_metrics_from_stats(stats, b, metrics=["fid"], verbose=False)["fid"])


def stylegan(checkout: str) -> Any:
    return load(checkout, "metrics.metric_utils")


def write_stylegan(checkout: str, rows: Any, out: str) -> None:
    stats = stylegan(checkout).FeatureStats(capture_mean_cov=True, max_items=len(rows))
    for part in np.array_split(rows, 20):
        stats.append(part)
    stats.save(out)


def score_stylegan(checkout: str, a: str, b: str) -> float:
    tool = stylegan(checkout)
    fid = importlib.import_module("metrics.frechet_inception_distance")
    real, generated = (tool.FeatureStats.load(file) for file in (b, a))
    with (
        mock.patch.object(tool, "compute_feature_stats_for_dataset", return_value=real),
        mock.patch.object(tool, "compute_feature_stats_for_generator", return_value=generated),
    ):
        return float(fid.compute_fid(mock.Mock(rank=0), None, None))


def fadtk(checkout: str) -> Any:
    absent = ("torchaudio", "hypy_utils", "hypy_utils.tqdm_utils", "hypy_utils.logging_utils", "hypy_utils.nlp_utils")
    with mock.patch("subprocess.check_output", return_value=b""):
        sys.modules["fadtk"] = package = ModuleType("fadtk")  # its __init__ imports every model
        package.__path__ = [str(Path(checkout, "fadtk"))]
        tool = load(checkout, "fadtk.fad", *absent, "fadtk.model_loader")
    tool.find_sox_formats = mock.Mock(return_value=[])
    return tool


def write_fadtk(checkout: str, rows: Any, out: str) -> None:
    mu, cov = fadtk(checkout).calc_embd_statistics(rows)
    np.savez(out, **{"inception.mu": mu, "inception.cov": cov})  # the last lines of package.py


def score_fadtk(checkout: str, a: str, b: str) -> float:
    tool, model = fadtk(checkout), mock.Mock()
    model.name = "inception"
    distance = tool.FrechetAudioDistance(model, load_model=False)
    return float(np.real(distance.score(Path(b), Path(a))))


WRITERS: dict[str, Any] = {
    "fork": write_fork,
    "imf": write_imf,
    "edm": write_edm,
    "edm2": write_edm2,
    "stylegan": write_stylegan,
    "fadtk": write_fadtk,
}
SCORES: dict[str, Any] = {
    "fork": score_fork,
    "imf": score_imf,
    "edm": score_edm,
    "edm2": score_edm2,
    "stylegan": score_stylegan,
    "fadtk": score_fadtk,
}


def write(name: str, checkout: str, rows: str, out: str) -> None:
    WRITERS[name](checkout, np.load(rows), out)
    if out.endswith(".pkl"):
        pickle.loads(Path(out).read_bytes())


def score(name: str, checkout: str, a: str, b: str) -> None:
    print("FID: ", SCORES[name](checkout, a, b))


def fork_folder(checkout: str, folder: str, stats: str, weights: str) -> None:
    fork(checkout)
    tool = importlib.import_module("torch_fidelity")
    assert checkout in str(tool.__file__)
    metrics = tool.calculate_metrics(
        input1=folder,
        input2=None,
        fid_statistics_file=stats,
        cuda=False,
        isc=True,
        fid=True,
        kid=False,
        prc=False,
        verbose=False,
        cache=False,
        feature_extractor_weights_path=weights,
    )
    print("FID: ", metrics["frechet_inception_distance"])


def mlperf(checkout: str, folder: str, stats: str) -> None:
    from PIL import Image

    tool = load(str(Path(checkout, "tools")), "fid.fid_score")
    images = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(Path(folder).iterdir())]
    print("FID: ", tool.compute_fid(images, stats, "cpu", num_workers=0))


def edm_subset(checkout: str, folder: str, num: str, seed: str, out: str) -> None:
    tool = load(checkout, "training.dataset")
    chosen = tool.ImageFolderDataset(path=folder, max_size=int(num), random_seed=int(seed))
    Path(out).mkdir()
    for index in chosen._raw_idx:
        shutil.copyfile(Path(folder, chosen._image_fnames[index]), Path(out, chosen._image_fnames[index]))


def imf_inputs(checkout: str, folder: str, out: str) -> None:
    from PIL import Image

    resize = load(checkout, "utils.jax_fid.resize", "utils.jax_fid.inception")
    images = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(Path(folder).iterdir())]
    inputs = [resize.forward(torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None]) for image in images]
    np.save(out, torch.cat(inputs).numpy())


COMMANDS = {
    "write": write,
    "score": score,
    "fork-folder": fork_folder,
    "mlperf": mlperf,
    "edm-subset": edm_subset,
    "imf-inputs": imf_inputs,
}

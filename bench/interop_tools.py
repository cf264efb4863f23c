"""What `bench/interop.py` runs of the tools, in their environment (see `bench/parity_tools.py`).

python bench/interop_tools.py pytorch-fid ARGUMENTS...            its command line, as it is
python bench/interop_tools.py clean-stats FOLDER OUT.npz W.pth    clean-fid's make_custom_stats
python bench/interop_tools.py clean-fid FOLDER STATS.npz W.pth    clean-fid of a folder against custom statistics
python bench/interop_tools.py adm EVALUATOR.py A.npz B.npz        ADM's reader and distance, without TensorFlow
    python bench/interop_tools.py adm-references EVALUATOR.py A.npz B.npz   the same of reference files with images

`bench/interop_readers.py` has the commands for tools that are checkouts.
"""

import json
import runpy
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import interop_readers
from rivals import declare_missing_operators


def run_pytorch_fid(*arguments: str) -> None:
    sys.argv = ["pytorch_fid", *arguments]
    runpy.run_module("pytorch_fid", run_name="__main__")


def make_clean_stats(folder: str, out: str, weights: str) -> None:
    import cleanfid
    import torch
    from cleanfid import fid
    from parity_tools import clean_extractor

    extract = clean_extractor(weights)
    with TemporaryDirectory() as scratch, mock.patch.object(cleanfid, "__file__", f"{scratch}/__init__.py"):
        with mock.patch.object(fid, "build_feature_extractor", return_value=extract):
            fid.make_custom_stats("known", folder, num_workers=0, device=torch.device("cpu"), verbose=False)
        shutil.copyfile(Path(scratch) / "stats" / "known_clean_custom_na.npz", out)
        shutil.copyfile(Path(scratch) / "stats" / "known_clean_custom_na_kid.npz", f"{out}.kid.npz")


def score_clean(folder: str, stats: str, weights: str) -> None:
    import cleanfid
    import torch
    from cleanfid import fid
    from parity_tools import clean_extractor

    extract = clean_extractor(weights)
    with TemporaryDirectory() as scratch, mock.patch.object(cleanfid, "__file__", f"{scratch}/__init__.py"):
        (Path(scratch) / "stats").mkdir()
        shutil.copyfile(stats, Path(scratch) / "stats" / "known_clean_custom_na.npz")
        value = fid.compute_fid(
            folder,
            dataset_name="known",
            dataset_split="custom",
            dataset_res="na",
            mode="clean",
            custom_feat_extractor=extract,
            num_workers=0,
            device=torch.device("cpu"),
            verbose=False,
        )
    print("FID: ", value)


def _adm(evaluator: str) -> dict[str, Any]:
    """Return what its file defines; reading and distances need no TensorFlow."""
    absent = ("requests", "tensorflow", "tensorflow.compat", "tensorflow.compat.v1")
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in absent}):
        return runpy.run_path(evaluator)


def score_adm(evaluator: str, a: str, b: str) -> None:
    adm = _adm(evaluator)
    x, y = (adm["Evaluator"].read_statistics(None, path, None)[0] for path in (a, b))
    print("FID: ", x.frechet_distance(y))


def score_references(evaluator: str, a: str, b: str) -> None:
    """Read two reference batches as its `main` does, images included, and print FID, sFID and the images' sums."""
    adm = _adm(evaluator)
    read = [adm["Evaluator"].read_statistics(None, path, None) for path in (a, b)]
    fid, sfid = (float(x.frechet_distance(y)) for x, y in zip(*read, strict=True))
    sums = []
    for path in (a, b):
        with adm["open_npz_array"](path, "arr_0") as reader:
            sums.append(sum(int(batch.sum()) for batch in reader.read_batches(64)))
    print(json.dumps({"fid": fid, "sfid": sfid, "sums": sums}))


COMMANDS = {
    "adm-references": score_references,
    "pytorch-fid": run_pytorch_fid,
    "clean-stats": make_clean_stats,
    "clean-fid": score_clean,
    "adm": score_adm,
    **interop_readers.COMMANDS,
}


def main() -> None:
    declare_missing_operators()
    COMMANDS[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()

"""One metric of pairs of rows by one tool, on given features: prints its numbers, time and memory as one JSON line.

    python bench/metrics_tools.py torch-fidelity-kid X.npy Y.npy

X holds generated and Y real features, (n, dims) float32. Each tool runs by its own code, on features only. Those of
fastfid run in its environment, the others in one with the tools (torch, prdc==0.2, torch-fidelity==0.4.0).
`bench/metrics.py` calls it. Memory is the growth of the process's peak during the call, so without the features.
"""

import argparse
import contextlib
import io
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def fastfid_prdc(x: Rows, y: Rows) -> dict[str, float]:
    from fastfid import _core

    k = 5
    radii_x, radii_y = (np.ascontiguousarray(_core.nearest(rows, rows, k, True)[1][:, -1]) for rows in (x, y))
    in_y, in_x, nearest_y = _core.balls(x, y, radii_x, radii_y, True)
    return {
        "precision": float(np.mean(in_y > 0)),
        "recall": float(np.mean(in_x > 0)),
        "density": float(np.mean(in_y) / k),
        "coverage": float(np.mean(nearest_y < radii_y)),
    }


def fastfid_pr(x: Rows, y: Rows) -> dict[str, float]:
    from fastfid import _core

    radii_x, radii_y = (np.ascontiguousarray(_core.nearest(rows, rows, 3, True)[1][:, -1]) for rows in (x, y))
    in_y, in_x, _ = _core.balls(x, y, radii_x, radii_y, False)
    return {"precision": float(np.mean(in_y > 0)), "recall": float(np.mean(in_x > 0))}


def fastfid_kid(x: Rows, y: Rows) -> dict[str, float]:
    from fastfid.metrics.kid import mmd

    return {"kid": mmd(x, y)[0]}


def fastfid_subsets(x: Rows, y: Rows) -> dict[str, float]:
    from fastfid import KID
    from fastfid.metrics.kid import TOOLS

    value, parts, _ = KID("torch-fidelity")._of_subsets(x, y, TOOLS["torch-fidelity"])
    return {"kid": value, "std": parts["subset_std"]}


def prdc(x: Rows, y: Rows) -> dict[str, float]:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(y, x, nearest_k=5)
    return {name: float(value) for name, value in found.items()}


def torch_fidelity_pr(x: Rows, y: Rows) -> dict[str, float]:
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    settings = {"prc_neighborhood": 3, "prc_batch_size": 10000, "save_cpu_ram": True, "verbose": False}
    found = prc_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **settings)
    return {"precision": found["precision"], "recall": found["recall"]}


def _torch_fidelity_kid(x: Rows, y: Rows, subsets: int, size: int) -> dict[str, float]:
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    settings = {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": 2020, "verbose": False}
    found = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **settings)
    return {"kid": found["kernel_inception_distance_mean"], "std": found["kernel_inception_distance_std"]}


def torch_fidelity_subsets(x: Rows, y: Rows) -> dict[str, float]:
    return _torch_fidelity_kid(x, y, 100, 1000)


def torch_fidelity_kid(x: Rows, y: Rows) -> dict[str, float]:
    """All pairs: one subset, of all rows."""
    return {"kid": _torch_fidelity_kid(x, y, 1, len(x))["kid"]}


TASKS = {
    "fastfid-prdc": fastfid_prdc,
    "fastfid-pr": fastfid_pr,
    "fastfid-kid": fastfid_kid,
    "fastfid-subsets": fastfid_subsets,
    "prdc-prdc": prdc,
    "torch-fidelity-pr": torch_fidelity_pr,
    "torch-fidelity-kid": torch_fidelity_kid,
    "torch-fidelity-subsets": torch_fidelity_subsets,
}


def _memory(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("x")
    parser.add_argument("y")
    options = parser.parse_args()
    if options.task.startswith("torch-fidelity"):
        from rivals import declare_missing_operators

        declare_missing_operators()
    run = TASKS[options.task]
    x, y = np.load(options.x), np.load(options.y)
    if options.task.endswith("subsets"):
        run(x[:1000], y[:1000])  # imports, and starts the threads
    else:
        run(x[:100], y[:100])
    before = _memory("VmRSS")
    start, used = time.perf_counter(), time.process_time()
    answers: dict[str, Any] = {"answers": run(x, y)}
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    tool = options.task.rpartition("-")[0]
    peak = max(0, _memory("VmHWM") - before)
    about = {"tool": f"{tool} {version(tool)}", "seconds": seconds, "cpu": cpu, "memory": peak}
    print(json.dumps({**answers, **about}))


if __name__ == "__main__":
    main()

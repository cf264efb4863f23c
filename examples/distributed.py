"""Several processes score their images together, with torch.distributed: the same bits for any number of processes.

    torchrun --nproc-per-node 2 examples/distributed.py

The images come in blocks that do not depend on the number of processes. Each block gives one state, and the states are
put together in the order of the blocks. A block of a few thousand images makes the states cheap: 20 MB each at 2048
dims. If the last bits do not matter, one state for each process will do.
"""

import torch
import torch.distributed as dist

import fastfid

BLOCKS, BATCHES = 6, 3
MODEL = {"model": "inception-v3-random", "dims": 64}  # untrained, no download; leave it out for published FIDs


def generate(seed: int) -> torch.Tensor:
    """Return a batch (N, 3, H, W) of floats in -1...1, as a generator would."""
    return torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def evaluate(monitor: fastfid.Monitor) -> fastfid.Comparison:
    """Score all blocks; every process gets the result."""
    mine = {}
    for block in range(dist.get_rank(), BLOCKS, dist.get_world_size()):
        monitor.reset()
        for batch in range(BATCHES):
            monitor.update(generate(block * BATCHES + batch))
        mine[block] = monitor.state()
    everyones = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, mine)
    states = {block: state for theirs in everyones for block, state in theirs.items()}
    return monitor.compute(states[block] for block in sorted(states))


def main() -> None:
    """Score with all processes."""
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    real = torch.randint(40, 256, (100, 3, 32, 32), generator=torch.Generator().manual_seed(0))  # usually "real.npz"
    device = f"cuda:{dist.get_node_local_rank()}" if torch.cuda.is_available() else "cpu"
    floats = {"value_range": (-1, 1), "quantise": "round"}
    monitor = fastfid.Monitor(real, metrics=["fid", "kid"], device=device, **floats, **MODEL)
    result = evaluate(monitor)
    print(f"rank {dist.get_rank()}: n {result.a.n}, FID {result.fid!r}, KID {result.scores['kid'].value!r}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

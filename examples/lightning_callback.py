"""A callback of Lightning that logs the FID at the end of each validation, on any number of processes.

    python examples/lightning_callback.py      # one process
    python examples/lightning_callback.py 2    # two, with DDP and gloo

The module has a method `sample(number)` that returns a batch of images, (N, 3, H, W), floats in -1...1.
"""

import sys
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist

import fastfid

MODEL = {"model": "inception-v3-random", "dims": 64}  # untrained, no download; leave it out for published FIDs


class LogFID(pl.Callback):
    """Logs "fid" and its parts after each validation, of `batches` batches of samples from all processes together.

    `options` are those of `Monitor`: with ``metrics=["fid", "kid"]`` it logs "kid" as well.
    """

    def __init__(self, real: Any, batches: int, **options: Any) -> None:
        self.real, self.batches, self.options = real, batches, options
        self.monitor: fastfid.Monitor | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Open the network in the process that uses it; with a GPU each, on its own."""
        device = f"cuda:{trainer.local_rank}" if pl_module.device.type == "cuda" else "cpu"
        self.monitor = fastfid.Monitor(self.real, value_range=(-1, 1), quantise="round", device=device, **self.options)

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sample, score and log."""
        if trainer.sanity_checking:
            return
        for number in range(trainer.global_rank, self.batches, trainer.world_size):
            self.monitor.update(pl_module.sample(number))
        states = [self.monitor.state()]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            dist.all_gather_object(states, self.monitor.state())
        metrics = self.monitor.compute(states).as_metrics()  # the same in every process
        pl_module.log_dict(metrics, sync_dist=True)
        self.monitor.reset()


class Toy(pl.LightningModule):
    """A generator with one parameter: its brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor(-0.5))

    def sample(self, number: int) -> torch.Tensor:
        noise = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(number))
        return (noise * 2 - 1 + self.bias.cpu()).clamp(-1, 1)

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        return (self.bias - batch.mean() + 0.5) ** 2

    def validation_step(self, batch: torch.Tensor, _: int) -> None:
        self.log("val_loss", (self.bias - batch.mean() + 0.5) ** 2, sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def main() -> None:
    """Train the toy."""
    devices = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    images = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    real = (images * 255).byte().numpy()  # usually "real.npz"
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        devices=devices,
        strategy=pl.strategies.DDPStrategy(process_group_backend="gloo") if devices > 1 else "auto",
        callbacks=[LogFID(real, batches=8, **MODEL)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(images, batch_size=16)
    trainer.fit(Toy(), loader, loader)
    if trainer.is_global_zero:
        print(f"FID {trainer.callback_metrics['fid'].item()!r}")


if __name__ == "__main__":
    main()

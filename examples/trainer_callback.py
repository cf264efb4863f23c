"""A callback of the Trainer of Hugging Face's transformers that logs the FID at each evaluation.

    python examples/trainer_callback.py

The model has a method `sample(number)` that returns a batch of images, (N, 3, H, W), floats in -1...1.
"""

import tempfile
from typing import Any

import torch
import torch.distributed as dist
from transformers import Trainer, TrainerCallback, TrainingArguments

import fastfid

MODEL = {"model": "inception-v3-random", "dims": 64}  # untrained, no download; leave it out for published FIDs


class LogFID(TrainerCallback):
    """Logs "eval_fid" and its parts at each evaluation, which ``metric_for_best_model="fid"`` can use too."""

    def __init__(self, real: Any, batches: int, **options: Any) -> None:
        self.monitor = fastfid.Monitor(real, value_range=(-1, 1), quantise="round", **options)
        self.batches = batches
        self.trainer: Trainer | None = None  # set it: a callback cannot log by itself

    @torch.no_grad()
    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, **given: Any) -> None:
        """Sample, score and log."""
        model, metrics = given["model"], given["metrics"]
        for number in range(args.process_index, self.batches, args.world_size):
            self.monitor.update(model.sample(number))
        states = [self.monitor.state()]
        if args.world_size > 1:
            states = [None] * args.world_size
            dist.all_gather_object(states, self.monitor.state())
        scores = {f"eval_{name}": value for name, value in self.monitor.compute(states).as_metrics().items()}
        metrics.update(scores)
        self.monitor.reset()
        if self.trainer is not None:
            self.trainer.log(scores)


class Toy(torch.nn.Module):
    """A generator with one parameter: its brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor(-0.5))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.bias - images.mean() + 0.5) ** 2}

    def sample(self, number: int) -> torch.Tensor:
        noise = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(number))
        return (noise * 2 - 1 + self.bias.cpu()).clamp(-1, 1)


def main() -> None:
    """Train the toy."""
    images = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    callback = LogFID((images * 255).byte(), batches=8, **MODEL)  # usually "real.npz"
    data = [{"images": image} for image in images]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=3,
            per_device_train_batch_size=16,
            learning_rate=0.1,
            eval_strategy="epoch",
            save_strategy="epoch",
            metric_for_best_model="fid",
            greater_is_better=False,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(Toy(), arguments, train_dataset=data, eval_dataset=data, callbacks=[callback])
        callback.trainer = trainer
        trainer.train()
    logged = [entry["eval_fid"] for entry in trainer.state.log_history if "eval_fid" in entry]
    assert trainer.state.best_metric == min(logged)
    print(f"FID {logged[-1]!r}")


if __name__ == "__main__":
    main()

"""What a training run would take, found out without training: arithmetic, memory and disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iodine_kit.artifacts.dataset import dataset_info
from iodine_kit.config import Config, build
from iodine_kit.models import MODELS, ModelPlugin
from iodine_kit.runner import Context, Inputs, Tables
from iodine_kit.stages import train
from iodine_kit.training.config import TrainConfig, TrainExecution

if TYPE_CHECKING:
    from iodine_kit.training.estimate import Estimate


def estimate(
    plugin: ModelPlugin, model_config: Config, config: TrainConfig, execution: TrainExecution, height: int, width: int
) -> Estimate:
    """Predict a step on images of ``height``×``width``, computed as the tables of training say, by one process.

    Raises:
        ConfigError: for a batch that does not divide into ``train.accumulate`` parts.
    """
    from iodine_kit.training.estimate import estimate_step, with_copies
    from iodine_kit.training.resources import set_computation
    from iodine_kit.training.schedule import split_batch

    total = config.batch_size
    model = plugin.build(model_config, config.seed)
    set_computation(model, config, execution)
    found = estimate_step(model, total, height, width, split_batch(0, total, total, execution.accumulate))
    return with_copies(found, config)


_GAPS = 1.2
"""Freed memory is kept for the next step (:mod:`iodine_kit.system`), and not every tensor fits where another was: in
reports/benchmarks/ training took 1.1 to 1.7 times as much as its tensors, the most where they were the least."""


@dataclass(frozen=True)
class RunEstimate:
    """What a whole run takes.

    Attributes:
        step: of training.
        process_bytes: memory of the process on a CPU: a step's tensors with gaps between them, and what Python and
            PyTorch take without them.
        disk_bytes: the checkpoints that are kept, the next one while it is written, and the weights at the end.
    """

    step: Estimate
    process_bytes: int
    disk_bytes: int

    def facts(self) -> dict[str, Any]:
        """All figures by name."""
        return {**self.step.facts(), "process_bytes": self.process_bytes, "disk_bytes": self.disk_bytes}


def estimate_run(tables: Tables, inputs: Inputs, context: Context) -> RunEstimate:
    """Predict what training with these tables on this data set would take, or refuse what training would refuse."""
    from iodine_kit.training.memory import resident_bytes

    identity = train.plan(tables, inputs, context).identity
    values: dict[str, Any] = dict(identity.config["model"])
    plugin = MODELS.load(values.pop("name"))
    config, execution = train.configure(tables)
    info = dataset_info(inputs["dataset"])
    found = estimate(plugin, build(plugin.Config, values, "model"), config, execution, info.height, info.width)
    disk = (execution.keep + 1) * found.checkpoint_bytes + found.weight_bytes
    return RunEstimate(found, int(_GAPS * found.peak_bytes) + resident_bytes(), disk)

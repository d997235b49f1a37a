"""The program that torchrun starts on two ranks in ``test_distributed.py``, with the name of a scenario."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from unit.training.toy_model import trainer

from iodine_kit.errors import ConfigError, CorruptDataError, IodineKitError
from iodine_kit.models import Computation, LossTerms
from iodine_kit.records import Microbatch, SceneBatch
from iodine_kit.training.distributed import World, init_distributed

TOTAL, STEPS = 8, 4


class Line(nn.Module):
    """Least squares in float64; ``idle`` leaves one layer without a gradient, as IODINE may do with its refinement."""

    def __init__(self, idle: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.computation = Computation()
        self.layer = nn.Linear(5, 3).double()
        self.convolution = nn.Conv2d(3, 4, 2).double().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.skips = idle

    def noise(self, generator: torch.Generator, microbatch: Microbatch) -> Tensor:
        noise = torch.randn(microbatch.total, 5, dtype=torch.float64, generator=generator)
        return noise[microbatch.first : microbatch.first + microbatch.count]

    def forward(self, image: Tensor, noise: Tensor, total: int) -> LossTerms:
        y = self.layer(image.flatten(1)[:, :5].double() + noise)
        y = y if self.skips else self.convolution(y[:, :, None, None].expand(-1, -1, 2, 2)).tanh()
        nll, kl = (y**2).sum() / total, (y - 1).abs().sum() / total
        return LossTerms(nll + kl, nll, kl, nll.detach()[None], kl.detach()[None, None])


class Batches:
    """This rank's images of every step."""

    def __init__(self, first: int, count: int) -> None:
        self.place = slice(first, first + count)

    def whole(self, step: int) -> SceneBatch:
        image = np.random.default_rng(step).integers(0, 256, (TOTAL, 2, 2, 3), dtype=np.uint8)
        return SceneBatch(tuple(map(str, range(TOTAL))), image, image[..., 0])

    def prefetched(self, start: int, stop: int) -> Iterator[SceneBatch]:
        for step in range(start, stop):
            batch = self.whole(step)
            yield SceneBatch(batch.keys[self.place], batch.image[self.place], batch.mask[self.place])


def trained(world: World, out: Path, idle: bool, accumulate: int) -> dict[str, Any]:
    """Train a float64 model; return its weights."""
    model = Line(idle)
    if world.rank:  # the first rank's weights are to win
        nn.init.zeros_(model.layer.weight)
    trainer(
        out / f"{world.size} ranks, {idle}, {accumulate}", model,
        steps=STEPS, batch_size=TOTAL, accumulate=accumulate, world=world, threads=1,
    ).run(Batches(*world.local_batch(TOTAL)))  # fmt: skip
    return {name: value.tolist() for name, value in model.state_dict().items()}


def collectives(world: World, out: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"rank": world.rank, "first": world.first, "local_batch": world.local_batch(TOTAL)}
    found["any"] = [world.any(False), world.any(world.rank == 1), world.any(True)]
    added = [torch.tensor([float(world.rank + 1), 10.0]), torch.tensor(world.rank), torch.ones(2, 2).double()]
    world.all_reduce(added)
    found["added"] = [tensor.tolist() for tensor in added]
    found["shared"] = [
        len(world.share(b"" if world.first else b"x")),
        world.share(f"of {world.rank}".encode()).decode(),
    ]
    world.agree("configuration", {"train": {"steps": 3}})
    with_error = []
    actions = (
        lambda: world.local_batch(7),
        lambda: world.local_batch(1),
        lambda: world.agree("data set", {"key": world.rank}),
        lambda: world.device_for("cuda:1"),
    )
    for action in actions:
        try:
            action()
        except ConfigError as error:
            with_error.append(str(error))
    found["errors"], found["device"] = with_error, str(world.device_for("auto", 1))
    found["threads"] = torch.get_num_threads()
    for idle in (False, True):
        for accumulate in (1, 2):
            found[f"trained {idle} {accumulate}"] = trained(world, out, idle, accumulate)
    return found


def fails(world: World, out: Path) -> None:
    if world.rank == 1:
        raise CorruptDataError("shard-3.tar: cut short")
    world.barrier()


def all_fail(world: World, out: Path) -> None:
    raise CorruptDataError("shard-3.tar: cut short")


def dies(world: World, out: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as during training: torchrun asks the others to end
    if world.rank == 1:
        os._exit(9)
    world.barrier()


SCENARIOS: dict[str, Callable[[World, Path], Any]] = {
    "collectives": collectives, "fails": fails, "all_fail": all_fail, "dies": dies,
}  # fmt: skip


def main() -> None:
    scenario, out = SCENARIOS[sys.argv[1]], Path(sys.argv[2])
    status = 0
    try:
        with init_distributed() as world:
            found = scenario(world, out)
            (out / f"{world.rank}.json").write_text(json.dumps(found))
    except IodineKitError as error:
        sys.stderr.write(f"error: {error}\n")
        status = error.exit_status
    except SystemExit as left:
        status = int(left.code or 0)
        (out / f"quiet-{os.environ['RANK']}").write_text(str(status))
    sys.exit(status)


if __name__ == "__main__":
    main()

"""What two ranks do in the tests of ``test_distributed.py``: run by torchrun, with a scenario's name."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iodine_kit.errors import ConfigError, CorruptDataError, IodineKitError
from iodine_kit.training.distributed import World, joined

TOTAL = 8


class Line(nn.Module):
    """Least squares; ``idle`` leaves a layer out, as the model does its refinement network without refinement."""

    def __init__(self, idle: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(5, 3).double()
        self.convolution = nn.Conv2d(3, 4, 2).double().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.skips = idle

    def forward(self, x: Tensor, noise: Tensor, total: int) -> Tensor:
        y = self.layer(x + noise)
        y = y if self.skips else self.convolution(y[:, :, None, None].expand(-1, -1, 2, 2)).tanh()
        return (y**2).sum() / total


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(TOTAL, 5, dtype=torch.float64, generator=generator) for _ in range(2))  # type: ignore[return-value]


def trained(world: World, idle: bool, accumulate: int, steps: int = 3) -> dict[str, Any]:
    """Plain descent as the loop does it: parts of the rank's images, brought together after the last."""
    model = Line(idle)
    if world.rank:  # the first rank's weights are to win
        nn.init.zeros_(model.layer.weight)
    world.copy(model.state_dict().values())
    (x, noise), (first, count), losses = data(), world.part(TOTAL), []
    for _ in range(steps):
        summed = torch.zeros((), dtype=torch.float64)
        for at in torch.arange(first, first + count).chunk(accumulate):
            loss = model(x[at], noise[at], TOTAL)
            loss.backward()
            summed += loss.detach()
        used = [parameter for parameter in model.parameters() if parameter.grad is not None]
        world.add([summed, *(parameter.grad for parameter in used if parameter.grad is not None)])
        losses.append(summed.item())
        with torch.no_grad():
            for parameter in used:
                parameter -= 0.1 * parameter.grad
                parameter.grad = None
    return {"losses": losses, "weights": {name: value.tolist() for name, value in model.state_dict().items()}}


def collectives(world: World) -> dict[str, Any]:
    found: dict[str, Any] = {"rank": world.rank, "first": world.first, "part": world.part(TOTAL)}
    found["any"] = [world.any(False), world.any(world.rank == 1), world.any(True)]
    added = [torch.tensor([float(world.rank + 1), 10.0]), torch.tensor(world.rank), torch.ones(2, 2).double()]
    world.add(added)
    found["added"] = [tensor.tolist() for tensor in added]
    found["shared"] = [
        len(world.share(b"" if world.first else b"x")),
        world.share(f"of {world.rank}".encode()).decode(),
    ]
    world.agree("configuration", {"train": {"steps": 3}})
    with_error = []
    actions = (
        lambda: world.part(7),
        lambda: world.part(1),
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
            found[f"trained {idle} {accumulate}"] = trained(world, idle, accumulate)
    return found


def fails(world: World) -> None:
    if world.rank == 1:
        raise CorruptDataError("shard-3.tar: cut short")
    world.barrier()


def all_fail(world: World) -> None:
    raise CorruptDataError("shard-3.tar: cut short")


def dies(world: World) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as during training: torchrun asks the others to end
    if world.rank == 1:
        os._exit(9)
    world.barrier()


SCENARIOS: dict[str, Callable[[World], Any]] = {
    "collectives": collectives, "fails": fails, "all_fail": all_fail, "dies": dies,
}  # fmt: skip


def main() -> None:
    scenario, out = SCENARIOS[sys.argv[1]], Path(sys.argv[2])
    status = 0
    try:
        with joined() as world:
            found = scenario(world)
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

"""Training runs whose processes are killed by SIGKILL at random moments and started again, until they finish.

``python killed_processes.py DIRECTORY RUNS`` trains in DIRECTORY/whole without interruption, then in DIRECTORY/0, /1, …
Every process is forked, so that PyTorch is loaded once. It counts the lines that it executes in the training package
and its model, and kills itself at a random one; or while it writes a file, half of which is then on the disk.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch._dynamo  # Adam asks for it: loaded here, once for all processes
from unit.training.toy_model import NO_LOSS, Batches, trainer

import iodine_kit.training
from iodine_kit.training.loop import ValidationResult

PACKAGE, TOY = str(Path(iodine_kit.training.__file__).parent), str(Path(__file__).with_name("toy_model.py"))


def judge(model: Any, step: int) -> ValidationResult:
    """A validation whose best step is neither the first nor the last."""
    return ValidationResult({"fg_ari": 1 / (1 + abs(step - 6)), "val_loss": float(model.weight.sum())})


def train(directory: Path) -> None:
    """A run with every option that has a state."""
    torch.set_num_threads(1)
    trainer(
        directory, ema=0.8, geco_target=0.05, geco_rate=0.5, accumulate=2, skip_nonfinite=3, log_every=3,
        kl_schedule="geometric", kl_from=0.5, kl_begin=2, kl_end=9,
        validate_every=2, select="best", checkpoint_every=2, schedule="cosine", warmup_steps=3, validate=judge,
    ).run(Batches(values={4: NO_LOSS, 7: NO_LOSS}))  # fmt: skip


class KillAtLine:
    """Counts lines, and kills the process at line ``last`` unless it is 0."""

    def __init__(self, last: int = 0) -> None:
        self.lines, self.last = 0, last

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith((PACKAGE, TOY)):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def kill_while_writing(number: int) -> None:
    """Kill the process when it writes the ``number``-th file, half of which is then on the disk."""
    sync, left = os.fsync, [number]

    def half(descriptor: int) -> None:
        left[0] -= 1
        if not left[0]:
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            if flags & os.O_WRONLY and not flags & os.O_APPEND:  # a new file, neither a folder nor the log
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)

    os.fsync = half


def run_process(directory: Path, draw: random.Random, lines: int) -> bool:
    """Run one process; return whether it finished the training."""
    last, writing, at = draw.randint(1, lines), draw.random() < 0.3, draw.randint(1, 12)
    process = os.fork()
    if process == 0:
        try:
            if writing:
                kill_while_writing(at)
            else:
                sys.settrace(KillAtLine(last))
            train(directory)
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a process ended with an error"
    return not os.WIFSIGNALED(status)


def main(directory: Path, runs: int) -> None:
    """Print the number of processes that every run needed."""
    counted = directory / "lines"
    if os.fork() == 0:  # the parent does not train, so all children start from the same state
        tracer = KillAtLine()
        sys.settrace(tracer)
        train(directory / "whole")
        counted.write_text(str(tracer.lines))
        os._exit(0)
    os.wait()
    for seed in range(runs):
        draw, processes = random.Random(seed), 1
        while not run_process(directory / str(seed), draw, int(counted.read_text())):
            processes += 1
        sys.stdout.write(f"{processes}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""Two ranks on a CPU give the same as one process, and report a failure in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from unit.training.ranks_at_work import STEPS, trained

from iodine_kit.errors import ConfigError
from iodine_kit.training.distributed import SINGLE_PROCESS, init_distributed
from iodine_kit.training.run_files import METRICS, read_metrics

WORK = Path(__file__).with_name("ranks_at_work.py")


def two_ranks(scenario: str, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(WORK.parents[2])}
    return subprocess.run(
        [*command, str(WORK), scenario, str(out)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_collectives_of_a_single_process_return_its_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with init_distributed() as world:
        assert world is SINGLE_PROCESS and world.first and world.local_batch(7) == (0, 7)
        assert world.any(True) and not world.any(False) and world.share(b"a") == b"a"
        assert world.device_for("cpu") == torch.device("cpu")
        value = torch.tensor(2.0)
        world.all_reduce([value]), world.broadcast([value])
        assert value == 2
        world.agree("configuration", {}), world.barrier()
    with pytest.raises(ConfigError, match="cannot be used"):
        SINGLE_PROCESS.device_for("nonsense")


def test_a_single_process_imports_no_torch() -> None:
    """So that a command whose run is up to date answers at once."""
    program = """
import sys
from iodine_kit.training.distributed import init_distributed
with init_distributed() as world:
    assert "torch" not in sys.modules
"""
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


AFTER = """
import os
import torch
from iodine_kit.training.process_group import join_process_group
with join_process_group() as world:
    world.any(True)
    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.ones(3)
    torch.optim.Adam([weight], fused=True).step()  # imports modules of PyTorch that a single process does not need
names = [open(f"/proc/self/task/{thread}/comm").read() for thread in os.listdir("/proc/self/task")]
print([name for name in names if "gloo" in name])
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the names of threads from /proc")
def test_no_thread_of_gloo_is_left_when_python_exits() -> None:
    rank = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AFTER],
        env={**os.environ, "OMP_NUM_THREADS": "1", **rank}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_two_ranks_give_the_same_as_one_process_on_the_same_batch(tmp_path: Path) -> None:
    done = two_ranks("collectives", tmp_path)
    assert done.returncode == 0, done.stderr
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert (one["rank"], one["first"], one["local_batch"]) == (0, True, [0, 4])
    assert (other["rank"], other["first"], other["local_batch"]) == (1, False, [4, 4])
    assert (one["device"], one["threads"]) == ("cpu", 1)
    for rank in (one, other):
        assert (
            rank["any"] == [False, True, True]
            and rank["added"] == [[3, 20], 1, [[2, 2], [2, 2]]]
            and rank["shared"] == [0, "of 0"]
        )
        assert rank["errors"] == [
            "train.batch_size: 7 images do not divide among 2 ranks: set it to 6 or 8",
            "train.batch_size: 1 images do not divide among 2 ranks: set it to 2",
            "rank 1 has another data set than rank 0 (key: 0 -> 1): start all ranks with the same command on the same "
            "data and code",
            "train.device is cuda:1, a single GPU for all ranks: use auto or cuda",
        ]
    for idle in (False, True):
        alone = trained(SINGLE_PROCESS, tmp_path, idle, 1)
        for accumulate in (1, 2):
            for rank in (one, other):
                found = rank[f"trained {idle} {accumulate}"]
                assert found == one[f"trained {idle} {accumulate}"]  # to the bit
                torch.testing.assert_close(found, alone, rtol=1e-13, atol=1e-15)
            logged, expected = (
                read_metrics(tmp_path / f"{size} ranks, {idle}, {parts}" / METRICS)
                for size, parts in ((2, accumulate), (1, 1))
            )
            assert len(logged) == STEPS
            for row, other_row in zip(logged, expected, strict=True):
                for name, value in row.items():
                    assert value == pytest.approx(other_row[name], rel=1e-6), name  # seven digits are logged


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "sentence", "status"),
    [
        ("fails", "error: shard-3.tar: cut short", 6),
        ("all_fail", "error: shard-3.tar: cut short", 6),
        ("dies", "error: rank 0 lost its connection to another rank, which ended or cannot be reached; ", 15),
    ],
)
def test_a_failed_rank_is_reported_in_one_sentence_and_the_others_exit_without_one(
    tmp_path: Path, scenario: str, sentence: str, status: int
) -> None:
    done = two_ranks(scenario, tmp_path)
    said = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(said) == 1 and said[0].startswith(sentence), done.stderr
    assert done.returncode != 0 and "gloo" not in done.stderr and 'ranks_at_work.py", line' not in done.stderr
    quiet = list(tmp_path.glob("quiet-*"))
    assert all(path.read_text() == str(status) for path in quiet)
    assert scenario == "dies" or f"exitcode  : {status} " in done.stderr

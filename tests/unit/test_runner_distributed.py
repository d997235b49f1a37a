"""Several ranks make one artifact; the test runs the ranks one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from iodine_kit.errors import ConfigError, ResumeError
from iodine_kit.runner import Context, Job, agree, obtain_distributed
from iodine_kit.store import Identity, Reference, Store
from iodine_kit.training.distributed import World

MAKE, KEEP = b"make", b"keep"


class Rank(World):
    """One of two ranks. It receives ``received`` from the first rank, and records what it shared and compared."""

    size = 2

    def __init__(self, rank: int, received: bytes = b"") -> None:
        self.rank, self.received = rank, received
        self.shared: list[bytes] = []
        self.compared: dict[str, Any] = {}

    def share(self, data: bytes) -> bytes:
        self.shared.append(data)
        return data if self.first else self.received

    def agree(self, what: str, values: Mapping[str, Any]) -> None:
        self.compared[what] = values


def job(made: list[Path], **inputs: str) -> Job:
    references = {
        role: Reference(kind="dataset", name="d", key="0" * 64, content=text) for role, text in inputs.items()
    }
    identity = Identity(kind="run", name="r", stage="train", version=7, config={"steps": 3}, inputs=references)

    def make(out: Path) -> dict[str, Any]:
        made.append(out)
        (out / "weights").write_text("w")
        return {}

    return Job(identity, make, state="state-*")


def test_the_first_rank_announces_the_work_and_makes_the_artifact(tmp_path: Path) -> None:
    first, made = Rank(0), list[Path]()
    artifact = obtain_distributed(job(made), Context(Store(tmp_path), world=first))
    assert artifact and (artifact.path / "weights").exists() and first.shared == [MAKE] and len(made) == 1
    again = Rank(0)
    assert obtain_distributed(job(made), Context(Store(tmp_path), world=again)) == artifact
    assert again.shared == [KEEP] and len(made) == 1


def test_other_ranks_take_part_and_write_nothing(tmp_path: Path) -> None:
    made: list[Path] = []
    assert obtain_distributed(job(made), Context(Store(tmp_path), world=Rank(1, MAKE))) is None
    assert len(made) == 1 and not made[0].exists() and not list(tmp_path.iterdir())
    assert obtain_distributed(job(made), Context(Store(tmp_path), world=Rank(1, KEEP))) is None
    assert len(made) == 1


def test_an_error_before_the_work_starts_reaches_no_other_rank(tmp_path: Path) -> None:
    first = Rank(0)
    with pytest.raises(ResumeError, match="another process"), Store(tmp_path).draft(job([]).identity):
        obtain_distributed(job([]), Context(Store(tmp_path), world=first))
    assert first.shared == []


def test_the_ranks_compare_code_configuration_execution_and_the_contents_of_inputs() -> None:
    compared = []
    for content in ("a" * 64, "b" * 64):
        world = Rank(0)
        agree(world, job([], dataset=content), {"accumulate": 2})
        compared.append(world.compared)
    one, other = compared
    assert one["version of the code"]["train"] == 7 and {"iodine-kit", "torch"} <= one["version of the code"].keys()
    assert one["configuration"] == other["configuration"] == {"steps": 3, "execution": {"accumulate": 2}}
    assert one["input"] != other["input"]


def test_a_batch_must_be_divisible_by_the_number_of_ranks() -> None:
    with pytest.raises(ConfigError, match=r"train\.batch_size: 5 images do not divide among 2 ranks: set it to 4 or 6"):
        Rank(1).local_batch(5)
    assert Rank(1).local_batch(6) == (3, 3)

"""A predictions file that is made of parts has the bytes of one that is written at once, whatever interrupts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iodine_kit.errors import CorruptDataError, StorageError
from iodine_kit.predictions import assembly
from iodine_kit.predictions.assembly import PredictionAssembly
from iodine_kit.predictions.file import OPTIONAL, PredictionReader, PredictionWriter
from iodine_kit.records import PredictionBatch

TYPES = {"soft_mask": np.float16, "component": np.uint8, "step_mask": np.uint8, "mask": np.uint8}


class Killed(BaseException):
    """Ends the assembly where a kill could end the process."""


def scenes(keys: list[str], names: set[str], side: int) -> PredictionBatch:
    """Random predictions of 2 slots and 2 decodes for scenes of side × side pixels."""
    draw, shapes = (
        np.random.default_rng(len(keys)),
        {"component": (2, side, side, 3), "reconstruction": (side, side, 3)},
    )
    shapes |= {"mask": (side, side), "step_mask": (2, side, side), "soft_mask": (2, side, side)}
    shapes |= dict.fromkeys(("elbo", "nll", "kl"), (2,)) | dict.fromkeys(("latent_loc", "latent_scale"), (2, 5))
    values = {
        name: draw.integers(0, 250, (len(keys), *shapes[name])).astype(TYPES.get(name, np.float32))
        for name in ("mask", *names)
    }
    return PredictionBatch(tuple(keys), **values)


def rows(batch: PredictionBatch, start: int, stop: int) -> PredictionBatch:
    values: dict[str, Any] = {name: value[start:stop] for name, value in vars(batch).items() if value is not None}
    return PredictionBatch(**values)


def written(path: Path, batch: PredictionBatch, size: int, start: int = 0, stop: int | None = None) -> Path:
    stop = len(batch.keys) if stop is None else min(stop, len(batch.keys))
    with PredictionWriter(path, stop - start) as writer:
        for first in range(start, stop, size):
            writer.append(rows(batch, first, min(first + size, stop)))
    return path


@settings(max_examples=12)
@given(
    keys=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=40),
    names=st.sets(st.sampled_from(OPTIONAL)),
    side=st.sampled_from([1, 3, 20]),
    size=st.integers(1, 9),
    batches=st.integers(1, 4),
    kills=st.lists(st.integers(1, 18), max_size=6),
)
def test_the_bytes_are_those_of_one_go_whenever_it_is_killed(
    tmp_path_factory: pytest.TempPathFactory,
    keys: list[str],
    names: set[str],
    side: int,
    size: int,
    batches: int,
    kills: list[int],
) -> None:
    folder, batch = tmp_path_factory.mktemp("parts"), scenes(keys, names, side)
    expected = written(folder / "expected.h5", batch, size).read_bytes()
    whole, mark, step = folder / "whole.h5", folder / "mark", size * batches
    lives = iter([*kills, 0])
    with pytest.MonkeyPatch.context() as patch:
        finished = False
        while not finished:
            left = next(lives)

            def sync_or_die(descriptor: int, sync: Any = os.fsync) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                sync(descriptor)

            with patch.context() as attempt:
                attempt.setattr("os.fsync", sync_or_die)
                growing = PredictionAssembly(whole, mark, keys, size)
                try:
                    while growing.rows < len(keys):
                        start = growing.rows
                        growing.append(written(folder / "part.unit", batch, size, start, start + step))
                    finished = True
                except Killed:
                    continue
    assert whole.read_bytes() == expected


def test_a_part_with_other_scenes_and_a_full_disk_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["a", "b", "c", "d"]
    batch = scenes(keys, {"elbo"}, 2)
    growing = PredictionAssembly(tmp_path / "whole.h5", tmp_path / "mark", keys, 2)
    other = written(tmp_path / "other.unit", scenes(["x", "y"], {"elbo"}, 2), 2)
    with pytest.raises(CorruptDataError, match=r"other\.unit: holds other scenes than"):
        growing.append(other)
    assert growing.append(written(tmp_path / "first.unit", batch, 2, 0, 2)) == 2
    second = written(tmp_path / "second.unit", batch, 2, 2, 4)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(assembly, "sync_to_disk", full)
        with pytest.raises(StorageError, match=r"whole\.h5: cannot be written .*free disk space"):
            growing.append(second)
    again = PredictionAssembly(tmp_path / "whole.h5", tmp_path / "mark", keys, 2)
    assert again.rows == 2 and again.append(second) == 2
    expected = written(tmp_path / "expected.h5", batch, 2)
    assert (tmp_path / "whole.h5").read_bytes() == expected.read_bytes()


def test_what_changed_after_an_interruption_is_not_used(tmp_path: Path) -> None:
    """Every byte of the file counts, but those of rows that are not in place yet: they are written anyway."""
    keys = [f"scene-{number}" for number in range(4)]
    batch, whole, mark = scenes(keys, {"elbo"}, 3), tmp_path / "whole.h5", tmp_path / "mark"
    expected = written(tmp_path / "expected.h5", batch, 2).read_bytes()
    PredictionAssembly(whole, mark, keys, 2).append(written(tmp_path / "first.h5", batch, 2, 0, 2))
    right, in_place = whole.read_bytes(), mark.read_text()
    reader = PredictionReader(whole)
    free = {at for place in reader.places().values() for at in place[len(place) // 2 :]}
    reader.close()
    assert len(free) == 2 * (3 * 3 + 2 * 4)  # two rows of mask and elbo
    flips = [(right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :], at in free) for at in range(0, len(right), 7)]
    for changed, usable in [(right + b"x", False), (right[:-1], False), *flips]:
        whole.write_bytes(changed)
        growing = PredictionAssembly(whole, mark, keys, 2)
        assert (growing.rows > 0) == usable
        if usable:
            growing.append(written(tmp_path / "second.h5", batch, 2, 2, 4))
            assert whole.read_bytes() == expected
            mark.write_text(in_place)
    whole.write_bytes(right)
    mark.write_text(in_place.replace("2", "1", 1))
    assert PredictionAssembly(whole, mark, keys, 2).rows == 0
    mark.write_text(in_place)
    assert PredictionAssembly(whole, mark, keys, 2).rows == 2

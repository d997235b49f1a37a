"""Padding is never counted, and what it does to R² where it is."""

from __future__ import annotations

import numpy as np
import pytest
from unit.evaluation.probing.scenes import ROOM, made

from iodine_kit.errors import SchemaError
from iodine_kit.evaluation.probing.factors import Factor, factors_of
from iodine_kit.evaluation.probing.objects import Objects
from iodine_kit.evaluation.probing.prediction import CrossValidation, predict
from iodine_kit.evaluation.probing.scores import score

VALIDATION = CrossValidation(folds=5, seed=0)


def r2(objects: Objects, values: np.ndarray) -> float:
    factor = Factor("size", "number", values.astype(np.float64))
    return score(factor, predict("linear", objects, [factor], VALIDATION, lambda _: None).values["size"])


def test_padding_makes_r2_of_latents_that_know_nothing_high_and_ours_has_none() -> None:
    world = made(150, 4)
    there = world.factors["visibility"] > 0
    world.factors["size"] = np.where(there, 5 + world.factors["size"], 0)
    for scene, slots in enumerate(world.slot_NE):
        found = slots[1 : world.counts_N[scene] + 1]
        world.loc_NKZ[scene, found] += 3  # a slot that holds an object looks otherwise, and says no more than that
    ours = world.gathered()
    assert len(ours) == world.counts_N.sum()
    assert r2(ours, ours.factors["size"]) < 0.05

    scene, entity = np.divmod(np.arange(150 * ROOM), ROOM)
    padded = Objects(world.loc_NKZ, scene, world.slot_NE[scene, entity + 1], {})
    assert r2(padded, world.factors["size"][scene, entity + 1]) > 0.6


def test_errors_of_absent_objects_taken_as_0_make_r2_the_share_of_absent_ones() -> None:
    world = made(200, 4)
    ours = world.gathered()
    factor = Factor("size", "number", ours.factors["size"].astype(np.float64))
    errors = (predict("linear", ours, [factor], VALIDATION, lambda _: None).values["size"] - factor.values) ** 2
    rows = np.zeros(200 * (ROOM + 1))  # the background's row too
    rows[: len(ours)] = errors / factor.values.var()
    assert 1 - rows.mean() > 0.4 and abs(score(factor, np.full(len(ours), factor.values.mean()))) < 1e-9
    assert abs(1 - errors.mean() / factor.values.var()) < 0.05


def test_every_visible_object_is_gathered_once_with_its_own_factor_and_slot() -> None:
    world = made(30, 2)
    for objects in (world.gathered(), world.gathered(at_once=7)):
        wanted = [(scene, entity) for scene in range(30) for entity in range(1, world.counts_N[scene] + 1)]
        scene, entity = np.array(wanted).T
        assert (objects.scene_M == scene).all()
        assert (objects.slot_M == world.slot_NE[scene, entity]).all()
        assert (objects.factors["size"] == world.factors["size"][scene, entity]).all()
        assert set(objects.factors) == {"size"}, "whether an entity is there is no factor of those that are"


def test_an_object_that_lost_all_its_pixels_to_others_is_not_counted() -> None:
    world = made(10, 2, counts=np.full(10, ROOM))
    world.mask[3][world.mask[3] == 2] = 1
    assert (world.gathered().scene_M == 3).sum() == ROOM - 1


def test_a_mask_without_factors_and_latents_without_a_value_are_refused() -> None:
    world = made(10, 2)
    world.mask[4, 0, 0] = ROOM + 3
    with pytest.raises(SchemaError, match=f"'test-004' has entity {ROOM + 3}"):
        world.gathered()
    world = made(10, 2)
    world.loc_NKZ[7, 0, 1] = np.nan
    with pytest.raises(SchemaError, match="'test-007' are not finite"):
        world.gathered()
    world = made(10, 2)
    world.guess[2, 0, 0] = ROOM + 1
    with pytest.raises(SchemaError, match="'test-002' has slot 5, but there are latents of 5 slots"):
        world.gathered()


def test_what_is_a_number_and_what_a_class() -> None:
    rng = np.random.default_rng(0)
    columns = {
        "shape": np.arange(40.0) % 3 + 7,
        "colour": np.eye(3, dtype=np.float32)[rng.integers(0, 3, 40)],
        "hue": rng.normal(size=(40, 3)),
        "x": np.arange(40) % 30,
        "row": np.arange(40.0) % 5,
        "kind": (np.arange(40) % 5).astype(np.uint8),
        "flag": np.arange(40) % 2 == 0,
        "same": np.full(40, 0.1, np.float32),
        "word": np.array(["a", "b"] * 20),
        "hole": np.where(np.arange(40) == 3, np.nan, 1.0),
    }
    found, left_out = factors_of(columns, {"shape": ()})
    kinds = {factor.name: (factor.kind, factor.classes) for factor in found}
    assert kinds == {
        "shape": ("class", 3), "colour": ("class", 3), "kind": ("class", 5), "flag": ("class", 2), "x": ("number", 0),
        "row": ("number", 0), "hue[0]": ("number", 0), "hue[1]": ("number", 0), "hue[2]": ("number", 0),
    }  # fmt: skip
    assert set(left_out) == {"same", "word", "hole"} and "same value" in left_out["same"]
    few, _ = factors_of({"kind": columns["kind"][:12], "hue": columns["hue"][:12]}, {})
    assert {factor.kind for factor in few} == {"number"}, "of twelve objects all values are few"
    hue = next(factor for factor in found if factor.name == "hue[1]")
    assert (hue.values == columns["hue"][:, 1]).all()

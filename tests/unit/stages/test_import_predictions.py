"""Others' predictions become an artifact that scores as it should, or are refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner
from unit.stages.foreseen import store_masks
from unit.stages.test_evaluate import guesses, true_masks

from iodine_kit.artifacts.evaluations import read_scores
from iodine_kit.cli.app import app
from iodine_kit.errors import (
    ConfigError,
    CountError,
    ImageSizeError,
    IodineKitError,
    SchemaError,
)
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.progress import Silent
from iodine_kit.runner import Context, obtain
from iodine_kit.stages import evaluate, import_predictions
from iodine_kit.store import Artifact, Store

N = 6
TRUTH = true_masks(N)
GUESSES = guesses(TRUTH)
KEYS = np.array([f"test-{i:03d}" for i in range(N)])
SLOTS = 4
PLANES = np.moveaxis(np.eye(SLOTS, dtype=np.uint8)[GUESSES], -1, 1)
RNG = np.random.default_rng(1)
LOGITS = (RNG.normal(size=PLANES.shape) + 8 * PLANES).astype(np.float32)
SOFT = (np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)).astype(np.float32)


class Notes(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str, *, routine: bool = False) -> None:
        self.said.append(text)


@pytest.fixture
def dataset(tmp_path: Path) -> Artifact:
    return store_masks(tmp_path / "store", TRUTH)


def bring(dataset: Artifact, source: Path, reporter: Silent | None = None, **config: Any) -> Artifact:
    store, reporter = Store(dataset.path.parents[1]), reporter or Silent()
    tables = {"import": {"model": "Slot Attention", **config}}
    return obtain(
        import_predictions.plan(tables, {"dataset": dataset}, Context(store, reporter), source),
        Context(store, reporter),
    )


def npz(place: Path, **arrays: Any) -> Path:
    np.savez(place / "theirs.npz", **arrays)
    return place / "theirs.npz"


def scores(predictions: Artifact, dataset: Artifact) -> dict[str, np.ndarray]:
    job = evaluate.plan(
        {"eval": {"resamples": 100}}, {"predictions": predictions, "dataset": dataset}, Context(Store.of(dataset))
    )
    return read_scores(obtain(job, Context(Store(dataset.path.parents[1]))))


SPELLINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "labels": ({"mask": GUESSES}, {}),
    "float labels from 1 with an axis of 1": (
        {"seg": GUESSES[..., None] + 1.0},
        {"mask": "seg", "axes": "NHW1", "first_label": 1},
    ),
    "one-hot": ({"mask": PLANES}, {"axes": "NKHW", "values": "one-hot"}),
    "one-hot 0/255, slots last": (
        {"m": 255 * np.moveaxis(PLANES, 1, -1)},
        {"soft_mask": "m", "axes": "NHWK", "values": "one-hot"},
    ),
    "probabilities": ({"soft_mask": SOFT}, {}),
    "probabilities as float16 beside labels": ({"soft_mask": SOFT.astype(np.float16), "mask": GUESSES}, {}),
    "logits, axis of 1": ({"alpha": LOGITS[..., None]}, {"soft_mask": "alpha", "axes": "NKHW1", "values": "logits"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_of_the_same_masks_is_read_as_the_same(tmp_path: Path, dataset: Artifact, name: str) -> None:
    arrays, config = SPELLINGS[name]
    made = bring(dataset, npz(tmp_path, key=KEYS, **arrays), **config)
    read = PredictionReader(made.path / PREDICTIONS)
    np.testing.assert_array_equal(read.column("mask"), GUESSES)
    assert read.keys == list(KEYS)
    if "soft_mask" in read.fields():
        np.testing.assert_allclose(read.column("soft_mask"), SOFT, atol=1e-3)
    planes = "labels" not in name or "beside" in name
    expected = {"scenes": N, "split": "test", "steps": None, "restarts": 1, "model": "Slot Attention"}
    assert made.facts.items() >= expected.items()
    assert made.facts["slots"] == (SLOTS if planes else GUESSES.max() + 1)
    assert made.facts["imported"]["mapping"].items() >= config.items()
    identity = made.manifest.identity
    assert set(identity.inputs) == {"dataset"} and identity.sources[0].name == "theirs.npz"
    assert identity.name == "slot-attention-blocks"


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float32, np.uint64])
def test_large_labels_are_renumbered_scene_by_scene_with_a_note(
    tmp_path: Path, dataset: Artifact, dtype: type[np.generic]
) -> None:
    ids = np.array([7, 300, 26_001, 65_535]).astype(dtype)
    labels, notes = ids[GUESSES], Notes()
    labels[0] = GUESSES[0]
    made = bring(dataset, npz(tmp_path, key=KEYS, mask=labels), notes)
    read = PredictionReader(made.path / PREDICTIONS).column("mask")
    np.testing.assert_array_equal(read[0], GUESSES[0])
    for scene in range(1, N):
        _, expected = np.unique(GUESSES[scene], return_inverse=True)
        np.testing.assert_array_equal(read[scene], expected.reshape(GUESSES[scene].shape))
    assert any("5 scenes with labels above 254, renumbered" in text for text in notes.said)


def test_the_remedy_for_negative_labels_makes_them_a_slot(tmp_path: Path, dataset: Artifact) -> None:
    source = npz(tmp_path, key=KEYS, mask=GUESSES.astype(np.int64) - 1)
    with pytest.raises(SchemaError, match=r"set import\.first_label = -1"):
        bring(dataset, source)
    made = bring(dataset, source, first_label=-1)
    np.testing.assert_array_equal(PredictionReader(made.path / PREDICTIONS).column("mask"), GUESSES)


def test_pictures_of_labels_may_have_any_mode_and_depth(tmp_path: Path, dataset: Artifact) -> None:
    """Grey of 16 bits, a palette, colours, and colours over transparency: the partition is the same in all."""
    palette = np.array([[0, 0, 0], [250, 0, 0], [0, 250, 0], [0, 0, 250]], np.uint8)
    alpha = np.where(GUESSES == 0, 0, 255).astype(np.uint8)
    kinds = {
        "16 bits": GUESSES.astype(np.uint16) * 9000,
        "colours": palette[GUESSES],
        "transparency": np.concatenate([palette[GUESSES], alpha[..., None]], -1),
        "grey and transparency": np.stack([GUESSES, alpha], -1),
    }
    for name, pixels in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        for key, one in zip(KEYS, pixels, strict=True):
            Image.fromarray(one).save(folder / f"{key}.png")
        read = PredictionReader(bring(dataset, folder).path / PREDICTIONS).column("mask")
        for mask, expected in zip(read, GUESSES, strict=True):
            pairs = {(int(one), int(other)) for one, other in zip(mask.flat, expected.flat, strict=True)}
            assert len(pairs) == len(np.unique(mask)) == len(np.unique(expected)), name


def test_another_order_is_put_right_by_keys_and_told(tmp_path: Path, dataset: Artifact) -> None:
    order, notes = np.random.default_rng(0).permutation(N), Notes()
    made = bring(dataset, npz(tmp_path, key=KEYS[order], mask=GUESSES[order]), notes)
    np.testing.assert_array_equal(PredictionReader(made.path / PREDICTIONS).column("mask"), GUESSES)
    assert any("another order" in text for text in notes.said)


def test_pictures_are_found_by_their_names_or_taken_in_order(tmp_path: Path, dataset: Artifact) -> None:
    named, numbered = tmp_path / "named", tmp_path / "numbered"
    for folder, names in ((named, KEYS), (numbered, range(9, 9 + N))):
        folder.mkdir()
        for name, mask in zip(names, GUESSES, strict=True):
            Image.fromarray(mask).save(folder / f"{name}.png")
    for folder, order in ((named, "keys"), (numbered, "dataset")):
        made = bring(dataset, folder, order=order)
        np.testing.assert_array_equal(PredictionReader(made.path / PREDICTIONS).column("mask"), GUESSES)


def test_a_predictions_file_of_ours_scores_the_same_after_a_round_trip(tmp_path: Path, dataset: Artifact) -> None:
    image = RNG.random((N, *TRUTH.shape[1:], 3)).astype(np.float32)
    nats = {name: RNG.normal(size=(N, 3)).astype(np.float32) for name in ("elbo", "nll", "kl")}
    fields = {"soft_mask": SOFT, "reconstruction": image, **nats, "latent_loc": RNG.normal(size=(N, SLOTS, 2))}
    first = bring(dataset, npz(tmp_path, key=KEYS, mask=GUESSES, **fields))
    read = PredictionReader(first.path / PREDICTIONS)
    again = bring(dataset, first.path / PREDICTIONS, model="again")
    order = np.arange(N)[::-1]
    columns = {name: read.column(name)[order] for name in read.fields()}
    np.savez_compressed(tmp_path / "again.npz", key=np.array(read.keys)[order], **columns)
    third = bring(dataset, tmp_path / "again.npz", model="third")
    expected = scores(first, dataset)
    assert len(expected) > 12 and "elbo" in expected and "mse" in expected
    np.testing.assert_allclose(expected["elbo"], nats["elbo"][:, -1])
    for made in (again, third):
        found = scores(made, dataset)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_colours_come_in_three_ranges(tmp_path: Path, dataset: Artifact) -> None:
    image = RNG.integers(0, 256, (N, *TRUTH.shape[1:], 3), np.uint8)
    for number, (values, config) in enumerate(
        [
            (image, {}),
            (image / 255, {}),
            ((image / 127.5 - 1).transpose(0, 3, 1, 2), {"colours": "signed", "reconstruction_axes": "NCHW"}),
            (image.astype(float), {"colours": "bytes"}),
        ]
    ):
        made = bring(
            dataset, npz(tmp_path, key=KEYS, mask=GUESSES, reconstruction=values), model=f"m{number}", **config
        )
        stored = PredictionReader(made.path / PREDICTIONS).column("reconstruction")
        np.testing.assert_allclose(stored, image / 255, atol=1e-6)


def test_masks_of_twice_the_size_come_down_to_the_same(tmp_path: Path, dataset: Artifact) -> None:
    made = bring(dataset, npz(tmp_path, key=KEYS, mask=GUESSES.repeat(2, 1).repeat(2, 2)), resize="nearest")
    np.testing.assert_array_equal(PredictionReader(made.path / PREDICTIONS).column("mask"), GUESSES)


def test_the_first_scenes_alone_if_that_is_said(tmp_path: Path, dataset: Artifact) -> None:
    made = bring(dataset, npz(tmp_path, mask=GUESSES[:4]), order="dataset", scenes=4)
    assert made.facts["scenes"] == 4 and len(scores(made, dataset)["ari"]) == 4


def at(array: np.ndarray, value: float) -> np.ndarray:
    """The array with one cell of scene 2 altered."""
    altered = array.astype(np.float32)
    altered[(2, *[1] * (array.ndim - 1))] = value
    return altered


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], type[IodineKitError], str]] = {
    "missing keys": ({"key": KEYS[:4], "mask": GUESSES[:4]}, {}, SchemaError, "2 scenes .* missing.*'test-004'"),
    "doubled key": ({"key": KEYS[[0, 1, 2, 3, 4, 4]], "mask": GUESSES}, {}, SchemaError, "'test-004' occurs more"),
    "unknown key": ({"key": [*KEYS[:5], "x"], "mask": GUESSES}, {}, SchemaError, "1 of 6 keys .* 'x'; 1 .*'test-005'"),
    "integer keys": ({"key": np.arange(N), "mask": GUESSES}, {}, SchemaError, "import.order = 'dataset'"),
    "float keys": ({"key": np.arange(N) / 2, "mask": GUESSES}, {}, SchemaError, "keys are one text per scene"),
    "keys of another number": ({"key": KEYS, "mask": GUESSES[:4]}, {}, CountError, "6 keys and 4 masks"),
    "no keys": ({"mask": GUESSES}, {}, SchemaError, "import.order = 'dataset'"),
    "no keys, fewer rows": ({"mask": GUESSES[:4]}, {"order": "dataset"}, CountError, "has 4 rows"),
    "no keys, more rows": ({"mask": GUESSES}, {"order": "dataset", "scenes": 4}, CountError, "has 6 rows"),
    "contradicting keys": ({"key": KEYS[::-1], "mask": GUESSES}, {"order": "dataset"}, SchemaError, "mix up"),
    "too many scenes": ({"mask": GUESSES}, {"scenes": 99}, CountError, "6 scenes, not 99"),
    "no such split": ({"mask": GUESSES}, {"split": "tset"}, CountError, "did you mean 'test'"),
    "other size": ({"key": KEYS, "mask": GUESSES[:, 1:]}, {}, ImageSizeError, "7×8 pixels"),
    "no scene": ({"key": KEYS[:0], "mask": GUESSES[:0]}, {}, CountError, "no scene"),
    "wrong number of axes": ({"key": KEYS, "mask": PLANES}, {}, SchemaError, "does not fit the axes NHW"),
    "axis that is not 1": ({"key": KEYS, "mask": PLANES}, {"axes": "N1HW"}, SchemaError, "does not fit the axes"),
    "axes in another order": ({"key": KEYS, "soft_mask": SOFT}, {"axes": "NHWK"}, ImageSizeError, "import.axes"),
    "no array of masks": ({"key": KEYS, "seg": GUESSES}, {}, SchemaError, "only key, seg"),
    "array named but not there": ({"key": KEYS, "seg": GUESSES}, {"mask": "sge"}, SchemaError, "did you mean 'seg'"),
    "texts for masks": ({"key": KEYS, "mask": KEYS}, {"axes": "NHW"}, SchemaError, "does not fit"),
    "labels called logits": ({"key": KEYS, "mask": GUESSES}, {"values": "logits"}, SchemaError, "with a K"),
    "label below the first": ({"key": KEYS, "mask": GUESSES}, {"first_label": 1}, SchemaError, "below 1"),
    "negative label": ({"key": KEYS, "mask": at(GUESSES, -1)}, {}, SchemaError, r"scene 'test-002', pixel \(1, 1\)"),
    "label too high": (
        {"key": KEYS, "mask": at(GUESSES, 255), "soft_mask": SOFT}, {}, SchemaError, "at most 255 slots",
    ),
    "too many labels": (
        {"key": KEYS, "mask": np.arange(N * 256).reshape(N, 16, 16)}, {"resize": "nearest"}, SchemaError,
        "scene 'test-000': has 256 labels, and there can be at most 255",
    ),
    "label not whole": ({"key": KEYS, "mask": at(GUESSES, 0.5)}, {}, SchemaError, "not a whole number"),
    "label NaN": ({"key": KEYS, "mask": at(GUESSES, np.nan)}, {}, SchemaError, "not finite"),
    "soft mask NaN": ({"key": KEYS, "soft_mask": at(SOFT, np.nan)}, {}, SchemaError, "'test-002'.* not finite"),
    "soft mask negative": ({"key": KEYS, "soft_mask": at(SOFT, -1)}, {}, SchemaError, "'logits'"),
    "soft mask of another sum": ({"key": KEYS, "soft_mask": SOFT * 1.01}, {}, SchemaError, "sum to 1"),
    "logit infinite": ({"key": KEYS, "soft_mask": at(LOGITS, np.inf)}, {"values": "logits"}, SchemaError, "infinite"),
    "one-hot of two": ({"key": KEYS, "soft_mask": PLANES * 0 + 1}, {"values": "one-hot"}, SchemaError, "exactly one"),
    "one-hot of others": ({"key": KEYS, "soft_mask": PLANES * 2}, {"values": "one-hot"}, SchemaError, "other than"),
    "256 slots": ({"key": KEYS, "soft_mask": np.zeros((N, 256, 8, 8))}, {}, SchemaError, "1 to 255 slots"),
    "labels of the truth": ({"key": KEYS, "mask": TRUTH, "soft_mask": SOFT[:, ::-1]}, {}, SchemaError, "true masks"),
    "latents of other slots": (
        {"key": KEYS, "soft_mask": SOFT, "latent_loc": np.zeros((N, 5, 2))}, {}, SchemaError, "numbers of slots",
    ),
    "negative deviation": (
        {"key": KEYS, "soft_mask": SOFT, "latent_scale": np.full((N, 4, 2), -1)}, {}, SchemaError, "its logarithm",
    ),
    "rows of another number": (
        {"key": KEYS, "mask": GUESSES, "elbo": np.zeros(4)}, {}, CountError, "different numbers of scenes",
    ),
    "loss NaN": ({"key": KEYS, "mask": GUESSES, "kl": np.full(N, np.nan)}, {}, SchemaError, "NaN or infinite"),
    "colours as bytes": (
        {"key": KEYS, "mask": GUESSES, "reconstruction": np.full((N, 8, 8, 3), 200.0)}, {}, SchemaError, "'bytes'",
    ),
    "reconstruction of another size": (
        {"key": KEYS, "mask": GUESSES, "reconstruction": np.zeros((N, 4, 4, 3))}, {}, ImageSizeError, "= 'none'",
    ),
    "unknown key of the mapping": ({"mask": GUESSES}, {"ordr": "keys"}, ConfigError, "did you mean 'order'"),
    "impossible axes": ({"mask": GUESSES}, {"axes": "HWN"}, ConfigError, "one letter for each axis"),
    "a model without a name": ({"mask": GUESSES}, {"model": "-"}, ConfigError, "import.model: write a name"),
    "a name of two lines": ({"mask": GUESSES}, {"model": "a\nb"}, ConfigError, "import.model: write a name"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_meant_is_refused_in_a_sentence(tmp_path: Path, dataset: Artifact, name: str) -> None:
    arrays, config, kind, words = FAULTS[name]
    source = npz(tmp_path, **arrays)
    with pytest.raises(kind) as caught:
        bring(dataset, source, **config)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "store").glob("predictions/*"))


def test_the_command_line_imports_and_eval_takes_such_a_file_itself(tmp_path: Path, dataset: Artifact) -> None:
    source = npz(tmp_path, names=KEYS, mask=PLANES)
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[import]\nkey = "names"\naxes = "NKHW"\nvalues = "one-hot"\n')
    store = ["--store", str(dataset.path.parents[1])]

    def run(*arguments: object, status: int = 0) -> Any:
        done = CliRunner().invoke(app, [*map(str, arguments), *store])
        assert done.exit_code == status, done.output
        return done

    given = ["--dataset", dataset.path, "--model", "Theirs", "--mapping", mapping]
    made = Path(run("import-predictions", source, *given).stdout.strip())
    assert made.name.startswith("theirs-blocks-")
    assert "up to date" in run("import-predictions", source, *given).stderr
    settings = ["--set", "import.key=names", "--set", "import.axes=NKHW", "--set", "import.values=one-hot"]
    direct = run("eval", "--predictions", source, *settings, "--set", "import.model=Theirs", "--metric", "ari")
    assert "up to date: " in direct.stderr
    assert run("eval", "--predictions", made, "--metric", "ari").stdout == direct.stdout
    named = run("eval", "--predictions", source, *settings, "--metric", "ari")
    assert "/theirs-blocks-" in named.stdout
    done = run("eval", "--predictions", made, *settings, status=ConfigError.exit_status)
    assert "import.key" in done.stderr
    mapping.write_text("[imports]\n")
    assert "did you mean 'import'" in run("import-predictions", source, *given, status=ConfigError.exit_status).stderr

"""Pictures and predictions keep their names, and names say which belong together."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unicodedata import normalize

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support import Command, put, scene, score


def described(folder: Path, printed: str) -> dict[str, Any]:
    """The description of the data set whose path a command printed."""
    return dict(json.loads((folder / printed.strip() / "dataset.json").read_text("utf-8")))


def keys(folder: Path, printed: str, split: str = "train") -> list[str]:
    """Scene keys of a split of a data set."""
    with h5py.File(folder / printed.strip() / f"{split}.h5") as file:
        return [key.decode() for key in file["key"]]


def pictures(folder: Path, names: list[str], predictions: list[str] | None = None) -> None:
    """Images and masks with these names, and predictions that are the true masks, under these or other names."""
    for seed, name in enumerate(names):
        image, mask = scene(seed, objects=4)
        put(folder / f"in/images/{name}.png", image)
        put(folder / f"in/masks/{name}.png", mask)
        put(folder / f"pred/{(predictions or names)[seed]}.png", mask)


def prepared(iodine_kit: Command, count: int) -> str:
    done = iodine_kit("prepare", "folder", "--source", "in", "--split", f"test={count}", "--store", "store")
    return done.stdout.strip()


def evaluated(iodine_kit: Command, dataset: str, predictions: str = "pred", *options: str, status: int = 0) -> Any:
    common = ("--dataset", dataset, "--metric", "ari", "--store", "store")
    return iodine_kit("eval", "--predictions", predictions, *common, *options, status=status)


ADVISED = ("--set", "import.order=dataset")


@pytest.mark.parametrize("options", [(), ADVISED])
def test_predictions_named_like_pictures_belong_to_them(
    options: tuple[str, ...], iodine_kit: Command, tmp_path: Path
) -> None:
    pictures(tmp_path, [str(number) for number in range(1, 13)])
    done = evaluated(iodine_kit, prepared(iodine_kit, 12), "pred", *options)
    assert score(tmp_path, done.stdout) == 1


@pytest.mark.parametrize("spelling", ["shuffled", "suffix", "path", "other form", "bytes"])
def test_keys_in_a_file_mean_pictures_in_any_spelling(spelling: str, iodine_kit: Command, tmp_path: Path) -> None:
    names = ["café/frame_1.5", "café/frame_10", "b/frame_2", "b/x y"]
    pictures(tmp_path, names)
    masks, order = np.stack([scene(seed, objects=4)[1] for seed in range(4)]), [2, 0, 3, 1]
    change = {
        "shuffled": lambda name: name,
        "suffix": lambda name: f"{name}.png",
        "path": lambda name: f"/data/masks/{name.rpartition('/')[2]}.png",
        "other form": lambda name: normalize("NFD", name),
        "bytes": lambda name: name.encode(),
    }[spelling]
    np.savez(tmp_path / "pred.npz", mask=masks[order], key=np.array([change(names[row]) for row in order]))
    done = evaluated(iodine_kit, prepared(iodine_kit, 4), "pred.npz")
    assert score(tmp_path, done.stdout) == 1


def test_names_in_the_order_of_other_scenes_contradict_the_order_of_the_data_set(
    iodine_kit: Command, tmp_path: Path
) -> None:
    names = ["1", "2", "3", "10"]
    pictures(tmp_path, names)
    masks = np.stack([scene(seed, objects=4)[1] for seed in (0, 3, 1, 2)])
    np.savez(tmp_path / "pred.npz", mask=masks, key=np.array(["1.png", "10.png", "2.png", "3.png"]))
    dataset = prepared(iodine_kit, 4)
    done = evaluated(iodine_kit, dataset, "pred.npz", *ADVISED, status=7)
    assert "'10.png'" in done.stderr and "import.key = 'none'" in done.stderr
    assert score(tmp_path, evaluated(iodine_kit, dataset, "pred.npz").stdout) == 1
    ignored = evaluated(iodine_kit, dataset, "pred.npz", *ADVISED, "--set", "import.key=none")
    assert score(tmp_path, ignored.stdout) < 1


def test_names_that_match_in_part_are_counted_and_shown(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path, ["1", "2", "3", "4"], ["1", "2", "left", "right"])
    dataset = prepared(iodine_kit, 4)
    error = evaluated(iodine_kit, dataset, status=7).stderr
    assert "2 of 4 keys" in error and "'left'" in error and "'3'" in error
    assert score(tmp_path, evaluated(iodine_kit, dataset, "pred", *ADVISED).stdout) == 1


def test_the_names_of_pictures_are_the_keys_of_scenes(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(150):
        put(tmp_path / f"in/frame_{number}.png", scene(number, 24, 1)[0])
    made = iodine_kit("prepare", "folder", "--source", "in", "--store", "store")
    assert keys(tmp_path, made.stdout) == [f"frame_{number}" for number in range(150)]


ODD = [
    "100%",
    "<b>&amp;",
    "CON",
    "a b",
    "q'\"q",
    "sub dir/ä.b/1",
    "tab\there",
    "v1.0",
    "x=1;y",
    "__meta__",
    "預測",
    "🐈",
]


@pytest.mark.parametrize("stored", ["hdf5", "webdataset"])
def test_odd_names_survive_every_step(stored: str, iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path, ODD, [name.rpartition("/")[2] for name in ODD])
    counts = ("--split", "test=12", "--format", stored)
    made = iodine_kit("prepare", "folder", "--source", "in", *counts, "--store", "store").stdout.strip()
    done = evaluated(iodine_kit, made)
    assert score(tmp_path, done.stdout) == 1
    table = (tmp_path / done.stdout.strip().splitlines()[-1] / "scenes.csv").read_text("utf-8")
    assert "sub dir/ä.b/1,4," in table and "tab%09here,4," in table and '"q\'""q",4,' in table
    page = iodine_kit("report", "--evaluation", done.stdout.strip().splitlines()[-1], "--store", "store")
    html = (tmp_path / page.stdout.strip().splitlines()[-1] / "index.html").read_text("utf-8")
    assert "<b>&amp;" not in html and "&lt;b&gt;&amp;amp;" in html
    iodine_kit("stats", made, "--store", "store")


def test_names_that_are_no_text_are_kept_readable(iodine_kit: Command, tmp_path: Path) -> None:
    path = put(tmp_path / "in/a.png", scene(0)[0])
    path.rename(path.with_name(os.fsdecode(b"a\xff.png")))
    put(tmp_path / "in/b.png", scene(1)[0])
    made = iodine_kit("prepare", "folder", "--source", "in", "--store", "store")
    assert keys(tmp_path, made.stdout) == ["a%FF", "b"]


def test_names_that_look_alike_are_the_same_name(iodine_kit: Command, tmp_path: Path) -> None:
    for seed, name in enumerate(("café", "naïve")):
        image, mask = scene(seed)
        put(tmp_path / f"in/images/{normalize('NFC', name)}.png", image)
        put(tmp_path / f"in/masks/{normalize('NFD', name)}.png", mask)
    made = iodine_kit("prepare", "folder", "--source", "in", "--store", "store")
    assert described(tmp_path, made.stdout)["info"]["entities"] == 4
    assert [key.rpartition("/")[2] for key in keys(tmp_path, made.stdout)] == ["café", "naïve"]


def test_sources_and_predictions_are_found_in_another_unicode_form(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path, ["1", "2"])
    for name in ("in", "pred"):
        (tmp_path / name).rename(tmp_path / normalize("NFD", f"{name} é"))
    made = iodine_kit("prepare", "folder", "--source", "in é", "--split", "test=2", "--store", "store").stdout.strip()
    assert score(tmp_path, evaluated(iodine_kit, made, "pred é").stdout) == 1


def test_folders_of_predictions_mirror_folders_of_pictures(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path, ["cats/2", "cats/10", "dogs/2", "dogs/10"])
    assert score(tmp_path, evaluated(iodine_kit, prepared(iodine_kit, 4)).stdout) == 1


LONG = "slot_attention_" + "lr4e-4_bs64_" * 9


@pytest.mark.parametrize(
    "name", ["預測", "Прогноз", LONG, "x" * 240, ".hidden", "-x", "---", "🐈", "a'b\"c<&|`$_%", "a\nb"]
)
def test_any_name_of_a_file_of_predictions_is_accepted(
    name: str, iodine_kit: Command, tmp_path: Path, tiny: tuple[str, dict[str, NDArray[Any]]]
) -> None:
    dataset, arrays = tiny
    np.savez(tmp_path / f"{name}.npz", **arrays)
    done = evaluated(iodine_kit, dataset, f"./{name}.npz")
    assert score(tmp_path, done.stdout) == 1


def test_models_with_names_that_share_no_letter_are_compared(
    iodine_kit: Command, tmp_path: Path, tiny: tuple[str, dict[str, NDArray[Any]]]
) -> None:
    dataset, arrays = tiny
    evaluations = []
    for shift, name in enumerate(("預測", "Прогноз")):
        np.savez(tmp_path / f"{name}.npz", mask=np.roll(arrays["mask"], shift, 2), key=arrays["key"])
        evaluations.append(evaluated(iodine_kit, dataset, f"{name}.npz").stdout.strip().splitlines()[-1])
    done = iodine_kit("compare", *evaluations, "--store", "store")
    assert "預測" in done.stdout + done.stderr and "Прогноз" in done.stdout + done.stderr


def test_a_name_that_was_given_and_cannot_be_one_is_refused_in_our_words(
    iodine_kit: Command, tmp_path: Path, tiny: tuple[str, dict[str, NDArray[Any]]]
) -> None:
    dataset, arrays = tiny
    np.savez(tmp_path / "pred.npz", **arrays)
    common = ("pred.npz", "--dataset", dataset, "--store", "store", "--model")
    for name in ("---", "a\nb", "x" * 300):
        assert "import.model: write a name" in iodine_kit("import-predictions", *common, name, status=3).stderr
    iodine_kit("import-predictions", *common, "Прогноз", "--overwrite")


OBJECT = {
    "color": "green", "size": "small", "shape": "sphere", "material": "metal", "rotation": 30.5,
    "3d_coords": [1.5, -2.0, 0.35], "pixel_coords": [240, 160, 9.75],
}  # fmt: skip


def rendered(folder: Path, names: list[str], size: tuple[int, int] = (240, 320)) -> list[dict[str, Any]]:
    """Images as CLEVR's generator renders them, and their entries in the scene file."""
    for number, name in enumerate(names):
        put(folder / f"{name}.png", np.full((*size, 3), 90 + number, np.uint8))
    return [{"image_filename": f"{Path(name).name}.png", "objects": [OBJECT]} for name in names]


def test_images_of_clevr_s_generator_without_scenes_are_for_the_data_set_folder(
    iodine_kit: Command, tmp_path: Path
) -> None:
    rendered(tmp_path / "in/images", [f"CLEVR_new_{number:06}" for number in range(3)])
    error = iodine_kit("prepare", "clevr", "--source", "in/images", "--store", "store", status=5).stderr
    command = error.strip().rpartition("iodine-kit ")[2].split()
    assert command == ["prepare", "--store", "store", "folder", "--source", "in/images"]
    made = iodine_kit(*command)
    assert keys(tmp_path, made.stdout) == [f"CLEVR_new_{number:06}" for number in range(3)]


@pytest.mark.parametrize("one_file", [True, False])
def test_one_s_own_clevr_is_read_with_its_scenes(one_file: bool, iodine_kit: Command, tmp_path: Path) -> None:
    entries = rendered(tmp_path / "out/images", [f"CLEVR_new_{number:06}" for number in range(3)])
    (tmp_path / "out/scenes").mkdir()
    for entry in entries:
        if not one_file:
            (tmp_path / "out/scenes" / entry["image_filename"].replace("png", "json")).write_text(json.dumps(entry))
    if one_file:
        (tmp_path / "out/CLEVR_scenes.json").write_text(json.dumps({"info": {}, "scenes": entries}))
    made = iodine_kit(
        "prepare", "clevr", "--source", "out", "--split", "train=2", "--split", "test=1", "--store", "store"
    )
    assert keys(tmp_path, made.stdout) == ["CLEVR_new_000000", "CLEVR_new_000001"]
    with h5py.File(tmp_path / made.stdout.strip() / "train.h5") as file:
        assert file["image"].shape == (2, 128, 128, 3) and file["factors/color"][0, :2].tolist() == [0, 3]


def test_cogent_is_read_with_its_own_splits(iodine_kit: Command, tmp_path: Path) -> None:
    for split in ("trainA", "valA", "valB", "testA"):
        root = tmp_path / "CLEVR_CoGenT_v1.0"
        entries = rendered(root / "images", [f"{split}/CLEVR_{split}_000000"], (320, 480))
        if split != "testA":
            (root / "scenes").mkdir(exist_ok=True)
            (root / f"scenes/CLEVR_{split}_scenes.json").write_text(json.dumps({"info": {}, "scenes": entries}))
    made = iodine_kit("prepare", "clevr", "--source", "CLEVR_CoGenT_v1.0", "--store", "store")
    assert described(tmp_path, made.stdout)["splits"] == {"trainA": 1, "valA": 1, "valB": 1, "testA": 1}


# What follows from names and sizes without being said


def predict(tmp_path: Path, exchanged: bool) -> None:
    """Three images of 32×40 in ``in``, and their masks as predictions in ``guess.npz``, perhaps with W before H."""
    masks = []
    for number in range(3):
        image, mask = (pixels[:32, :40] for pixels in scene(number))
        put(tmp_path / "in" / "images" / f"{number}.png", image)
        put(tmp_path / "in" / "masks" / f"{number}.png", mask)
        masks.append(mask.T if exchanged else mask)
    np.savez(tmp_path / "guess.npz", mask=np.stack(masks), key=np.array(["0", "1", "2"]))


def test_exchanged_rows_and_columns_have_one_remedy(iodine_kit: Command, tmp_path: Path) -> None:
    predict(tmp_path, exchanged=True)
    iodine_kit("prepare", "folder", "--source", "in", "--split", "test=3")
    refused = iodine_kit("import-predictions", "guess.npz", "--split", "test", status=9).stderr
    assert "rows and columns are exchanged: set import.axes = 'NWH'" in refused
    assert "nearest" not in refused
    iodine_kit("import-predictions", "guess.npz", "--split", "test", "--set", "import.axes=NWH")
    scored = json.loads(iodine_kit("eval", "--metric", "ari", "--json").stdout)
    assert scored["metrics"]["ari"]["mean"] == 1


def test_the_only_split_needs_no_name(iodine_kit: Command, tmp_path: Path) -> None:
    predict(tmp_path, exchanged=False)
    iodine_kit("prepare", "folder", "--source", "in")
    made = iodine_kit("import-predictions", "guess.npz")
    assert "note: import.split=train, the only split of" in made.stderr
    named = iodine_kit("import-predictions", "guess.npz", "--split", "train")
    assert named.stdout == made.stdout
    assert "test" in iodine_kit("import-predictions", "guess.npz", "--split", "test", status=8).stderr


@pytest.mark.parametrize("name", ["./in", "in", "in/images", "in/../in", "guess.npz"])
def test_a_folder_in_the_place_of_a_data_set(iodine_kit: Command, tmp_path: Path, name: str) -> None:
    predict(tmp_path, exchanged=False)
    refused = iodine_kit("prepare", name, status=4).stderr
    assert f"no data set is called '{name}', but a file or folder is" in refused
    if name != "guess.npz":
        iodine_kit("prepare", "folder", "--source", name)
        iodine_kit("inspect", name)
    assert "no data set is called './none'" in iodine_kit("prepare", "./none", status=4).stderr


@pytest.mark.parametrize("source", ["in/images", "in/images/../images"])
def test_masks_beside_a_folder_with_a_relative_path(iodine_kit: Command, tmp_path: Path, source: str) -> None:
    predict(tmp_path, exchanged=False)
    assert "reading 6 files in in (" in iodine_kit("prepare", "folder", "--source", source).stderr


def test_the_working_directory_has_a_name(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(2):
        put(tmp_path / f"{number}.png", scene(number)[0])
    assert "reading 2 files in . (" in iodine_kit("prepare", "folder", "--source", ".").stderr


def test_an_image_of_another_size_is_named_by_its_file(iodine_kit: Command, tmp_path: Path) -> None:
    put(tmp_path / "in" / "0.png", scene()[0])
    put(tmp_path / "in" / "1.png", scene(1)[0][:40])
    refused = iodine_kit("prepare", "folder", "--source", "in", status=7).stderr
    assert "in/1.png: its image is uint8 [40, 48, 3]" in refused
    iodine_kit("prepare", "folder", "--source", "in", "--set", "preprocess.size=32")


def test_a_file_is_no_folder_of_pictures(iodine_kit: Command, tmp_path: Path) -> None:
    put(tmp_path / "in" / "0.png", scene()[0])
    put(tmp_path / "in" / "1.png", scene(1)[0])
    for source in ("in/0.png", "in/*.png"):
        refused = iodine_kit("prepare", "folder", "--source", source, status=5).stderr
        assert "in/0.png: is a file" in refused
        assert "--source in\n" in refused
    iodine_kit("prepare", "folder", "--source", "in")


def test_many_arrays_are_not_all_listed(iodine_kit: Command, tmp_path: Path) -> None:
    predict(tmp_path, exchanged=False)
    iodine_kit("prepare", "folder", "--source", "in")
    np.savez(tmp_path / "guess.npz", **{f"scene{number:03}": np.zeros((32, 40), int) for number in range(200)})
    refused = iodine_kit("import-predictions", "guess.npz", status=7).stderr
    assert "… (200 arrays)" in refused
    assert "scene100" not in refused


def test_predictions_in_another_format_are_converted(iodine_kit: Command, tmp_path: Path) -> None:
    predict(tmp_path, exchanged=False)
    iodine_kit("prepare", "folder", "--source", "in")
    for number in range(3):
        put(tmp_path / "guess" / f"{number}.tif", scene(number)[1][:32, :40])
    refused = iodine_kit("import-predictions", "guess", status=5).stderr
    assert "magick mogrify -format png '*.tif'" in refused
    for file in sorted((tmp_path / "guess").glob("*.tif")):
        Image.open(file).save(file.with_suffix(".png"))
    iodine_kit("import-predictions", "guess")


def test_one_missing_scene_is_singular(iodine_kit: Command, tmp_path: Path) -> None:
    predict(tmp_path, exchanged=False)
    iodine_kit("prepare", "folder", "--source", "in")
    np.savez(tmp_path / "guess.npz", mask=np.zeros((2, 32, 40), int), key=np.array(["0", "1"]))
    refused = iodine_kit("import-predictions", "guess.npz", status=7).stderr
    assert "1 scene of split 'train'" in refused
    assert "is missing, such as '2'" in refused

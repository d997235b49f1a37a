"""Every guard for pictures protects each of their users: the layouts and the reader of predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes import save_bomb
from PIL import Image

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError, SourceError, StorageError
from iodine_kit.layouts import Expected, clevr_v1, clevrtex, folder
from iodine_kit.predictions.readers import READERS
from iodine_kit.records import DatasetInfo

SIZE = (240, 320)
MASK = np.zeros(SIZE, np.uint8)


def _expected(dataset: str) -> Expected:
    return Expected(dataset, DatasetInfo(dataset, *SIZE, 5), {}, {}, {"variant": "full"})


def layout_folder(root: Path) -> Path:
    Image.new("RGB", SIZE[::-1]).save(root / "a.png")
    return root / "a_mask.png"


def layout_clevrtex(root: Path) -> Path:
    Image.new("RGB", SIZE[::-1]).save(root / "CLEVRTEX_full_000000.png")
    return root / "CLEVRTEX_full_000000_flat.png"


def layout_clevr(root: Path) -> Path:
    (root / "images" / "test").mkdir(parents=True)
    return root / "images" / "test" / "CLEVR_test_000000.png"


def reader(root: Path) -> Path:
    return root / "scene.png"


PLACES: dict[str, Callable[[Path], Path]] = {
    "folder": layout_folder,
    "clevrtex": layout_clevrtex,
    "clevr_v1": layout_clevr,
    "reader": reader,
}


def read(root: Path, user: str) -> None:
    if user == "reader":
        columns = READERS.load("pictures").columns(root)
        columns["mask"].rows(np.arange(1))
        return
    layout = {"folder": folder, "clevrtex": clevrtex, "clevr_v1": clevr_v1}[user]
    for item in layout.items([root], _expected(user), layout.Config()):
        layout.scenes(item, "key", _expected(user), layout.Config())


def frames(path: Path) -> None:
    pictures = [Image.fromarray(MASK + shade) for shade in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])


def truncated(path: Path) -> None:
    Image.fromarray(MASK).save(path)
    path.write_bytes(path.read_bytes()[:-20])


def altered(path: Path) -> None:
    Image.fromarray(MASK).save(path, compress_level=0)
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


REFUSED: dict[str, tuple[Callable[[Path], object], type[IodineKitError], str]] = {
    "decompression bomb": (save_bomb, CorruptDataError, "too many pixels"),
    "several frames": (frames, SchemaError, "has 3 frames"),
    "truncated": (truncated, CorruptDataError, "truncated or altered"),
    "altered": (altered, CorruptDataError, "truncated or altered"),
    "another format": (lambda path: Image.fromarray(MASK).save(path, "JPEG"), CorruptDataError, "holds JPEG data"),
    "a decoder that is not allowed": (lambda path: Image.fromarray(MASK).save(path, "GIF"), CorruptDataError, "not a"),
    "text": (lambda path: path.write_text("no picture"), CorruptDataError, "not a PNG"),
}


@pytest.mark.parametrize("user", PLACES)
@pytest.mark.parametrize("name", REFUSED)
def test_every_user_refuses(user: str, name: str, tmp_path: Path) -> None:
    path, (write, error, words) = PLACES[user](tmp_path), REFUSED[name]
    write(path)
    with pytest.raises(error, match=rf"{path.name}: .*{words}"):
        read(tmp_path, user)


@pytest.mark.parametrize("user", PLACES)
@pytest.mark.parametrize("limit", [50_000, 30_000])  # 76,800 pixels: a warning of Pillow's, and an error
def test_every_user_bounds_the_number_of_pixels(
    user: str, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = PLACES[user](tmp_path)
    Image.fromarray(MASK).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(CorruptDataError, match="too many pixels"):
        read(tmp_path, user)


@pytest.mark.parametrize("user", ["folder", "clevrtex"])
def test_every_user_of_index_masks_refuses_colours(user: str, tmp_path: Path) -> None:
    Image.new("RGB", SIZE[::-1]).save(PLACES[user](tmp_path))
    if user == "folder":
        config = folder.Config(mask_values="index")
        items = list(folder.items([tmp_path], _expected(user), config))
        with pytest.raises(SchemaError, match="has RGB pixels"):
            folder.scenes(items[0], "key", _expected(user), config)
        return
    with pytest.raises(SchemaError, match="has RGB pixels"):
        read(tmp_path, user)


@pytest.mark.parametrize("user", ["folder", "reader"])
def test_a_link_must_not_leave_a_folder_of_somebodys_own_pictures(user: str, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside.png", tmp_path / "root"
    root.mkdir()
    Image.fromarray(MASK).save(outside)
    PLACES[user](root).symlink_to(outside)
    with pytest.raises(SourceError, match="is a link to a file outside"):
        read(root, user)


@pytest.mark.parametrize("user", PLACES)
def test_every_user_reports_what_the_system_refuses(user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(MASK).save(PLACES[user](tmp_path))

    def refuse(*arguments: object, **options: object) -> Image.Image:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(StorageError, match="cannot be read"):
        read(tmp_path, user)

"""Names of third-party rows and the scenes that they mean."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from iodine_kit.errors import SchemaError
from iodine_kit.predictions.importing import keys as importing_keys
from iodine_kit.predictions.importing.keys import refuse_contradiction, rows_by_key, scenes_called

KNOWN = ["images/cats/frame_2", "images/cats/frame_10", "images/dogs/frame_3", "images/dogs/café", "images/dogs/v1.5"]


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda key: key,
        lambda key: f"{key}.png",
        lambda key: f"{key}.PNG",
        lambda key: key.rpartition("/")[2],
        lambda key: f"./{key.rpartition('/')[2]}.npy",
        lambda key: f"/home/u/out/{key.partition('/')[2]}.jpg",
        lambda key: f"D:\\pred\\{key.replace('/', chr(92))}.tif",
        lambda key: unicodedata.normalize("NFD", key),
    ],
)
def test_a_name_means_its_scene_in_any_spelling(spelling: object) -> None:
    keys = [spelling(key) for key in reversed(KNOWN)]  # type: ignore[operator]
    assert scenes_called(keys, KNOWN) == [4, 3, 2, 1, 0]
    reporter = Notes()
    rows = rows_by_key(keys, KNOWN, "theirs", "split 'test'", reporter)  # type: ignore[arg-type]
    assert np.array_equal(rows, [4, 3, 2, 1, 0])
    assert any("another order" in text for text in reporter.said)


def test_a_name_that_means_several_scenes_means_none() -> None:
    assert scenes_called(["1", "2"], ["cats/1", "dogs/1", "dogs/2"]) == [None, 2]
    assert scenes_called(["dogs/1", "1"], ["cats/1", "dogs/1"]) == [1, None]
    assert scenes_called(["a.png", "a.jpg", "b.png"], ["a.png", "a.jpg", "b"]) == [0, 1, 2]
    assert scenes_called(["1", "1.png"], ["1", "2"]) == [0, None]
    assert scenes_called(["v1.5", "v1.6"], ["v1.6", "v1.5"]) == [1, 0]


def test_a_missing_scene_is_found_without_searching_a_list_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    class Scenes(list[int | None]):
        def __contains__(self, value: object) -> bool:
            searched.append(value)
            return super().__contains__(value)

    monkeypatch.setattr(importing_keys, "scenes_called", lambda keys, known: Scenes([*range(999), None]))
    known = [f"scene_{number}" for number in range(1000)]
    with pytest.raises(SchemaError, match="such as 'other'; 1 of its scenes are in no row, such as 'scene_999'"):
        rows_by_key([*known[:-1], "other"], known, "theirs", "split 'test'", Notes())  # type: ignore[arg-type]
    assert searched == []


def test_names_that_match_in_part_are_counted() -> None:
    with pytest.raises(SchemaError) as caught:
        rows_by_key(["frame_2.png", "x", "frame_3"], KNOWN, "theirs", "split 'test'", Notes())  # type: ignore[arg-type]
    assert str(caught.value) == (
        "theirs: 1 of 3 keys are not in split 'test', such as 'x'; 3 of its scenes are in no row, such as "
        "'images/cats/frame_10': give every row the key of its scene"
    )


def test_rows_in_order_must_not_have_names_of_other_scenes() -> None:
    with pytest.raises(SchemaError, match=r"row 1 is called 'frame_3\.png', and scene 1 'images/cats/frame_10'"):
        refuse_contradiction(["frame_2.png", "frame_3.png", "frame_10.png", "a", "b"], KNOWN, "theirs")
    refuse_contradiction(["0", "1", "frame_2", "3", "4"], KNOWN, "theirs")
    refuse_contradiction(KNOWN, KNOWN, "theirs")


def test_the_first_scenes_can_be_predicted_alone() -> None:
    with pytest.raises(SchemaError, match=r"set import\.scenes = 2 for only the first 2$"):
        rows_by_key(KNOWN[:2], KNOWN, "theirs", "split 'test'", Notes())  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"predict all$"):
        rows_by_key(KNOWN[1:], KNOWN, "theirs", "split 'test'", Notes())  # type: ignore[arg-type]

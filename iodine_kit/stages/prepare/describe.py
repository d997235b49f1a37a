"""Describe a finished data set: facts for the manifest, ``dataset.json`` for other readers, and a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.formats import FORMATS
from iodine_kit.records import IGNORED, DatasetInfo
from iodine_kit.stages.prepare.journal import State

DESCRIPTION, CONTACT_SHEET = "dataset.json", "contact-sheet.png"
_SCENES_ON_SHEET = 24


def describe(info: DatasetInfo, splits: Mapping[str, int], format_name: str, state: State) -> dict[str, Any]:
    """Return the facts of a data set whose shards are written; height and width are those of the stored scenes."""
    height, width = state.columns["mask"][1]
    entities = info.entities or state.entities
    stored = {**vars(info), "height": height, "width": width, "entities": entities, "background": list(info.background)}
    if state.ignored:
        _check_entities(state)
        stored["ignored"] = IGNORED
    elif info.ignored is None:
        del stored["ignored"]
    factors = {
        name.removeprefix("factors/"): {"dtype": str(np.dtype(dtype)), "shape": list(shape)}
        for name, (dtype, shape) in state.columns.items()
        if name.startswith("factors/")
    }
    return {
        "info": stored,
        "splits": dict(splits),
        "format": format_name,
        "factors": factors,
        "records": {
            "read": state.next_record,
            "filtered_scenes": state.dropped,
            "surplus_scenes": state.surplus,
            "bad": len(state.bad),
        },
        "bad": [{"record": record, "reason": reason} for record, reason in state.bad],
        **_unmasked(splits, state),
        **_remarks(state),
    }


def _check_entities(state: State) -> None:
    """Raise :class:`SchemaError` if a mask has an entity whose index means pixels to ignore in other masks."""
    if state.entities > IGNORED:
        raise SchemaError(
            f"index {IGNORED} marks pixels to ignore in some masks, and is an entity in another: give every "
            f"mask at most {IGNORED - 1} entities besides the background, or ignore no pixels"
        )


def _unmasked(splits: Mapping[str, int], state: State) -> dict[str, Any]:
    """The splits without masks, if there are any; raises :class:`SchemaError` for a split with both kinds of scenes."""
    for split, count in state.unmasked.items():
        if count < splits[split]:
            raise SchemaError(
                f"split '{split}': {count} of {splits[split]} scenes have no mask: put scenes without masks in a "
                "split of their own, or prepare them as another data set"
            )
    return {"unmasked": list(state.unmasked)} if state.unmasked else {}


def _remarks(state: State) -> dict[str, Any]:
    remarks = [{"text": text, "count": count, "first": first} for text, (count, first) in state.remarks.items()]
    return {"remarks": remarks} if remarks else {}


def write_description(directory: Path, facts: Mapping[str, Any]) -> None:
    """Write ``dataset.json``: everything that a reader without this package must know."""
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    (directory / DESCRIPTION).write_text(text + "\n", "utf-8")


def write_contact_sheet(directory: Path, facts: Mapping[str, Any]) -> None:
    """Write ``contact-sheet.png``, a picture of the first scenes of the first split."""
    from iodine_kit.reporting.image_grid import contact_sheet  # here, because it loads Pillow

    split, count = next(iter(facts["splits"].items()))
    reader = FORMATS.load(facts["format"]).open_split(directory, split)
    masked = split not in facts.get("unmasked", ())
    scenes = [replace(reader.scene(index), has_mask=masked) for index in range(min(count, _SCENES_ON_SHEET))]
    reader.close()
    info = facts["info"]
    (directory / CONTACT_SHEET).write_bytes(contact_sheet(scenes, info["background"], info.get("ignored")))

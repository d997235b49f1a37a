"""The records of a data set in Croissant's words: which fields a scene has, and in which file each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iodine_kit.artifacts.dataset import Column, DatasetFacts, has_masks
from iodine_kit.store import Artifact

Json = dict[str, Any]
_TYPES = {
    "float16": "cr:Float16", "float32": "cr:Float32", "float64": "cr:Float64", "uint8": "cr:UInt8", "int8": "cr:Int8",
    "int16": "cr:Int16", "int32": "cr:Int32", "int64": "cr:Int64", "uint16": "cr:UInt16", "uint32": "cr:UInt32",
    "uint64": "cr:UInt64", "bool": "sc:Boolean",
}  # fmt: skip
_IMAGES = {"png": "image.png", "webp-lossless": "image.webp", "jpeg": "image.jpg"}
_STEM = r"^([^.]*)\."
"""The key of a scene in the name of a member of a tar shard."""
_ABOUT = {
    "image": "The image, RGB.",
    "mask": "The index of the entity at each pixel.",
    "factors": "A factor of each entity, in the order of the indices in the mask.",
}


def members(dataset: Artifact, split: str) -> dict[str, str]:
    """What a scene consists of in tar shards: by kind, the end of the name of a member. Empty for other formats."""
    facts, stored = DatasetFacts.of(dataset), dataset.config["format"]
    if facts.format != "webdataset":
        return {}
    masks = {"masks": "mask.png"} if has_masks(dataset, split) else {}
    factors = {"factors": "meta.json"} if facts.factors else {}
    return {"images": _IMAGES[stored.get("image_codec", "png")], **masks, **factors}


def record_sets(dataset: Artifact, splits: Sequence[str]) -> list[Json]:
    """The splits and their scenes: a record set for each split in HDF5, one for each kind of member in tar shards."""
    facts = DatasetFacts.of(dataset)
    found = [_split_records(facts, splits)]
    factors = {f"factors/{name}": column for name, column in facts.factors.items()}
    for split in splits:
        kinds = members(dataset, split)
        found += [_tar_records(split, kind, factors) for kind in kinds]
        if not kinds:
            found.append(_hdf5_records(split, {**_pixels(dataset, split), **factors}))
    return found


def _split_records(facts: DatasetFacts, splits: Sequence[str]) -> Json:
    fields = [_field("splits/key", "sc:Text"), _field("splits/scenes", "sc:Integer")]
    data = [{"splits/key": split, "splits/scenes": facts.splits[split]} for split in splits]
    about = "The splits, with their numbers of scenes."
    return {**_record_set("splits", about, fields), "dataType": "cr:Split", "data": data}


def _pixels(dataset: Artifact, split: str) -> dict[str, Column]:
    info = DatasetFacts.of(dataset).info
    masks = {"mask": Column(dtype="uint8", shape=(info.height, info.width))} if has_masks(dataset, split) else {}
    return {"image": Column(dtype="uint8", shape=(info.height, info.width, 3)), **masks}


def _hdf5_records(split: str, columns: Mapping[str, Column]) -> Json:
    """One field for each data set of the file. Croissant has no word for HDF5; ``column`` is the path in the file."""

    def source(column: str) -> Json:
        return {"source": {"fileObject": {"@id": f"{split}.h5"}, "extract": {"column": column}}}

    fields = [_field(f"{split}/key", "sc:Text", **source("key"))]
    fields += [_array(f"{split}/{name}", name, one, **source(name)) for name, one in columns.items()]
    return _record_set(split, f"The scenes of the split {split}.", fields)


def _tar_records(split: str, kind: str, factors: Mapping[str, Column]) -> Json:
    """One record for each member of this kind; its key is that of the scene."""
    name = f"{split}-{kind}"

    def source(extract: Json, **more: Any) -> Json:
        return {"source": {"fileSet": {"@id": f"{name}-files"}, "extract": extract, **more}}

    fields = [_field(f"{name}/key", "sc:Text", **source({"fileProperty": "filename"}, transform={"regex": _STEM}))]
    content = source({"fileProperty": "content"})
    if kind == "factors":  # as one text, because readers of Croissant lose the name of a file whose JSON they parse
        fields.append(_field(f"{name}/factors", "sc:Text", _about_json(factors), **content))
    else:
        one = kind.removesuffix("s")
        fields.append(_field(f"{name}/{one}", "sc:ImageObject", _ABOUT[one], **content))
    return _record_set(name, f"The {kind} of the split {split}, by the key of the scene.", fields)


def _about_json(factors: Mapping[str, Column]) -> str:
    shown = ", ".join(f"{name.partition('/')[2]} {one.dtype}{list(one.shape)}" for name, one in factors.items())
    return f"JSON: factors.NAME.values has a row for each entity, in the order of the indices in the mask. {shown}."


def _record_set(name: str, about: str, fields: Sequence[Json]) -> Json:
    key = {"@id": f"{name}/key"}
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": about, "key": key, "field": [*fields]}


def _array(identifier: str, name: str, column: Column, **more: Any) -> Json:
    shape = {"isArray": True, "arrayShape": ",".join(map(str, column.shape))} if column.shape else {}
    return _field(identifier, _TYPES.get(column.dtype, "sc:Text"), _ABOUT[name.partition("/")[0]], **shape, **more)


def _field(identifier: str, kind: str, about: str = "", **more: Any) -> Json:
    field = {"@type": "cr:Field", "@id": identifier, "name": identifier, "dataType": kind}
    return {**field, **({"description": about} if about else {}), **more}

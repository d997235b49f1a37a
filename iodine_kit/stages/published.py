"""A stored scene, or a video of scenes, as the features of a published TFRecord file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.records import Array, Bytes, Scene
from iodine_kit.tfrecord import FieldSpec

Fields = Mapping[str, FieldSpec]


def is_video(fields: Fields) -> bool:
    """Whether a record is a video rather than one scene."""
    return len(fields["image"].shape) == 4


def factors_of(fields: Fields) -> dict[str, FieldSpec]:
    """All features but image and mask."""
    return {name: spec for name, spec in fields.items() if name not in ("image", "mask")}


def scene_features(scene: Scene, fields: Fields) -> dict[str, Array]:
    """One scene's features with the dtypes and shapes of ``fields``.

    Raises:
        SchemaError: if they do not fit, or would lose something.
    """
    image, mask = fields["image"].shape, fields["mask"].shape
    entities_last = mask[:2] == image[:2]
    entities = mask[2] if entities_last else mask[0]
    features = {
        "image": _image(scene, image[2]),
        "mask": _one_hot(scene, entities, -1 if entities_last else 0)[..., None],
    }
    return features | {name: _factor(scene, name, spec) for name, spec in factors_of(fields).items()}


def video_features(frames: Sequence[Scene], fields: Fields) -> dict[str, Array]:
    """All frames of one of CATER's videos; positions are published as ``[N, T, 3]``, whose frames are ``[N, 3]``.

    Raises:
        SchemaError: if frames are missing, do not fit, or would lose something.
    """
    length, entities = fields["mask"].shape[:2]
    numbers = [scene.key.rpartition("-")[2] for scene in frames]
    if numbers != [f"{number:02d}" for number in range(length)]:
        raise SchemaError(
            f"{frames[0].key}: of this video {len(frames)} frames are stored, not all {length} in order: "
            "prepare it without a filter"
        )
    return {
        "image": np.stack([scene.image for scene in frames]),
        "mask": np.stack([_one_hot(scene, entities, 0)[..., None] for scene in frames]),
        "camera_matrix": _over_time(frames, "camera_matrix", 0, fields),
        "object_positions": _over_time(frames, "object_positions", 1, fields),
    }


def _over_time(frames: Sequence[Scene], name: str, axis: int, fields: Fields) -> Array:
    spec = fields[name]
    one = FieldSpec(spec.dtype, spec.shape[:axis] + spec.shape[axis + 1 :])
    return np.stack([_factor(scene, name, one) for scene in frames], axis)


def _image(scene: Scene, channels: int) -> Bytes:
    """All channels, or the one that all are equal to."""
    if channels == 3:
        return scene.image
    if (scene.image != scene.image[..., :1]).any():
        raise SchemaError(f"{scene.key}: is coloured, and the published images have one channel")
    return scene.image[..., :1]


def _one_hot(scene: Scene, entities: int, axis: int) -> Bytes:
    """The index mask as one of 0 and 255 per entity, ``uint8[N, H, W]``, with N where ``axis`` says."""
    if scene.mask.max() >= entities:
        raise SchemaError(f"{scene.key}: its mask has entity {scene.mask.max()}, and a record has {entities} at most")
    owned = scene.mask == np.arange(entities, dtype=np.uint8)[:, None, None]
    return np.ascontiguousarray(np.moveaxis(np.where(owned, np.uint8(255), np.uint8(0)), 0, axis))


def _factor(scene: Scene, name: str, spec: FieldSpec) -> Array:
    """A factor in its published dtype; a whole number must have been one."""
    values = scene.factors[name]
    if values.shape != spec.shape:
        raise SchemaError(f"{scene.key}: '{name}' is {list(values.shape)}, and published as {list(spec.shape)}")
    cast = values.astype(spec.dtype)
    if np.issubdtype(spec.dtype, np.integer) and not np.array_equal(cast, values):
        raise SchemaError(f"{scene.key}: '{name}' has values that {np.dtype(spec.dtype)} cannot hold")
    return cast

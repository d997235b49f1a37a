"""The ``[preprocess]`` table."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from iodine_kit.config import Config

_CROP = re.compile(r"none|iodine|centre:[1-9]\d*|\d+:\d+,\d+:\d+")


class PreprocessConfig(Config):
    """What is done to published scenes; a data set or a protocol may give other defaults.

    Attributes:
        crop: ``none``; ``iodine`` (rows 29:221, columns 64:256 of the 240×320 pixels of CLEVR); ``centre:192`` (a
            centred square with this side, in pixels); or ``29:221,64:256`` (rows, columns).
        size: side of the square that the crop is resized to, in pixels. Defaults to the size of the crop. As in
            TensorFlow 1: bilinear without half-pixel centres or antialiasing for images, nearest neighbour for masks.
        min_objects: scenes with fewer objects are omitted.
        max_objects: scenes with more objects are omitted.
        count: what counts as an object: ``factors``, a visible row of the factors (an index of the mask, if the data
            set has no factors), or ``pixels``, an index of the mask after the crop.
    """

    crop: str = "none"
    size: Annotated[int, Field(ge=1, le=4096)] | None = None
    min_objects: Annotated[int, Field(ge=0)] | None = None
    max_objects: Annotated[int, Field(ge=0)] | None = None
    count: Literal["factors", "pixels"] = "factors"

    @field_validator("crop")
    @classmethod
    def _is_a_crop(cls, crop: str) -> str:
        if not _CROP.fullmatch(crop):
            raise ValueError(f"'{crop}' is no crop: use none, iodine, centre:SIDE or TOP:BOTTOM,LEFT:RIGHT")
        ends = [int(number) for number in re.findall(r"\d+", crop)]
        if len(ends) == 4 and (ends[0] >= ends[1] or ends[2] >= ends[3]):
            raise ValueError(f"'{crop}' is empty: its rows or columns end before they begin")
        return crop

    @model_validator(mode="after")
    def _is_a_range(self) -> PreprocessConfig:
        if self.min_objects is not None and self.max_objects is not None and self.min_objects > self.max_objects:
            raise ValueError(f"min_objects {self.min_objects} is above max_objects {self.max_objects}")
        return self

"""Pictures to survey, and the survey of their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iodine_kit.layouts import folder
from iodine_kit.layouts._folder_survey import FolderSurvey

PICTURE = np.full((2, 3, 3), 9, np.uint8)
MASK = np.array([[0, 2, 2], [1, 0, 7]], np.uint8)


def save(path: Path, pixels: Any = PICTURE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def survey(*roots: Path, **config: Any) -> FolderSurvey:
    return folder.survey(roots, folder.Config(**config))

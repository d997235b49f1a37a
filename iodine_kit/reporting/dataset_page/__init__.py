"""The page of a data set: numbers, scenes, histograms, repeated images and lineage."""

from iodine_kit.reporting.dataset_page.context import OVERALL, DatasetPage, ScenePicture, scene_picture
from iodine_kit.reporting.dataset_page.sections import render_dataset_page

__all__ = ["OVERALL", "DatasetPage", "ScenePicture", "render_dataset_page", "scene_picture"]

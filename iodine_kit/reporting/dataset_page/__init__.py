"""A page on what a data set holds: figures, scenes, histograms, repeated images, and where it came from."""

from iodine_kit.reporting.dataset_page.context import OVERALL, DatasetPage, ScenePicture, picture
from iodine_kit.reporting.dataset_page.page import render_dataset_page

__all__ = ["OVERALL", "DatasetPage", "ScenePicture", "picture", "render_dataset_page"]

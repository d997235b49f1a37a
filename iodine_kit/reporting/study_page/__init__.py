"""A page on a study, as HTML that needs nothing but a browser and as Markdown for a repository."""

from iodine_kit.reporting.study_page.context import Made, StudyPage
from iodine_kit.reporting.study_page.markdown import render_study_markdown
from iodine_kit.reporting.study_page.page import render_study_page

__all__ = ["Made", "StudyPage", "render_study_markdown", "render_study_page"]

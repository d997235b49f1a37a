"""What is done to published scenes before they are stored: which are kept, and what becomes of their pixels."""

from iodine_kit.preprocessing.config import PreprocessConfig
from iodine_kit.preprocessing.objects import count_objects, is_kept
from iodine_kit.preprocessing.pixels import preprocess

__all__ = ["PreprocessConfig", "count_objects", "is_kept", "preprocess"]

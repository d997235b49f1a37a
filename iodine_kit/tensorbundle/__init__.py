"""Read TensorFlow checkpoints (format V2, the tensor bundle) without TensorFlow.

A checkpoint is a few files with one prefix: ``PREFIX.index``, a sorted table of variables, and the shards
``PREFIX.data-00000-of-00001`` with their bytes. `files` finds them and opens a folder on disk or in a zip archive,
`table` reads the index and `bundle` the variables. The checksums of all blocks and variables are verified.
Nothing is unpickled, evaluated or extracted.
"""

from iodine_kit.tensorbundle.bundle import Bundle, Variable
from iodine_kit.tensorbundle.files import Files, Folder, ZipFolder, locate, only_prefix

__all__ = ["Bundle", "Files", "Folder", "Variable", "ZipFolder", "locate", "only_prefix"]

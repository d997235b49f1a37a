"""Which split the name of a file or folder means."""

from __future__ import annotations

import re

_NAME = re.compile(r"(train|val|test)(ing|idation)?(?![a-z])")


def split_name(name: str) -> str:
    """``train``, ``val`` or ``test`` if the name starts so (``training_images.npy``, ``validation``), else nothing."""
    found = _NAME.match(name.lower())
    return found[1] if found else ""

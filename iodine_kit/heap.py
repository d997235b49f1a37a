"""Keeping freed memory for the next step instead of giving it back to the operating system."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed; elsewhere do nothing.

    Every training step allocates the same large tensors. Given back and asked for again, their pages have to be cleared
    each time they are first written, which costs as much as an activation function does.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_MAX, 0)

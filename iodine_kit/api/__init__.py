"""The Python interface: what ``import iodine_kit as ik`` offers. See ``docs/api.md``.

Arrays may be NumPy arrays or PyTorch tensors on any device. Results are NumPy arrays. Arguments are never changed.

There are two kinds of errors. A :class:`ValueError` names the argument that is wrong. An
:class:`iodine_kit.errors.IodineKitError` means that the arguments are right, but the work failed: an artifact is
damaged, a source cannot be reached, the disk is full, training diverged. Both say in one sentence what to do.
"""

"""The ``iodine-kit`` command. Thin: it parses, calls one stage, and shows what came of it."""

from iodine_kit.cli.app import main

__all__ = ["main"]

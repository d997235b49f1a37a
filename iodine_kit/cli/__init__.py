"""The ``iodine-kit`` command. Thin: a command parses its options, calls one stage and prints the result."""

from iodine_kit.cli.app import main

__all__ = ["main"]

"""Pages that commands make: where they go, and how to open them."""

from __future__ import annotations

from pathlib import Path

import typer


def check_output(output: Path | None) -> None:
    """Refuse a directory where a file is needed: before work that takes long, not after it."""
    if output is not None and output.is_dir():
        raise typer.BadParameter(f"{output} is a directory: name a file", param_hint="--output")


def hand_over(page: Path, output: Path | None) -> str:
    """Where the page lies, after copying it to ``output`` if that was asked for."""
    import shutil

    from iodine_kit.cli.console import Terminal

    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        page = Path(shutil.copyfile(page, output))
    Terminal().note(f"open {page.resolve().as_uri()}")
    return str(page)

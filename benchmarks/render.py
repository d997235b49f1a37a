"""CPU seconds per CLEVR scene drawn by Blender, in the part of the view that IODINE sees and in the whole view.

The Python that has Blender's module bpy is $IODINE_KIT_BLENDER, or else the one that runs this. A process that draws
one scene is measured beside one that draws several; the difference is what a scene takes once Blender is up.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _measure import in_turn, parser, print_facts, print_table, spread

from iodine_kit.datasets import clevr
from iodine_kit.datasets._clevr_blender.client import Renderer, find_python
from iodine_kit.errors import SourceError

VIEWS = {"128×128, the crop": {"view": "crop", "size": 128}, "240×320, the whole view": {"view": "full"}}


def main() -> None:
    """Print a table, or one sentence where there is no Blender."""
    options = parser(__doc__, repetitions=3)
    options.add_argument("--scenes", type=int, default=8, help="drawn by a process (default: 8)")
    options.add_argument("--samples", type=int, default=clevr.Config().samples, help="light paths per pixel")
    given = options.parse_args()
    try:
        python = find_python()
    except SourceError as error:
        print(f"Nothing is measured: {error}")
        return
    print_facts()
    scenes, repetitions = (1, 1) if given.quick else (given.scenes, given.repetitions)
    rows = [
        [name, *measure(python, {**view, "samples": given.samples}, scenes, repetitions)]
        for name, view in VIEWS.items()
    ]
    print_table(["view", "s/scene", "s to start"], rows)


def measure(python: str, view: dict[str, object], scenes: int, repetitions: int) -> list[str]:
    """CPU seconds of a scene, and of starting Blender and its first scene's preparations."""
    settings = {key: value for key, value in clevr.Config(**view).model_dump(mode="json").items() if value != []}
    taken = in_turn(
        {"one": lambda: draw(python, settings, 1), "more": lambda: draw(python, settings, 1 + scenes)}, repetitions
    )
    pairs = list(zip(taken["one"], taken["more"], strict=True))
    each = [(more - one) / scenes for one, more in pairs]
    return [spread(each, 2), spread([one - scene for (one, _), scene in zip(pairs, each, strict=True)], 2)]


def draw(python: str, settings: dict[str, object], scenes: int) -> float:
    """CPU seconds of a process that draws the scenes of the first seeds."""
    start = children_seconds()
    with Renderer(python) as renderer:
        for seed in range(scenes):
            renderer.render(seed, settings)
    return children_seconds() - start


def children_seconds() -> float:
    """CPU seconds of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()

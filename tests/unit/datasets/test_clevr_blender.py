"""CLEVR's renderer: the client with fake programs, the placement against closed forms, and Blender if it is there."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import math
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

from iodine_kit.datasets import clevr as names
from iodine_kit.datasets._clevr_blender import client
from iodine_kit.datasets._clevr_blender.client import Renderer, find_python
from iodine_kit.errors import SourceError

PROGRAM = Path(client.__file__).parent
MODULES = ("settings", "placement", "exr")

Fake = Callable[[str], Renderer]


@pytest.fixture(scope="module")
def program() -> Iterator[dict[str, ModuleType]]:
    """The modules of the program that do not need Blender, imported like in the program: from its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROGRAM))
        yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    """Create renderers whose program is a few lines that use ``request`` and ``say(answer)``, after ``ready``."""
    made: list[Renderer] = []

    def make(lines: str, ready: str = "say({'ready': True, 'blender': '5', 'device': 'cpu'})") -> Renderer:
        path = tmp_path / "program.py"
        head = (
            "import json, os, sys, time\nimport numpy as np\ndef say(answer): print(json.dumps(answer), flush=True)\n"
        )
        loop = "for line in sys.stdin:\n    request = json.loads(line)\n"
        path.write_text(head + ready + "\n" + loop + textwrap.indent(textwrap.dedent(lines), "    "))
        made.append(Renderer(sys.executable, path))
        return made[-1]

    yield make
    for renderer in made:
        renderer.close()


WELL = """
np.savez(request["out"], image=np.full((2, 2, 3), request["seed"], np.uint8), pid=os.getpid(), **request["settings"])
say({"done": request["out"]})
"""


def test_one_process_renders_all_scenes_until_it_is_closed(fake: Fake) -> None:
    renderer = fake(WELL)
    first, second = renderer.render(7, {"size": 64}), renderer.render(8, {})
    assert (first["image"] == 7).all()
    assert (second["image"] == 8).all()
    assert first["size"] == 64
    assert first["pid"] == second["pid"] != os.getpid()
    assert (renderer.blender, renderer.device) == ("5", "cpu")
    renderer.close()
    assert not alive(int(first["pid"]))
    assert renderer.render(9, {})["pid"] != first["pid"]


def test_ctrl_c_does_not_reach_the_renderer(fake: Fake) -> None:
    pid = int(fake(WELL).render(1, {})["pid"])
    assert os.getsid(pid) == pid != os.getsid(0)


def test_the_process_survives_a_refused_scene(fake: Fake) -> None:
    renderer = fake("if request['seed'] == 1:\n    say({'error': 'ValueError: no room'}); continue\n" + WELL)
    before = renderer.render(0, {})["pid"]
    with pytest.raises(SourceError, match="cannot render the scene: ValueError: no room"):
        renderer.render(1, {})
    assert renderer.render(2, {})["pid"] == before


def test_a_crash_is_reported_with_its_last_message_and_the_next_scene_starts_a_process(fake: Fake) -> None:
    renderer = fake("if request['seed'] == 1: sys.exit('first line\\nout of memory')\n" + WELL)
    with pytest.raises(SourceError, match="ended with status 1: out of memory"):
        renderer.render(1, {})
    assert (renderer.render(2, {})["image"] == 2).all()


def test_a_killed_process_is_reported(fake: Fake) -> None:
    renderer = fake("if request['seed']: time.sleep(60)\n" + WELL)
    pid = int(renderer.render(0, {})["pid"])
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(SourceError, match="was killed by signal 9"):
        renderer.render(1, {})


def test_an_interrupt_ends_a_busy_process_immediately(fake: Fake) -> None:
    renderer = fake("if request['seed']: time.sleep(60)\n" + WELL)
    pid = int(renderer.render(0, {})["pid"])
    main = threading.main_thread().ident
    threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        renderer.render(1, {})
    assert time.monotonic() - start < 10
    assert not alive(pid)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("print('Blender says hello', flush=True)", "sent an unexpected line: 'Blender says hello'"),
        ("say({'done': request['out']})", "wrote no readable scene"),
        ("open(request['out'], 'w').write('x'); say({'done': request['out']})", "wrote no readable scene"),
        (
            "np.savez(request['out'], image=np.array([{}])); say({'done': request['out']})",
            "wrote no readable scene: Object arrays cannot be loaded",
        ),
    ],
)
def test_an_invalid_answer_is_a_source_error(fake: Fake, lines: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        fake(lines).render(0, {})


def test_the_process_ends_when_its_client_exits(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import json, sys\nprint(json.dumps({'ready': True}), flush=True)\nsys.stdin.read()\n")
    code = (
        "import sys; from pathlib import Path; from iodine_kit.datasets._clevr_blender.client import Renderer\n"
        "renderer = Renderer(sys.executable, Path(sys.argv[1])); print(renderer._start().pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, program], capture_output=True, text=True, check=True, timeout=60)
    assert not alive(int(done.stdout))


@pytest.mark.skipif(importlib.util.find_spec("bpy") is not None, reason="this Python has bpy")
def test_the_error_for_a_python_without_bpy_says_what_to_do() -> None:
    with pytest.raises(SourceError, match=r"No module named 'bpy'.*install bpy==.* IODINE_KIT_BLENDER"):
        Renderer(sys.executable).render(0, {})


def test_a_program_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("no program")
    with pytest.raises(SourceError, match=r"cannot start .*python: Permission denied"):
        Renderer(str(tmp_path / "python")).render(0, {})


def test_the_python_is_found_by_the_variable_or_by_bpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(client.VARIABLE, "sh")
    assert find_python() == "sh"
    monkeypatch.setenv(client.VARIABLE, "no/python")
    with pytest.raises(SourceError, match="IODINE_KIT_BLENDER: 'no/python' is not a program"):
        find_python()
    monkeypatch.delenv(client.VARIABLE)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"Python 3\.11.*iodine-kit\[blender\].*bpy==.*IODINE_KIT_BLENDER=blender/"):
        find_python()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert find_python() == sys.executable


def test_the_package_and_the_program_use_the_same_names(program: dict[str, ModuleType]) -> None:
    words = program["settings"]
    assert (names.SIZES, names.SHAPES) == (words.SIZES, words.SHAPES)
    assert (names.MATERIALS, names.COLOURS) == (words.MATERIALS, words.COLORS)
    assert set(words.RGB) == set(words.COLORS[1:])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sise": 64}, "unknown setting sise"),
        ({"min_objects": 4, "max_objects": 3}, "min_objects <= max_objects"),
        ({"view": "side"}, "view 'side' must be crop or full"),
        ({"samples": 0}, "samples must be 1 or more"),
        ({"colors": ["pink"]}, "colors must be some of red, .*, not pink"),
        ({"shapes": ["cone"]}, "shapes must be some of sphere, cylinder, cube, not cone"),
    ],
)
def test_a_wrong_setting_is_named(program: dict[str, ModuleType], values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        program["settings"].parse(values)


def test_an_empty_list_means_all(program: dict[str, ModuleType]) -> None:
    settings = program["settings"]
    assert settings.parse({"shapes": [], "colors": ["red"]}) == settings.Settings(colors=("red",))


def test_objects_keep_distance_and_margins(program: dict[str, ModuleType]) -> None:
    """Measured in the frame of the camera without jitter, by angles instead of projections."""
    placement, settings = program["placement"], program["settings"].Settings(min_objects=8, max_objects=8)
    placed = [placement.place(random.Random(seed), 8, settings) for seed in range(150)]
    scenes = [objects for objects in placed if objects]
    assert len(scenes) > 30
    heading = math.atan2(-placement.CAMERA[1], -placement.CAMERA[0])
    for first, second in itertools.chain.from_iterable(itertools.combinations(objects, 2) for objects in scenes):
        gap, way = (
            math.dist((first.x, first.y), (second.x, second.y)),
            math.atan2(second.y - first.y, second.x - first.x),
        )
        # A cube is measured with its radius before it is shrunk.
        assert gap - first.radius - {"large": 0.7, "small": 0.35}[second.size] >= 0.25 - 1e-9
        assert abs(gap * math.cos(way - heading)) >= 0.4 - 1e-9
        assert abs(gap * math.sin(way - heading)) >= 0.4 - 1e-9
        assert max(abs(first.x), abs(first.y), abs(second.x), abs(second.y)) <= 3


def test_numbers_and_names_are_uniform(program: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    placement = program["placement"]
    monkeypatch.setattr(placement, "visible", lambda camera, objects: True)
    scenes = [placement.sample(seed, program["settings"].Settings()) for seed in range(1500)]
    counts = np.bincount([len(scene.objects) for scene in scenes], minlength=11)
    assert counts[:3].sum() == 0
    assert stats.chisquare(counts[3:]).pvalue > 1e-3
    # Rejection depends on positions, so names that do not affect them stay uniform.
    things = [thing for scene in scenes for thing in scene.objects]
    for name, known in (("color", names.COLOURS), ("material", names.MATERIALS)):
        found = [known.index(getattr(thing, name)) for thing in things]
        assert stats.chisquare(np.bincount(found, minlength=len(known))[1:]).pvalue > 1e-3
    angles = np.array([thing.rotation for thing in things])
    assert stats.kstest(angles / 360, "uniform").pvalue > 1e-3
    moves = np.array([scene.camera for scene in scenes]) - placement.CAMERA
    assert stats.kstest(moves.ravel() + 0.5, "uniform").pvalue > 1e-3
    for name, home in placement.LAMPS.items():
        moves = np.array([scene.lamps[name] for scene in scenes]) - home
        assert stats.kstest(moves.ravel() / 2 + 0.5, "uniform").pvalue > 1e-3


def test_a_scene_depends_on_seed_and_settings_only(program: dict[str, ModuleType]) -> None:
    placement, settings = program["placement"], program["settings"].Settings
    assert placement.sample(3, settings()) == placement.sample(3, settings()) != placement.sample(4, settings())
    still = placement.sample(3, settings(jitter=False, shapes=("cube",), colors=("red",), max_objects=4))
    assert (still.camera, still.lamps) == (placement.CAMERA, placement.LAMPS)
    assert {(thing.shape, thing.color) for thing in still.objects} == {("cube", "red")}
    assert len(still.objects) in (3, 4)


def test_objects_that_do_not_fit_are_an_error(program: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    placement = program["placement"]
    monkeypatch.setattr(placement, "SCENE_TRIES", 3)
    with pytest.raises(ValueError, match="40 objects did not fit in 3 tries"):
        placement.sample(0, program["settings"].Settings(min_objects=40, max_objects=40))


def test_every_object_of_a_scene_shows_200_pixels(program: dict[str, ModuleType]) -> None:
    placement = program["placement"]
    scene = placement.sample(11, program["settings"].Settings(min_objects=6, max_objects=6))
    counts = np.bincount(placement.identify(scene.camera, scene.objects).ravel())
    assert len(counts) == 7
    assert counts.min() >= 200
    hidden = [placement.Object("sphere", "metal", "red", "small", -1, 0.8, 0.35, 0.0)]
    assert placement.visible(placement.CAMERA, hidden)
    front = placement.Object("cube", "metal", "red", "large", 0.25, -0.287, 0.7, 0.0)
    assert not placement.visible(placement.CAMERA, [*hidden, front])


def test_the_area_of_a_sphere_equals_that_of_its_ellipse(program: dict[str, ModuleType]) -> None:
    """A cone of half angle a at angle t to the camera's axis intersects the image in an ellipse of known area."""
    placement = program["placement"]
    for x, y in ((0, 0), (2.5, -2), (-2.9, 2.9), (2.5, 2.5)):
        ball = placement.Object("sphere", "rubber", "red", "large", x, y, 0.7, 0.0)
        sight = np.array([x, y, 0.7]) - placement.CAMERA
        distance = np.linalg.norm(sight)
        sin2 = (0.7 / distance) ** 2
        cos2 = (sight @ -np.array(placement.CAMERA) / distance / np.linalg.norm(placement.CAMERA)) ** 2
        area = math.pi * (350**2) * sin2 * math.sqrt(1 - sin2) / (cos2 - sin2) ** 1.5
        assert np.count_nonzero(placement.identify(placement.CAMERA, [ball])) == pytest.approx(area, rel=0.01)


def test_points_are_projected_like_in_a_pinhole_camera(program: dict[str, ModuleType]) -> None:
    placement = program["placement"]
    eye = np.array(placement.CAMERA)
    origin, below = placement.project(placement.CAMERA, np.array([[0.0, 0, 0], [0, 0, -1]]))
    assert origin == pytest.approx([160, 120, np.linalg.norm(eye)])
    assert below[0] == pytest.approx(160)
    assert below[1] > 120
    behind = placement.project(placement.CAMERA, np.array([[*placement.BEHIND, 0.0], [*placement.RIGHT, 0.0]]))
    assert behind[0][0] == pytest.approx(160)
    assert behind[0][2] > origin[2]
    assert behind[1] == pytest.approx([160 + 350 / origin[2], 120, origin[2]])


def test_factors_have_the_published_names_shapes_and_values(program: dict[str, ModuleType]) -> None:
    placement = program["placement"]
    things = (
        placement.Object("cube", "metal", "yellow", "large", 1.0, -2.0, 0.495, 300.0),
        placement.Object("sphere", "rubber", "red", "small", 0.0, 0.0, 0.35, 10.0),
    )
    table = placement.factors(placement.Layout(placement.CAMERA, placement.LAMPS, things), 11)
    assert {name: len(values) for name, values in table.items()} == dict.fromkeys(table, 11)
    assert {str(table[name].dtype) for name in ("size", "material", "shape", "color")} == {"uint8"}
    ids = [table[name][:4].tolist() for name in ("size", "material", "shape", "color")]
    assert ids == [[0, 1, 2, 0], [0, 2, 1, 0], [0, 3, 1, 0], [0, 8, 1, 0]]
    assert table["visibility"].tolist() == [1, 1, 1, *[0] * 8]
    assert table["z"][:4].tolist() == pytest.approx([0, 0.495, 0.35, 0])
    assert table["rotation"][1] == 300
    column, row, depth = table["pixel_coords"][2]
    assert column == 160
    assert row == round(row) < 120
    assert depth == pytest.approx(
        np.linalg.norm(placement.CAMERA) - 0.35 * placement.CAMERA[2] / np.linalg.norm(placement.CAMERA)
    )
    assert table["pixel_coords"].dtype == table["x"].dtype == np.float32


def exr_file(compression: int = 0) -> bytes:
    """Two channels, two rows of three values, written according to the description of the format."""

    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value

    channels = b"".join(name + b"\0" + struct.pack("<iB3xii", 2, 0, 1, 1) for name in (b"A.R", b"B.X")) + b"\0"
    head = struct.pack("<ii", 20000630, 2) + attribute(b"channels", b"chlist", channels)
    head += attribute(b"compression", b"compression", bytes([compression]))
    head += attribute(b"dataWindow", b"box2i", struct.pack("<4i", 0, 0, 2, 1)) + b"\0"
    lines = [struct.pack("<ii6f", y, 24, *(10 * y + value for value in range(6))) for y in range(2)]
    start = len(head) + 16
    return head + struct.pack("<2Q", start, start + len(lines[0])) + b"".join(lines)


def test_an_exr_file_is_read_and_a_compressed_one_is_refused(program: dict[str, ModuleType], tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(exr_file())
    channels = program["exr"].read(path)
    assert channels["A.R"].tolist() == [[0, 1, 2], [10, 11, 12]]
    assert channels["B.X"].tolist() == [[3, 4, 5], [13, 14, 15]]
    path.write_bytes(exr_file(compression=3))
    with pytest.raises(ValueError, match="not an uncompressed OpenEXR"):
        program["exr"].read(path)


@pytest.fixture(scope="module")
def blender() -> Iterator[Renderer]:
    """A renderer with Blender; skips the test if there is none."""
    try:
        python = find_python()
    except SourceError as error:
        pytest.skip(str(error))
    with Renderer(python) as renderer:
        yield renderer


def test_a_rendered_scene_does_not_depend_on_earlier_scenes(blender: Renderer) -> None:
    settings = {"size": 64, "samples": 2, "threads": 1}
    first, other = blender.render(5, settings), blender.render(6, settings)
    assert (first["image"].shape, first["mask"].shape) == ((64, 64, 3), (64, 64))
    assert first["image"].dtype == first["mask"].dtype == np.uint8
    assert first["image"].std() > 5
    assert not np.array_equal(first["image"], other["image"])
    with Renderer(blender._command[0]) as fresh:
        for renderer in (blender, fresh):
            again = renderer.render(5, settings)
            assert {name: values.tobytes() for name, values in again.items()} == {
                name: values.tobytes() for name, values in first.items()
            }


def test_rendered_objects_are_where_the_placement_puts_them(blender: Renderer, program: dict[str, ModuleType]) -> None:
    """At 192×192, pixels of the crop are pixels of the view, so the masks agree except at edges."""
    scene = blender.render(2, {"size": 192, "samples": 1})
    layout = program["placement"].sample(2, program["settings"].Settings())
    ids = program["placement"].identify(layout.camera, layout.objects)
    assert np.count_nonzero(scene["mask"] != ids[29:221, 64:256]) < 60
    full = blender.render(2, {"view": "full", "samples": 1})
    assert np.array_equal(full["mask"][29:221, 64:256], scene["mask"])


def test_the_brightness_of_the_rendered_ground_is_that_of_clevr(blender: Renderer) -> None:
    """Rows of published images have a mean of 105 at the top and 139 to 147 at the bottom."""
    settings = {"view": "full", "jitter": False, "min_objects": 1, "max_objects": 1, "sizes": ["small"]}
    image, mask = (blender.render(1, settings)[name] for name in ("image", "mask"))
    assert not mask[:4].any()
    assert image[:4].mean() == pytest.approx(104.8, abs=3)
    assert image[-4:].mean() == pytest.approx(143, abs=4)


def test_blender_names_a_refused_setting(blender: Renderer) -> None:
    with pytest.raises(SourceError, match="colors must be some of red"):
        blender.render(0, {"colors": ["pink"]})


def alive(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

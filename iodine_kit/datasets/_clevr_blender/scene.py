# SPDX-License-Identifier: Apache-2.0
# Part of a program that runs inside Blender's Python (GPL-3.0-or-later); Apache-2.0 is compatible with that licence.
"""A studio in Blender: ground, lamps and camera are permanent; every scene adds its objects and removes them."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import bpy  # type: ignore[import-not-found]
import exr  # type: ignore[import-not-found]
import materials  # type: ignore[import-not-found]
import mathutils  # type: ignore[import-not-found]
import numpy as np
import shapes  # type: ignore[import-not-found]
from numpy.typing import NDArray
from placement import Layout, Object, Vector, look_at_origin  # type: ignore[import-not-found]
from settings import RGB, Settings  # type: ignore[import-not-found]

# Side in metres, radiance in W/(m² sr) and colour of CLEVR's square lamps.
_LAMPS = {
    "key": (0.5, 100.0, (1.0, 0.932, 0.817)),
    "fill": (0.5, 30.0, (0.762, 0.818, 1.0)),
    "back": (1.0, 12.5, (1.0, 1.0, 1.0)),
}
_SUN = (0.4145, -0.1946, 0.889)  # the direction towards the sun
_SUN_POWER, _SUN_ANGLE = 0.45, 0.199  # W/m², radians
_GPUS = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")


class Studio:
    """Everything that all scenes share. There is one Blender per process, so create only one studio.

    Attributes:
        gpu: the kind of GPU that Blender can use, or None.
    """

    def __init__(self) -> None:
        """Empty Blender, then build the permanent parts."""
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self._scene = bpy.context.scene
        self._world()
        ground = self._add("ground", shapes.ground())
        ground.data.materials.append(materials.floor())
        finishes = {"rubber": materials.rubber(), "metal": materials.metal()}
        # All scenes use six meshes; objects differ in position and in colour, which the material reads.
        self._meshes = {(kind, finish): shapes.BUILDERS[kind]() for kind in shapes.BUILDERS for finish in finishes}
        for (_, finish), mesh in self._meshes.items():
            mesh.materials.append(finishes[finish])
        self._lamps = {name: self._lamp(name, *values) for name, values in _LAMPS.items()}
        self.gpu = find_gpu()
        self._camera = self._add("camera", bpy.data.cameras.new("camera"))
        self._scene.camera = self._camera
        self._look()

    def draw(self, seed: int, layout: Layout, settings: Settings) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Render a scene: image ``u8[H, W, 3]`` and mask ``u8[H, W]``, 0 where no object is, else its row.

        Raises:
            ValueError: if a GPU is requested and Blender finds none.
        """
        self._adjust(seed, settings)
        self._camera.matrix_world = _pose(layout.camera)
        for name, lamp in self._lamps.items():
            lamp.matrix_world = _pose(layout.lamps[name])
        things = [self._place(index, thing) for index, thing in enumerate(layout.objects, start=1)]
        try:
            channels = self._render()
        finally:
            for thing in things:
                bpy.data.objects.remove(thing)
        light = np.stack([channels[f"Combined.{color}"] for color in "RGB"], -1)
        # Cycles takes the index from the first path of a pixel, which goes through the centre of the pixel.
        index = "Object Index.X" if "Object Index.X" in channels else "IndexOB.X"  # since Blender 5.0, and before
        mask = channels[index]
        return encode(light), np.round(mask).astype(np.uint8)

    def _render(self) -> dict[str, NDArray[np.float32]]:
        with tempfile.TemporaryDirectory(prefix="iodine-kit-") as folder:
            path = Path(folder) / "scene.exr"
            self._scene.render.filepath = str(path)
            bpy.ops.render.render(write_still=True)
            # "ViewLayer.Combined.R" and so on
            return {name.split(".", 1)[1]: values for name, values in exr.read(path).items()}

    def _place(self, index: int, thing: Object) -> Any:
        placed = self._add(f"object {index}", self._meshes[thing.shape, thing.material])
        placed.location = (thing.x, thing.y, thing.radius)
        # Published as degrees, but CLEVR's generator used it as radians.
        placed.rotation_euler[2] = thing.rotation
        placed.scale = (thing.radius,) * 3
        placed.color = (*(value / 255 for value in RGB[thing.color]), 1)
        placed.pass_index = index
        return placed

    def _add(self, name: str, data: Any) -> Any:
        thing = bpy.data.objects.new(name, data)
        self._scene.collection.objects.link(thing)
        return thing

    def _world(self) -> None:
        self._scene.world = None  # black; a new world is grey in some versions
        sun = self._add("sun", bpy.data.lights.new("sun", "SUN"))
        sun.data.energy, sun.data.angle = _SUN_POWER, _SUN_ANGLE
        sun.matrix_world = _pose(_SUN)

    def _lamp(self, name: str, side: float, radiance: float, color: Vector) -> Any:
        light = bpy.data.lights.new(name, "AREA")
        light.shape, light.size, light.color = "SQUARE", side, color
        light.energy = math.pi * side**2 * radiance
        return self._add(name, light)

    def _look(self) -> None:
        """Settings that all images have in common."""
        scene = self._scene
        render, cycles = scene.render, scene.cycles
        render.engine = "CYCLES"
        render.resolution_percentage = 100
        render.use_compositing = render.use_sequencer = False
        output = render.image_settings
        if hasattr(output, "media_type"):  # since Blender 5.0, which writes one part per pass by default
            output.media_type = "MULTI_LAYER_IMAGE"
        output.file_format, output.color_depth, output.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
        if hasattr(output, "use_exr_interleave"):
            output.use_exr_interleave = True
        scene.view_layers[0].use_pass_object_index = True
        cycles.use_adaptive_sampling = False
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 4, 4
        cycles.caustics_reflective = cycles.caustics_refractive = False
        cycles.blur_glossy = 2.0
        cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.5
        cycles.denoiser = "OPENIMAGEDENOISE"
        cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
        cycles.denoising_prefilter = "FAST"

    def _adjust(self, seed: int, settings: Settings) -> None:
        """Apply the settings of one image."""
        render, cycles, lens = self._scene.render, self._scene.cycles, self._camera.data
        render.resolution_x, render.resolution_y = settings.resolution
        crop = settings.view == "crop"
        # The crop has 192 of 320 columns, and its middle row is 5 rows below that of the view.
        lens.sensor_width, lens.lens, lens.shift_y = 32, 35 * 320 / 192 if crop else 35, -5 / 192 if crop else 0
        render.threads_mode = "FIXED" if settings.threads else "AUTO"
        if settings.threads:
            render.threads = settings.threads
        if settings.device == "gpu" and not self.gpu:
            raise ValueError(f"Blender finds no GPU ({', '.join(_GPUS)}): set dataset.device to cpu")
        cycles.device = settings.device.upper()
        cycles.samples, cycles.use_denoising = settings.samples, settings.denoise
        cycles.seed = seed % (2**31 - 1)


def find_gpu() -> str | None:
    """Enable all GPUs of the first kind that Blender can use, and return the kind; None if there is none."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    for kind in _GPUS:
        try:
            preferences.compute_device_type = kind
        except TypeError:  # this build of Blender does not support it
            continue
        preferences.refresh_devices()
        for device in preferences.devices:
            device.use = device.type == kind
        if any(device.use for device in preferences.devices):
            return kind
    return None


def encode(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert linear light to sRGB bytes, clipped: Blender's "Standard" view, without dithering."""
    light = np.clip(light, 0, 1)
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(255 * signal)).astype(np.uint8)


def _pose(eye: Vector) -> Any:
    """Matrix of a camera or lamp at ``eye`` that looks at the origin."""
    return mathutils.Matrix.LocRotScale(eye, mathutils.Matrix(look_at_origin(eye).tolist()), None)

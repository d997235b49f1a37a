# SPDX-License-Identifier: Apache-2.0
# Part of a program that runs inside Blender's Python (GPL-3.0-or-later); Apache-2.0 is compatible with that licence.
"""CLEVR's rubber, metal and ground, rebuilt from their description; the colour comes from the object."""

from __future__ import annotations

import math
from typing import Any

import bpy  # type: ignore[import-not-found]


def rubber() -> Any:
    """Matte: diffuse with a velvet rim, under a faint rough gloss."""
    material, add, link, output = _blank("rubber")
    color = add("ShaderNodeObjectInfo").outputs["Color"]
    diffuse, velvet, gloss = add("ShaderNodeBsdfDiffuse"), add("ShaderNodeBsdfSheen"), _glossy(add, 0.35)
    velvet.distribution = "ASHIKHMIN"
    velvet.inputs["Roughness"].default_value = 1.0
    for shader in (diffuse, velvet):
        link(color, shader.inputs["Color"])
    body = _mixed(add, link, _fresnel(add, 1.45), diffuse, velvet)
    link(_mixed(add, link, _fresnel(add, 1.25), body, gloss).outputs[0], output)
    return material


def metal() -> Any:
    """Shiny: a sharp and a blurred reflection, both in the colour of the object."""
    material, add, link, output = _blank("metal")
    color = add("ShaderNodeObjectInfo").outputs["Color"]
    sharp, blurred = _glossy(add, 0.01), _glossy(add, 0.2)
    for shader in (sharp, blurred):
        link(color, shader.inputs["Color"])
    mix = _mixed(add, link, None, sharp, blurred)
    mix.inputs[0].default_value = 0.6
    link(mix.outputs[0], output)
    return material


def floor() -> Any:
    """Grey paint that reflects 80 % of the light."""
    material, add, link, output = _blank("floor")
    paint = add("ShaderNodeBsdfDiffuse")
    paint.inputs["Color"].default_value = (0.8, 0.8, 0.8, 1)
    link(paint.outputs[0], output)
    return material


def _blank(name: str) -> tuple[Any, Any, Any, Any]:
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):  # since 5.0, every material has nodes
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    return material, tree.nodes.new, tree.links.new, tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"]


def _glossy(add: Any, alpha: float) -> Any:
    node = add("ShaderNodeBsdfAnisotropic")  # the name of the glossy shader since Blender 4.0
    node.distribution = "GGX"
    node.inputs["Color"].default_value = (1, 1, 1, 1)
    node.inputs["Roughness"].default_value = math.sqrt(alpha)
    return node


def _fresnel(add: Any, index: float) -> Any:
    node = add("ShaderNodeFresnel")
    node.inputs["IOR"].default_value = index
    return node


def _mixed(add: Any, link: Any, share: Any, first: Any, second: Any) -> Any:
    """Mix two shaders; ``share``, a node or None, gives the weight of the second."""
    node = add("ShaderNodeMixShader")
    if share is not None:
        link(share.outputs[0], node.inputs[0])
    link(first.outputs[0], node.inputs[1])
    link(second.outputs[0], node.inputs[2])
    return node

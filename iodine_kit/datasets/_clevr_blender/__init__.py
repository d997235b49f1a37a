"""CLEVR scenes rendered by Blender in a separate process.

Blender's Python module ``bpy`` is GPL software for one Python version and requires an old NumPy, so the package never
imports it: ``client.py`` starts ``render.py`` with an interpreter that has ``bpy``, and both exchange lines of JSON.
``render.py`` and the files beside it that it imports (``settings``, ``placement``, ``scene``, ``shapes``, ``materials``
and ``exr``) are a program, not part of the package: they use the standard library, NumPy and ``bpy`` only.
"""

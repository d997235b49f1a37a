"""CLEVR scenes drawn by Blender, in a process of their own.

Blender's Python module ``bpy`` is GPL software for one Python version and brings its own NumPy, so the package never
imports it: ``client.py`` starts ``render.py`` under an interpreter that has ``bpy`` and talks to it in lines of JSON.
``render.py`` and the files beside it that it imports (``settings``, ``placement``, ``scene``, ``shapes``, ``materials``
and ``exr``) are a program, not part of the package: they use the standard library, NumPy and ``bpy`` only.
"""

"""Scores of predicted masks, and what they mean: a library of arrays and readers without artifacts.

``scoring`` scores masks scene by scene, at the size that ``mask_size`` gives them; ``summary`` makes means with
intervals of the scores (``bootstrap``), by group; ``comparison`` compares models on the same scenes;
``facts`` are the typed results, and ``tables`` and ``comparison_tables`` show them. ``probing`` measures what latents
reveal about objects.
"""

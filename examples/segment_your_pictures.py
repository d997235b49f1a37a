"""Segment a folder of your own pictures, and save a figure of the result.

Usage: python segment_your_pictures.py [FOLDER] [MODEL]

MODEL is a pretrained model (``pretrained:tetrominoes``) or the path of a run that you trained. A model knows only the
kind of scene that it was trained on: for your own kind of pictures, train a model first (``ik.prepare("folder",
source=…)``, then ``ik.train``).
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import iodine_kit as ik

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
model = ik.load_model(sys.argv[2] if len(sys.argv) > 2 else "pretrained:tetrominoes")

if not folder.exists():  # without pictures of your own, draw some
    folder.mkdir()
    for number, image in enumerate(ik.generate("tetrominoes", 6).image):
        Image.fromarray(image).save(folder / f"{number}.png")

# Pictures as one array uint8[pictures, height, width, 3], in the size that the model was trained on.
height, width = model.image_size or (64, 64)
paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpeg", ".jpg", ".png"})
pictures = np.stack([np.asarray(Image.open(path).convert("RGB").resize((width, height))) for path in paths])

segmentation = model.segment(pictures)
print(segmentation)
slots = segmentation.soft_mask.shape[1]
for path, mask in zip(paths, segmentation.mask, strict=True):
    print(f"{path.name}: pixels of each slot {np.bincount(mask.ravel(), minlength=slots)}")

ik.segmentation_figure(pictures, segmentation).save("segmentation.png")
print("open segmentation.png")

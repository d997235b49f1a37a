"""Slot Attention's object discovery: IODINE's crop, the first scenes for training and the next 320 for evaluation."""

from __future__ import annotations

from iodine_kit.protocols import CLEVR6_OF_70K, FIRST_60K

VERSION = 1
SUMMARY = "Locatello et al. 2020: CLEVR6 has at most 6 objects of the first 70k; the next 320 for evaluation"
SOURCE = (
    "Locatello et al., Object-Centric Learning with Slot Attention, NeurIPS 2020, section 4.1; the records: from "
    "the authors, issue 595 of google-research. The released code reads other images, of 320×480 pixels, and crops "
    "another part of them"
)
RULES = {"clevr": CLEVR6_OF_70K, "multi-dsprites": FIRST_60K, "tetrominoes": FIRST_60K}

"""Sentences that several metrics' conventions share."""

HARD = "Masks are hard: each pixel is of the slot with the largest mask (lowest index in a tie)."
OBJECT = "An object is a true entity other than background that has at least one pixel."
ENTITY = (
    "An entity is an object or the background (all of its indices merged) if it has at least one pixel; the last "
    "entity and the last slot count like all others, which some public evaluators leave out."
)
MATCHED = (
    "Matched: one slot at most for each object and one object for each slot, such that the sum of IoUs over all "
    "pixels is largest (Hungarian; among equal sums any), slots on the background included; one without a common "
    "pixel is none."
)
UNDEFINED = "A scene without objects is undefined and left out."
DETECTION = "A slot is a detection unless it has no pixel or more than half of its pixels are true background."

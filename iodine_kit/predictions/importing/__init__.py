"""Third-party predictions: match arrays to fields, rows to scenes, and check every value.

`config` is the mapping that a user writes, `fields` matches arrays to fields, `keys` matches rows to scenes, and
`values` turns rows into batches of predictions.
"""

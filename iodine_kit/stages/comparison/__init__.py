"""The parts of the comparison stage: `models` groups evaluations by model, `agreement` refuses what does not compare,
`figures` works out means and paired differences, `tables` shows them.
"""

"""The parts of the evaluation stage: `config` says what is wanted, `pairing` brings predictions and truth together,
`resolution` to one size, `scoring` scores them, `summary` makes figures of the scores, `tables` and `files` write them.
"""

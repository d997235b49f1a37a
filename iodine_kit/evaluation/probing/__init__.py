"""Probes of representations: what of an object's true factors can be read from the latents of its slot, and how.

`objects` gathers visible objects with their factors and slots, `factors` decides what is a number and what a class,
`matching` says which slot is whose, `estimators` and `prediction` fit and test probes across folds of scenes, `scores`
says how good they are, `dci` how latents and factors line up (Eastwood & Williams 2018), `slots` which slots are in
use. `summary` puts them together and `tables` and `conventions` write them down. scikit-learn is loaded when it is
needed, since it takes a second.
"""

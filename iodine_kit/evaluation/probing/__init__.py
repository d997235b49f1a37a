"""Probes of representations: how well true factors of objects can be read from the latents of their slots.

``objects`` collects visible objects with their factors and slots; ``factors`` decides which factors are numbers and
which are classes; ``matching`` assigns slots to objects; ``estimators`` and ``prediction`` train and test probes across
folds of scenes; ``scores`` measures their predictions, ``dci`` the alignment of latents and factors (Eastwood &
Williams 2018), ``slots`` which slots are in use. ``summary`` combines the results into ``facts``, which ``tables`` show
and ``conventions`` explain. scikit-learn is loaded on first use, because that takes a second.
"""

"""iodine-kit: data, training and evaluation pipelines for unsupervised object-centric learning with IODINE."""

__version__ = "0.1.0"

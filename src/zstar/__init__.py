"""zstar finds z*: it projects images into the latent space of a generator and edits them there."""

__version__ = "0.1.0"

RESULTS = 4
"""Raised with every change after which the same command gives other numbers: part of the identity of each run."""

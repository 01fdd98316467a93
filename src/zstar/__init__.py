"""zstar finds z*: it projects images into the latent space of a generator and edits them there."""

__version__ = "0.1.0"

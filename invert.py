"""Project images into a generator's latent space: ``python invert.py space=w data=folder data.path=photos``."""

from zstar.cli import invert

if __name__ == "__main__":
    invert()

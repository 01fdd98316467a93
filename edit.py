"""Move projected images along directions of latent space: ``python edit.py data=folder data.path=photos``."""

from zstar.cli import edit

if __name__ == "__main__":
    edit()

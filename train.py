"""Train a network of the project: python train.py task=encoder|generator|annotator."""

from zstar.cli import train

if __name__ == "__main__":
    train()

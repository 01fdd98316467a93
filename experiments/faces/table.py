"""Finished runs of run.sh → the tables of README.md.

python experiments/faces/table.py outputs/faces
"""

import sys
from pathlib import Path

import torch

from zstar.checkpoints.io import load_weights, read_card
from zstar.runs.folder import by_age


def main() -> None:
    """Print the scores, and the cosines between the directions of one finder."""
    for finder in ("attribute", "interfacegan"):
        path = by_age(Path(sys.argv[1]), f"{finder}_*/directions.safetensors")[-1]
        tensors, card = load_weights(path), read_card(path)["directions"]
        names = list(card)
        units = torch.stack([tensors[f"{name}/vector"].flatten() / tensors[f"{name}/vector"].norm() for name in names])
        cosines = units @ units.T
        print(f"| {finder} | {' | '.join(card[names[0]]['scores'])} | {' | '.join(f'cos {name}' for name in names)} |")
        print("|" + "---|" * (1 + len(card[names[0]]["scores"]) + len(names)))
        for name, row in zip(names, cosines.tolist(), strict=True):
            cells = [name, *(f"{value:.3f}" for value in card[name]["scores"].values()), *(f"{v:+.2f}" for v in row)]
            print(f"| {' | '.join(cells)} |")
        print()


if __name__ == "__main__":
    main()

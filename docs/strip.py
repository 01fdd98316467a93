"""Make the picture at the top of the README: held-out pictures, what the encoder makes of them, what optimisation adds.

python docs/strip.py
"""

from pathlib import Path

import torch
from hydra import compose, initialize_config_module

from zstar.data.reading import read_image
from zstar.projection.run import run
from zstar.reports.projection import write_montage
from zstar.runs.folder import safe_name

COUNT = 12


def main() -> None:
    """Project a dozen held-out cottages with the defaults of ``invert.py`` and lay them out."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        result = run(
            compose("invert", [f"data.count={COUNT}", "steps=400", "optimizer.lr=0.05", "logger=none", "name=strip"])
        )
    folder = Path(result["folder"])
    files = [f"{safe_name(f'test-{i:06d}')}.png" for i in range(COUNT)]
    kinds = ("targets", "starts", "reconstructions")
    rows = [torch.stack([read_image(folder / kind / name, 64) for name in files]) for kind in kinds]
    write_montage(Path(__file__).with_name("strip.png"), *rows, columns=COUNT)


if __name__ == "__main__":
    main()

"""Make the picture at the top of the README: held-out pictures above, their projections below.

python docs/strip.py
"""

from pathlib import Path

import torch
from hydra import compose, initialize_config_module

from zstar.images import grid, read_image, write_png
from zstar.projection import run
from zstar.runs import safe_name

COUNT = 12


def main() -> None:
    """Project a dozen held-out cottages with the defaults of ``invert.py`` and lay them out."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        result = run(compose("invert", [f"data.count={COUNT}", "steps=400", "logger=none", "name=strip"]))
    folder = Path(result["folder"])
    files = [f"{safe_name(f'test-{i:06d}')}.png" for i in range(COUNT)]
    rows = [read_image(folder / kind / name, 64) for kind in ("targets", "reconstructions") for name in files]
    strip = grid(torch.stack(rows), COUNT)
    large = torch.nn.functional.interpolate(strip[None], scale_factor=2, mode="nearest")[0]
    write_png(Path(__file__).with_name("strip.png"), large)


if __name__ == "__main__":
    main()

"""docs/edit.png: held-out pictures moved through the year and through the day, by directions that ship.

python docs/edit.py
"""

from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from zstar.data.reading import read_image
from zstar.editing.run import run
from zstar.images import grid, write_png

HERE = Path(__file__).parent
ROWS = {"season": (0, 1, 4), "time_of_day": (2, 3, 5)}


def main() -> None:
    """Run edit.py and put some of its strips below each other."""
    words = ["data.count=6", f"only=[{','.join(ROWS)}]", "editability=[]", "logger=none", "name=readme"]
    with initialize_config_dir(version_base="1.3", config_dir=str(HERE.parent / "conf")):
        result = run(compose("edit", words))
    strips = []
    for name, images in ROWS.items():
        for image in images:
            path = Path(result["folder"]) / "strips" / name / f"{result['images'][image]}.png"
            strips.append(cut(read_image(path, 1564, fit="pad")))
    write_png(HERE / "edit.png", grid(torch.stack(strips), 1, gap=6))


def cut(strip: torch.Tensor) -> torch.Tensor:
    """A strip without the white that was padded to it."""
    middle, half = strip.shape[1] // 2, 96
    return strip[:, middle - half : middle + half]


if __name__ == "__main__":
    main()

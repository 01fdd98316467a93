"""Edits brought onto photos of four times the generator's resolution, beside what the world itself draws: prints the
tables of README.md, draws its sheets.

    python experiments/edit_transfer/compare.py --figures experiments/edit_transfer

The margin of the automatic choice is set on cottages of the split ``validation`` and judged on those of ``test``.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from worlds import EDITS, FOLDER, Case, World

from zstar.images import to_unit, write_png
from zstar.postprocess.base import Change
from zstar.postprocess.none import Nothing
from zstar.postprocess.residual import Residual
from zstar.postprocess.transfer import Transfer
from zstar.reports.captions import labelled
from zstar.runs.folder import write_text
from zstar.stats.comparison import mean_interval

WAYS = {
    "up-sampled G(v′)": Nothing(),
    "residual": Residual(),
    "colour": Transfer(model="colour"),
    "flow and colour": Transfer(model="flow"),
}
AUTOMATIC = Transfer()
BATCH, TIMED = 8, 4  # photos at once, and those that are made one by one, for the clock
MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
SHOWN = 3  # photos of a sheet: the best, the middle and the worst, by the automatic choice


def decibel(made: Tensor, truth: Tensor) -> np.ndarray:
    """PSNR of each photo."""
    return (10 * torch.log10(4 / (made - truth).square().mean(dim=(1, 2, 3)))).double().numpy()


def similarity(made: Tensor, truth: Tensor) -> np.ndarray:
    """SSIM of each photo."""
    pairs = zip(to_unit(made).split(1), to_unit(truth).split(1), strict=True)
    return np.array([float(structural_similarity_index_measure(a, b, data_range=1.0)) for a, b in pairs])


def rows_of(change: Change, part: slice, frames: Mapping[float, Tensor]) -> Change:
    """Some photos of an edit, with frames that are there already."""
    photo, before, after = change.photo[part], change.before[part], change.after[part]
    return Change(photo, before, after, None, lambda share: frames[share][part])


def measure(case: Case) -> tuple[dict[str, Tensor], dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray, float]:
    """Name of a way → its photos, and → PSNR and SSIM of each; by how many dB flow is better, as the automatic choice
    sees it; and the seconds that it takes for a photo, alone on one core, without those of the generator."""
    change, made = case.change, {"nothing": case.change.photo}
    frames = {share: change.path(share) for share in (step / AUTOMATIC.frames for step in range(AUTOMATIC.frames + 1))}
    parts = [slice(first, first + BATCH) for first in range(0, len(change.photo), BATCH)]
    for name, way in WAYS.items():
        made[name] = torch.cat([way(rows_of(change, part, frames)) for part in parts])
    gains = torch.cat([AUTOMATIC.gain(AUTOMATIC.way(rows_of(change, part, frames))) for part in parts])
    chosen = (gains > AUTOMATIC.margin).view(-1, 1, 1, 1)
    made["automatic"] = torch.where(chosen, made["flow and colour"], made["colour"])
    seconds = []
    for row in range(min(TIMED, len(change.photo))):
        alone, began = rows_of(change, slice(row, row + 1), frames), time.process_time()
        picture = AUTOMATIC(alone)
        seconds.append(time.process_time() - began)
        torch.testing.assert_close(picture, made["automatic"][row : row + 1], atol=0.02, rtol=0)
    found = {name: (decibel(picture, case.truth), similarity(picture, case.truth)) for name, picture in made.items()}
    return made, found, gains.double().numpy(), float(np.mean(seconds))


def table(scores: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> str:
    """PSNR and SSIM with their intervals, a row for each way and edit."""
    lines = ["| edit | way | PSNR, dB | SSIM |", "|---|---|---|---|"]
    for edit, ways in scores.items():
        for way, (psnr, ssim) in ways.items():
            (a, b), (c, d) = mean_interval(psnr), mean_interval(ssim)
            row = [edit, way, f"{psnr.mean():.2f} [{a:.2f}, {b:.2f}]", f"{ssim.mean():.4f} [{c:.4f}, {d:.4f}]"]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def margins(worlds: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> str:
    """For each margin how often the choice is right, and what wrong ones cost."""
    lines = ["| margin, dB |" + "".join(f" right, {name} | lost, dB, {name} |" for name in worlds)]
    lines.append("|---|" + "---|---|" * len(worlds))
    for margin in MARGINS:
        cells = []
        for edits in worlds.values():
            seen = np.concatenate([one for one, _ in edits.values()])
            real = np.concatenate([one for _, one in edits.values()])
            wrong = (seen > margin) != (real > 0)
            cells += [f"{int((~wrong).sum())} of {len(wrong)}", f"{(np.abs(real) * wrong).mean():.2f}"]
        lines.append(f"| {margin:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(case: Case, made: Mapping[str, Tensor], order: np.ndarray, folder: Path) -> None:
    """A sheet: photos with what each way has made of them, and the truth."""
    rows = dict.fromkeys([int(order[-1]), int(order[len(order) // 2]), int(order[0])])
    cells, labels = [], []
    for row in list(rows)[:SHOWN]:
        cells += [picture[row] for picture in made.values()] + [case.truth[row]]
        labels += ["photo", *list(made)[1:], "truth"]
    sheet = labelled(torch.stack(cells), labels, len(made) + 1, case.name)
    write_png(folder / f"{case.name.replace(', ', '_').replace(' ', '_')}.png", sheet)


def main() -> None:
    """Project, transfer, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=32, help="photos that are measured, of the split test")
    parser.add_argument("--setting", type=int, default=16, help="photos that the margin is set on, of validation")
    parser.add_argument("--edits", nargs="*", default=list(EDITS), choices=EDITS)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/edit_transfer"))
    parser.add_argument("--words", nargs="*", default=[], help="for edit.py, such as steps=50")
    size = parser.parse_args()
    scores, choices, seconds = {}, {}, []
    for split, count in (("validation", size.setting), ("test", size.count)):
        choices[split] = {}
        for case in World(split, 0, count, size.words).cases(size.edits):
            made, found, gains, spent = measure(case)
            choices[split][case.name] = gains, found["flow and colour"][0] - found["colour"][0]
            if split == "test":
                scores[case.name] = found
                seconds.append(spent)
                draw(case, made, found["automatic"][0].argsort(), size.figures)
            print(f"{split}: {case.name}", flush=True)
    text = f"{table(scores)}\n\n{margins(choices)}\n\n{np.mean(seconds):.2f} s a photo, one core\n"
    print("\n" + text)
    write_text(FOLDER / "table.md", text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

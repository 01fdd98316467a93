"""Finished projection runs → the table and the figure of README.md.

python experiments/projection/table.py outputs/projection --figures experiments/projection
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import yaml

from zstar.reports.numbers import with_interval

ORDER = {"z": 0, "w": 1, "w_plus": 2, "style": 3}


def read(folder: Path) -> list[dict]:
    """The finished runs below ``folder``, in the order in which they are shown."""
    runs = []
    for path in folder.glob("*/result.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        rows = pl.read_parquet(path.with_name("results.parquet"), glob=False)
        name = "samples" if path.parent.name.startswith("samples") else "held-out"
        config = yaml.safe_load(path.with_name("config.yaml").read_text(encoding="utf-8"))
        optimizer = config["optimizer"]["_target_"].rsplit(".", 1)[-1]
        runs.append({"data": name, "optimizer": optimizer, "result": result, "rows": rows})
    return sorted(
        runs, key=lambda run: (run["data"] != "samples", run["optimizer"] == "Adam", ORDER[run["result"]["space"]])
    )


def line(run: dict) -> str:
    """One row of the table."""
    summary, result = run["result"]["summary"], run["result"]
    psnr = run["rows"].filter(pl.col("metric") == "psnr")["value"]
    cells = [run["data"], run["optimizer"], result["space"], str(result["images"]), str(len(result["failed"]))]
    ends = ("mean", "low", "high")
    cells.append(with_interval(*(summary["psnr"][end] for end in ends), 2))
    cells += [f"{psnr.median():.2f}", f"{100 * (psnr > 30).mean():.0f} %"]
    cells.append(with_interval(*(summary["perceptual"][end] for end in ends), 4))
    cells.append("{mean:.3f}".format(**summary["ssim"]))
    cells += ["{mean:.1f}".format(**summary["seconds"]), result["protocol_hash"]]
    return "| " + " | ".join(cells) + " |"


def figure(runs: list[dict], folder: Path) -> None:
    """PSNR implied by the lowest pixel loss so far, median and 5–95 % of the images."""
    _, axes = plt.subplots(figsize=(6.4, 3.8))
    for run in runs:
        rows = run["rows"].filter(pl.col("metric") == "loss/pixel").sort("step")
        table = rows.pivot(on="image", index="step", values="value").sort("step")
        steps, values = table["step"].to_numpy(), np.minimum.accumulate(table.drop("step").to_numpy())
        psnr = -10 * np.log10(np.maximum(values / 4, 1e-9))  # the loss is a mean square on [−1, 1], PSNR is on [0, 1]
        low, middle, high = np.percentile(psnr, (5, 50, 95), axis=1)
        (curve,) = axes.plot(steps, middle, label=f"{run['data']}, {run['optimizer']}, {run['result']['space']}")
        axes.fill_between(steps, low, high, alpha=0.12, color=curve.get_color(), linewidth=0)
    axes.set(xlabel="step", ylabel="best PSNR so far (dB)")
    axes.legend(frameon=False)
    plt.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    plt.savefig(folder / "curves.png", dpi=140)


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("outputs/figures/projection"))
    given = parser.parse_args()
    runs = read(given.folder)
    columns = (
        "images",
        "optimizer",
        "space",
        "N",
        "failed",
        "PSNR, dB [95 %]",
        "median",
        "above 30 dB",
        "perceptual [95 %]",
        "SSIM",
    )
    columns += ("s/image", "protocol")
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns))
    for run in runs:
        print(line(run))
    figure(runs, given.figures)


if __name__ == "__main__":
    main()

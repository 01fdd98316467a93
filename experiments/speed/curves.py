"""The figure of ``time_to_quality.py``: quality over seconds per image, of the published projector and of ours."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from contestants import Method

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

SHOWN = {"w": "#c46a3b", "w_lbfgs": "#8c5fa8", "w_plus": "#3b82a0", "default": "#2e7d4f"}
TITLES = {"psnr": "PSNR, dB (higher is better)", "perceptual": "perceptual distance, judge64 (lower is better)"}


def draw(found: dict[str, Any], times: dict[str, list[float]], methods: Mapping[str, Method], path: Path) -> None:
    """Two panels, PSNR and perceptual distance; both axes of time are logarithmic.

    A method's run is drawn at the time of its timed run, times its share of that run's evaluations.
    """
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    runs = found["baseline"]
    for panel, name in zip(panels, TITLES, strict=True):
        whole, last = statistics.median(times["baseline"]), runs[0]["points"][-1]["steps"]
        places = range(len(runs[0]["points"]))
        seconds = [runs[0]["points"][i]["steps"] / last * whole for i in places]
        values = [statistics.fmean(run["points"][i][name] for run in runs) for i in places]
        panel.plot(seconds, values, color="#444444", lw=1.8, label="published projector, on its way")
        panel.axhline(values[-1], color="#444444", lw=0.8, ls=":")
        for key, colour in SHOWN.items():
            if key not in times:
                continue
            points, timed = found["methods"][key], found["timed"][key]
            own = statistics.median(times[key]) / timed["evaluations"]
            where = [own * point["evaluations"] for point in points]
            label = methods[key].name
            panel.plot(where, [p[name] for p in points], "o-", ms=3.5, lw=1.2, color=colour, label=label)
        panel.set_xscale("log")
        panel.set_xlabel("seconds of one core per image")
        panel.set_ylabel(TITLES[name])
        panel.grid(alpha=0.25, lw=0.5, which="both")
        panel.spines[["top", "right"]].set_visible(False)
    panels[1].set_yscale("log")
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=130)
    plt.close(figure)

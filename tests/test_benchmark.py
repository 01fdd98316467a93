"""Run folders in, leaderboard out: planted runs whose numbers are known."""

import csv
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from rich.console import Console
from safetensors.numpy import save_file

import zstar.benchmark.__main__ as benchmark
from zstar.benchmark.compare import Sampling, pareto
from zstar.benchmark.discover import find_runs
from zstar.benchmark.figures.curves import curves_figure
from zstar.benchmark.figures.failures import strip
from zstar.benchmark.leaderboard import Choices, make_board, make_boards
from zstar.benchmark.notes import leaders
from zstar.benchmark.rows import make_rows
from zstar.benchmark.tables import as_latex, as_markdown, tex
from zstar.benchmark.terminal import print_board
from zstar.benchmark.variants import flatten, variants
from zstar.runs.results import RESULTS_SCHEMA
from zstar.stats.comparison import holm, mean_interval, sign_flip
from zstar.stats.kernel_distance import kernel_distance

IDS = [f"test-{i:06d}" for i in range(16)]
QUICK = Sampling(draws=400)
METRICS = {
    "psnr": {"unit": "dB", "better": "higher", "network": ""},
    "perceptual": {"unit": "", "better": "lower", "network": "judge64"},
}


def config(method: str, space: str, seed: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "seed": seed,
        "steps": 100,
        "label": method,
        "name": None,
        "output": f"somewhere/{seed}",
        "budget": {"evaluations": None, "seconds": None},
        "data": {"_target_": "zstar.data.cottages.Cottages", "count": 16},
        "space": {"_target_": f"zstar.spaces.{space}.Space"},
        "optimizer": {"_target_": "zstar.optimizers.adam.Adam", "lr": 0.05},
        "loss": {"pixel": {"_target_": "zstar.losses.pixel.Pixel", "weight": 1.0}},
        "protocol": {"name": "cottages", "track": "in_domain"},
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        node = plain
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    return plain


def row(image: str, metric: str, value: float | None, step: int = 100, seconds: float = 1.0) -> dict[str, Any]:
    same = {"protocol_hash": "p" * 12, "method": "m", "space": "w", "seed": 0}
    return {**same, "image": image, "step": step, "metric": metric, "value": value, "seconds": seconds}


def plant(
    top: Path,
    method: str,
    values: dict[str, list[float | None]],
    seed: int = 0,
    space: str = "w",
    protocol: str = "p" * 12,
    failed: tuple[str, ...] = (),
    result: dict[str, Any] | None = None,
    features: tuple[np.ndarray, np.ndarray] | None = None,
    losses: dict[str, list[float]] | None = None,
    **changes: Any,
) -> Path:
    """A finished run with these final values; each list has one value per image, from the first on."""
    plain = config(method, space, seed, **changes)
    folder = top / f"{method}_{space}_{seed}_{len(list(top.glob('*')))}"
    folder.mkdir(parents=True)
    rows = [row(i, metric, v) for metric, of in values.items() for i, v in zip(IDS, of, strict=False)]
    for metric in ("seconds", "evaluations"):
        if metric not in values:
            rows += [row(i, metric, 2.0 if metric == "seconds" else 100.0) for i in IDS]
    rows += [row(i, "failed", None) for i in failed]
    for image, track in (losses or {}).items():
        for metric, share in (("loss/total", 1.0), ("loss/pixel", 0.5)):
            rows += [row(image, metric, share * v, step, 2.0 * step / 10) for step, v in enumerate(track)]
    pl.DataFrame(rows, schema=RESULTS_SCHEMA).write_parquet(folder / "results.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    told = {"config_hash": f"{hash(str(folder)) % 16**12:012x}", "protocol_hash": protocol, "method": method}
    told |= {"status": "finished", "space": space, "seed": seed, "failed": dict.fromkeys(failed, "diverged")}
    told |= {"metrics": METRICS, "generator": "a" * 64, "protocol": plain["protocol"], "bytes_per_image": 512.0}
    (folder / "result.json").write_text(json.dumps(told | (result or {})))
    if features is not None:
        save_file({"targets": features[0], "reconstructions": features[1]}, folder / "features.safetensors")
        card = {"kind": "features", "ids": IDS[: len(features[0])], "network": "judge64"}
        (folder / "features.json").write_text(json.dumps(card))
    return folder


def paint(folder: Path, images: list[str]) -> None:
    """Pictures of 8×8 pixels: dark targets, brighter reconstructions."""
    for kind, grey in (("targets", 40), ("reconstructions", 60)):
        (folder / kind).mkdir()
        for image in images:
            Image.new("RGB", (8, 8), (grey, grey, grey)).save(folder / kind / f"{image}.png")


def board_of(top: Path, **choices: Any) -> dict[str, Any]:
    ((board, _),) = make_boards(find_runs([top]), Choices(sampling=QUICK, **choices))
    return board


def ids_of(board: dict[str, Any]) -> list[str]:
    return [row["id"] for row in board["rows"]]


def entry(board: dict[str, Any], row: str, metric: str) -> dict[str, Any]:
    return next(r for r in board["rows"] if r["id"] == row)["values"][metric]


def normal(mean: float, seed: int, spread: float = 1.0) -> list[float]:
    return np.random.default_rng(seed).normal(mean, spread, len(IDS)).tolist()


# Rows


def test_seeds_are_nested_in_a_row(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        plant(tmp_path, "adam", {"psnr": [20.0 + seed, 30.0 + seed]}, seed=seed)
    (row,) = board_of(tmp_path)["rows"]
    assert (row["id"], row["seeds"], row["n"], row["variant"]) == ("adam", 3, 16, "")
    assert row["per_image"]["psnr"] == {IDS[0]: 21.0, IDS[1]: 31.0}
    assert row["values"]["psnr"]["mean"] == 26.0 and row["values"]["psnr"]["median"] == 26.0
    assert [Path(folder).name[:8] for folder in row["folders"]] == ["adam_w_0", "adam_w_1", "adam_w_2"]


def test_where_results_go_and_what_the_protocol_covers_make_no_row(tmp_path: Path) -> None:
    plant(tmp_path, "adam", {"psnr": [20.0]})
    plant(tmp_path, "adam", {"psnr": [22.0]}, seed=1, name="other", tags=["x"], data__path="/another/machine")
    assert ids_of(board_of(tmp_path)) == ["adam"]


def test_a_budget_is_named_by_its_number_and_other_settings_by_their_key(tmp_path: Path) -> None:
    plant(tmp_path, "stylegan2", {"psnr": [20.0]}, budget__evaluations=50)
    plant(tmp_path, "stylegan2", {"psnr": [25.0]}, budget__evaluations=150)
    plant(tmp_path, "stylegan2", {"psnr": [26.0]}, budget__seconds=2.5)
    plant(tmp_path, "stylegan2", {"psnr": [27.0]})
    plant(tmp_path, "adam", {"psnr": [24.0]}, optimizer__lr=0.05)
    plant(tmp_path, "adam", {"psnr": [23.0]}, optimizer__lr=0.1)
    plant(tmp_path, "adam", {"psnr": [21.0]}, space="z")
    board = board_of(tmp_path, sort="psnr")
    wanted = ["stylegan2@unlimited", "stylegan2@2.5s", "stylegan2@150", "adam@w,optimizer.lr=0.05"]
    assert ids_of(board) == [*wanted, "adam@w,optimizer.lr=0.1", "adam@z", "stylegan2@50"]
    texts = {row["id"]: row["variant"] for row in board["rows"]}
    assert texts["stylegan2@150"] == "budget.evaluations=150,budget.seconds=none"
    told = {row["id"]: row["budgets"] for row in board["rows"]}
    assert told["stylegan2@unlimited"] == ["no limit"] and told["stylegan2@2.5s"] == ["2.5 seconds"]
    assert told["adam@z"] == []  # nothing to tell: its only row has the budget that the other one of its method has
    assert texts["adam@w,optimizer.lr=0.1"] == "optimizer.lr=0.1" and texts["adam@z"] == ""
    assert board["protocol"]["budgets"] == ["50 evaluations", "150 evaluations", "2.5 seconds"]


def test_variants_name_a_class_instead_of_its_settings_and_no_setting_twice() -> None:
    adam = {"steps": 1, "optimizer": {"_target_": "zstar.optimizers.adam.Adam", "lr": 0.05, "ramp": 0.1}}
    lbfgs = {"steps": 1, "optimizer": {"_target_": "zstar.optimizers.lbfgs.LBFGS", "memory": 5}}
    faster = {**adam, "optimizer": {**adam["optimizer"], "lr": 0.1}}
    found = variants([flatten(each) for each in (adam, faster, lbfgs)])
    assert found == [
        {"optimizer": "adam", "optimizer.lr": "0.05"},
        {"optimizer": "adam", "optimizer.lr": "0.1"},
        {"optimizer": "lbfgs"},
    ]
    echo = [{"steps": n, "projector": {"optimization": {"steps": n}}} for n in (1, 25)]
    assert variants([flatten(each) for each in echo]) == [{"steps": "1"}, {"steps": "25"}]
    extra = [
        {"regularizer": None},
        {"regularizer": {"norm": {"_target_": "zstar.regularizers.norm.Norm", "weight": 1}}},
    ]
    assert variants([flatten(each) for each in extra]) == [{"regularizer.norm": "none"}, {"regularizer.norm": "norm"}]
    assert variants([flatten(adam)]) == [{}]


def test_the_order_of_projectors_makes_a_row(tmp_path: Path) -> None:
    for order in (["mean", "cma"], ["cma", "mean"]):
        plant(tmp_path, "m", {"psnr": [len(order[0])]}, projector={name: {"_target_": f"a.{name}.C"} for name in order})
    assert sorted(ids_of(board_of(tmp_path))) == ["m@projector=cma+mean", "m@projector=mean+cma"]


def test_a_budget_that_limited_nobody_is_no_row_of_its_own(tmp_path: Path) -> None:
    for evaluations in (50, 150):
        seconds = [float(evaluations)] * 16
        plant(tmp_path, "e4e", {"psnr": [20.0, 21.0], "evaluations": [1.0, 1.0], "seconds": seconds},
              budget__evaluations=evaluations)  # fmt: skip
        plant(tmp_path, "adam", {"psnr": [evaluations / 10]}, budget__evaluations=evaluations)
    board = board_of(tmp_path)
    assert sorted(ids_of(board)) == ["adam@150", "adam@50", "e4e"]
    row = next(row for row in board["rows"] if row["method"] == "e4e")
    assert row["variant"] == "budget.evaluations=50|150" and len(row["folders"]) == 2
    assert row["budgets"] == ["50 evaluations", "150 evaluations"] and row["settings"] == ""
    assert row["values"]["seconds"]["mean"] == 50.0  # of the smaller budget


def test_rows_that_differ_in_more_than_the_budget_stay_apart(tmp_path: Path) -> None:
    for evaluations, lr in ((50, 0.1), (150, 0.2)):
        plant(tmp_path, "e4e", {"psnr": [20.0]}, budget__evaluations=evaluations, optimizer__lr=lr)
    assert len(ids_of(board_of(tmp_path))) == 2
    plant(tmp_path / "b", "e4e", {"psnr": [20.0]}, budget__evaluations=50)
    plant(tmp_path / "b", "e4e", {"psnr": [20.0]}, budget__evaluations=150, seed=1)  # another seed proves nothing
    assert len(ids_of(board_of(tmp_path / "b"))) == 2


# Numbers


def test_values_and_differences_are_those_of_the_planted_data(tmp_path: Path) -> None:
    a, b, c = normal(25.0, 1), normal(26.0, 2), normal(25.0, 3)
    for name, values in (("a", a), ("b", b), ("c", c)):
        plant(tmp_path, name, {"psnr": values})
    board = board_of(tmp_path, baseline="a")
    assert board["baseline"] == "a"
    found, apart = entry(board, "b", "psnr"), np.subtract(b, a)
    assert found["mean"] == pytest.approx(np.mean(b)) and found["n"] == 16
    assert [found["low"], found["high"]] == pytest.approx(mean_interval(np.array(b), draws=400))
    assert found["difference"] == pytest.approx(apart.mean()) and found["pairs"] == 16
    wanted = mean_interval(apart, draws=400)
    assert [found["difference_low"], found["difference_high"]] == pytest.approx(wanted)
    p = holm([sign_flip(apart), sign_flip(np.subtract(c, a))])
    assert [found["p"], entry(board, "c", "psnr")["p"]] == pytest.approx(p)
    assert (found["verdict"], entry(board, "c", "psnr")["verdict"]) == ("better", "same")
    base = entry(board, "a", "psnr")
    assert base["verdict"] == "baseline" and base["difference"] is None and base["p"] is None


def test_lower_is_better_where_it_is(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"perceptual": [0.5 + i / 100 for i in range(16)], "psnr": [20.0] * 16})
    plant(tmp_path, "b", {"perceptual": [0.3 + i / 100 for i in range(16)], "psnr": [21.0] * 16})
    board = board_of(tmp_path, baseline="a")
    assert entry(board, "b", "perceptual")["verdict"] == "better"
    assert board_of(tmp_path, baseline="b")["rows"][1]["values"]["perceptual"]["verdict"] == "worse"
    assert ids_of(board) == ["b", "a"] and board["sort"] == "perceptual"


def test_differences_are_of_the_images_that_both_have(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [10.0, 20.0, 30.0, None]}, failed=(IDS[3],))
    plant(tmp_path, "b", {"psnr": [math.nan, 21.0, 32.0, 99.0]})
    board = board_of(tmp_path, baseline="a")
    found = entry(board, "b", "psnr")
    assert (found["difference"], found["pairs"], found["n"]) == (1.5, 2, 3)


def test_failures_and_exclusions_are_counted_by_image_and_seed(tmp_path: Path) -> None:
    for seed in (0, 1):
        failed = (IDS[2],) if seed else (IDS[2], IDS[3])
        plant(tmp_path, "a", {"psnr": [10.0, math.nan, 90.0, 40.0]}, seed=seed, failed=failed)
    (row,) = board_of(tmp_path)["rows"]
    assert row["failures"] == 3
    assert row["excluded"] == 2 + 12 * 2  # an image that is not a number, and twelve that have none, each twice
    assert row["per_image"]["psnr"] == {IDS[0]: 10.0, IDS[3]: 40.0}  # what a failed image left behind does not count


def test_what_a_run_costs_is_not_tested_and_seconds_of_a_batch_have_no_interval(tmp_path: Path) -> None:
    own = [1.0 + i / 10 for i in range(16)]
    plant(tmp_path, "a", {"psnr": normal(20, 0), "seconds": [1.0] * 8 + [2.0] * 8})
    plant(tmp_path, "b", {"psnr": normal(20, 1), "seconds": own})
    board = board_of(tmp_path, baseline="a")
    batch, single = entry(board, "a", "seconds"), entry(board, "b", "seconds")
    assert batch["mean"] == 1.5 and batch["low"] is None and batch["high"] is None
    assert single["low"] < np.mean(own) < single["high"] and single["difference"] == pytest.approx(np.mean(own) - 1.5)
    for metric in ("seconds", "evaluations", "megabytes"):
        assert entry(board, "b", metric)["p"] is None and entry(board, "b", metric)["verdict"] == "none"
    assert entry(board, "b", "megabytes")["mean"] == pytest.approx(512e-6)


def test_infinite_values_are_no_numbers_in_json_and_do_no_harm(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [20.0, 30.0, math.inf]})
    plant(tmp_path, "b", {"psnr": [21.0, 32.0, math.inf]})
    assert benchmark.main([str(tmp_path), "--baseline", "a", "--draws", "200"]) == 0
    board = json.loads((tmp_path / "benchmark" / "leaderboard.json").read_text())
    found = entry(board, "b", "psnr")
    assert found["mean"] is None and found["median"] == 32.0
    assert (found["difference"], found["pairs"]) == (1.5, 2)  # infinity less infinity is no difference
    assert "∞" in (tmp_path / "benchmark" / "leaderboard.md").read_text()


def test_columns_have_their_order_units_and_directions(tmp_path: Path) -> None:
    values = {"own": [1.0], "leakage_reached": [0.9], "leakage": [0.1], "ssim": [0.8], "psnr": [20.0], "mse": [0.01]}
    plant(
        tmp_path, "a", values, result={"metrics": METRICS | {"own": {"better": "higher", "unit": "K", "network": ""}}}
    )
    board = board_of(tmp_path)
    names = ["mse", "psnr", "ssim", "own", "leakage", "reached", "seconds", "evaluations", "megabytes"]
    assert [metric["name"] for metric in board["metrics"]] == names
    known = {metric["name"]: (metric["unit"], metric["better"]) for metric in board["metrics"]}
    assert known["own"] == ("K", "higher") and known["psnr"] == ("dB", "higher") and known["reached"] == ("", "higher")
    assert known["leakage"] == ("", "lower") and known["megabytes"] == ("MB", "lower")
    assert [m["name"] for m in board_of(tmp_path, metrics=("psnr", "seconds"))["metrics"]] == ["psnr", "seconds"]


def test_the_distance_of_sets_averages_seeds_and_is_paired(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(16, 6)).astype(np.float32)
    near, far = (targets + shift + rng.normal(size=(2, 16, 6)).astype(np.float32) * 0.1 for shift in (0.1, 2.0))
    for seed in (0, 1):
        plant(tmp_path, "near", {"psnr": [20.0]}, seed=seed, features=(targets, near[seed]))
        plant(tmp_path, "far", {"psnr": [20.0]}, seed=seed, features=(targets, far[seed]))
    plant(tmp_path, "none", {"psnr": [20.0]})
    board = board_of(tmp_path, baseline="far")
    own, others = (kernel_distance(targets, made) for made in (near, far))
    found = entry(board, "near", "kid")
    assert found["mean"] == pytest.approx(own.mean(), rel=1e-5) and found["n"] == 16
    assert found["difference"] == pytest.approx((own - others).mean(), rel=1e-5) and found["verdict"] == "better"
    assert found["low"] <= found["mean"] <= found["high"]
    assert entry(board, "none", "kid")["mean"] is None
    assert next(m for m in board["metrics"] if m["name"] == "kid")["network"] == "judge64"
    assert any(note.startswith("judge64, by which ") and "KID" in note for note in board["notes"]), "what it is"
    assert "kid" not in board["rows"][0]["per_image"]


def test_failed_images_are_not_in_the_distance_of_sets(tmp_path: Path) -> None:
    targets = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    made = targets.copy()
    made[3] += 100.0
    plant(tmp_path, "a", {"psnr": [20.0]}, features=(targets, made), failed=(IDS[3],))
    found = entry(board_of(tmp_path), "a", "kid")
    assert found["n"] == 15 and found["mean"] == pytest.approx(0.0, abs=1e-6)


def test_the_front_is_what_no_row_beats_in_both() -> None:
    means = {"a": (20.0, 1.0), "b": (25.0, 5.0), "c": (24.0, 6.0), "d": (20.0, 2.0), "e": (25.0, 5.0), "f": (None, 0.1)}
    values = {
        name: {"psnr": {"mean": math.nan if psnr is None else psnr}, "seconds": {"mean": seconds}}
        for name, (psnr, seconds) in means.items()
    }
    assert pareto(values, "psnr", "seconds", "higher") == ["a", "b", "e"]
    assert pareto(values, "psnr", "seconds", "lower") == ["a"]


def test_the_baseline_is_the_row_or_the_methods_row_with_most_evaluations(tmp_path: Path) -> None:
    for evaluations in (50, 150):
        values = {"psnr": [evaluations / 10], "evaluations": [float(evaluations)] * 16}
        plant(tmp_path, "stylegan2", values, budget__evaluations=evaluations)
    plant(tmp_path, "adam", {"psnr": [40.0], "evaluations": [999.0] * 16})
    assert board_of(tmp_path)["baseline"] == "stylegan2@150"
    assert board_of(tmp_path, baseline="stylegan2@50")["baseline"] == "stylegan2@50"
    assert board_of(tmp_path, baseline="adam")["baseline"] == "adam"
    with pytest.raises(ValueError, match="--baseline: there is no row or method pti; choose from"):
        board_of(tmp_path, baseline="pti")


def test_the_gallery_has_each_methods_worst_images_by_the_stated_rule(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [30.0, 12.0, 14.0, 31.0]})
    plant(tmp_path, "b", {"psnr": [33.0, 22.0, 13.0, 32.0]})
    board = board_of(tmp_path)
    shown = [(e["row"], e["image"], e["value"]) for e in board["gallery"]]
    assert shown == [("a", IDS[1], 12.0), ("b", IDS[2], 13.0), ("a", IDS[2], 14.0), ("b", IDS[1], 22.0)]
    assert "the two images with the worst PSNR" in board["gallery_rule"]


# Curves


def test_a_curve_is_over_all_images_also_those_that_stopped(tmp_path: Path) -> None:
    losses = {IDS[0]: [8.0, 4.0], IDS[1]: [8.0, 7.0, 6.0, 5.0, 2.0]}
    evaluations = [10.0, 40.0]
    plant(tmp_path, "a", {"psnr": [20.0, 20.0], "evaluations": evaluations}, losses=losses)
    curve = board_of(tmp_path)["curves"]["a"]
    assert curve["metric"] == "loss/total" and len(curve["median"]) == len(curve["seconds"]) == 60
    assert curve["evaluations"][0] == 0.0 and curve["evaluations"][-1] == pytest.approx(40.0)
    assert curve["median"][0] == 8.0 and curve["median"][-1] == pytest.approx(3.0)  # 4, kept, and 2
    assert [curve["low"][-1], curve["high"][-1]] == pytest.approx([2.5, 3.5])
    middle = next(i for i, at in enumerate(curve["evaluations"]) if at >= 20.0)
    at = curve["evaluations"][middle]
    assert curve["median"][middle] == pytest.approx((4.0 + np.interp(at, [0, 10, 20, 30, 40], losses[IDS[1]])) / 2)


def test_losses_are_called_comparable_only_where_they_are(tmp_path: Path) -> None:
    losses = {IDS[0]: [8.0, 4.0, 2.0]}
    plant(tmp_path, "a", {"psnr": [20.0]}, losses=losses)
    plant(tmp_path, "b", {"psnr": [20.0]}, losses=losses)
    assert "the same loss" in board_of(tmp_path)["curves_note"]
    plant(tmp_path, "c", {"psnr": [20.0]}, losses=losses, regularizer__p_norm={"weight": 1.0})
    board = board_of(tmp_path)
    assert board["curves_note"].startswith("All methods minimise the same losses, and some a regularizer besides")
    assert board["curves"]["a"]["metric"] == "loss/pixel" and board["curves"]["a"]["median"][-1] == 1.0
    plant(tmp_path, "d", {"psnr": [20.0]}, losses=losses, loss__lpips={"weight": 1.0})
    board = board_of(tmp_path)
    assert board["curves_note"].startswith("Methods minimise different losses; shown is the loss 'pixel'")
    plant(tmp_path, "e", {"psnr": [20.0]}, losses=losses, loss__pixel__weight=2.0)
    board = board_of(tmp_path)
    assert "a loss of its own" in board["curves_note"] and board["curves"]["a"]["metric"] == "loss/total"


@pytest.mark.parametrize(("least", "most"), [(0.9, 1.0), (0.5, 4.0), (0.02, 3.0), (1e-4, 3e4)])
def test_axes_have_numbers_however_far_they_reach(full: Path, least: float, most: float) -> None:
    board = json.loads((full / "leaderboard.json").read_text())
    board["curves_note"] = 5 * "Curves compare a method with itself. "
    for curve in board["curves"].values():
        for name in ("low", "median", "high"):
            curve[name] = np.geomspace(most, least, len(curve[name])).tolist()
    figure = curves_figure(board, "evaluations")
    FigureCanvasAgg(figure).draw()
    first = figure.axes[0]
    low, high = first.get_ylim()
    shown = [t.get_text() for t in first.get_yticklabels() if low <= t.get_position()[1] <= high and t.get_text()]
    assert 2 <= len(shown) <= 12 and len(set(shown)) == len(shown), shown
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, "the title fits the figure"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["median", "middle half of the images", "other methods"]


# What is not a finished run


def test_what_is_no_finished_projection_is_listed_with_its_reason(tmp_path: Path) -> None:
    plant(tmp_path / "deep" / "er", "a", {"psnr": [20.0]})
    killed = plant(tmp_path, "killed", {"psnr": [20.0]})
    (killed / "result.json").unlink()
    died = plant(tmp_path, "died", {"psnr": [20.0]})
    (died / "result.json").unlink()
    (died / "failed.txt").write_text("Traceback\n  …\nRuntimeError: out of memory\n")
    training = tmp_path / "training"
    training.mkdir()
    (training / "result.json").write_text('{"status": "finished"}')
    for name, file, text in (("half", "result.json", '{"stat'), ("noise", "results.parquet", "no table")):
        (plant(tmp_path, name, {"psnr": [20.0]}) / file).write_text(text)
    (plant(tmp_path, "yaml", {"psnr": [20.0]}) / "config.yaml").write_text("a: [")
    twin = plant(tmp_path / "zz", "a", {"psnr": [20.0]})
    board = board_of(tmp_path)
    assert ids_of(board) == ["a"]
    reasons = {Path(entry["cell"]).name.split("_")[0]: entry["reason"] for entry in board["left_out"]}
    assert "not finished" in reasons["killed"] and "no projection" in reasons["training"]
    assert "result.json can't be read" in reasons["half"] and "results.parquet can't be read" in reasons["noise"]
    assert "config.yaml can't be read" in reasons["yaml"] and len(board["left_out"]) == 6
    assert [e for e in board["left_out"] if e["cell"] == str(twin)]  # the same config and seed again
    assert board["failed"] == [{"cell": str(died), "reason": "RuntimeError: out of memory"}]


def record(top: Path, name: str, **changes: Any) -> None:
    (top / "failed").mkdir(exist_ok=True, parents=True)
    told = {"status": "unfit", "label": "igan", "overrides": ["method=igan", "seed=0"], "reason": "does not fit"}
    told |= {"traceback": None, "seed": 0, "protocol": {"name": "cottages", "track": "in_domain"}, "config_hash": name}
    (top / "failed" / f"{name}.json").write_text(json.dumps(told | changes))


def test_cells_that_failed_are_told_from_methods_that_do_not_fit(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [20.0]})
    record(tmp_path, "0" * 12)
    record(tmp_path, "1" * 12, seed=1)  # the same for another seed
    record(tmp_path, "2" * 12, label="pti", reason="pti: no", traceback="Traceback\nValueError: pti: no")
    record(tmp_path, "3" * 12, label="cma", reason="boom", traceback="Traceback\nRuntimeError: boom", status="failed")
    (tmp_path / "failed" / "odd.json").write_text("[]")
    folder = plant(tmp_path, "cma", {"psnr": [20.0]})  # the folder of the same failure
    (folder / "result.json").unlink()
    (folder / "failed.txt").write_text("RuntimeError: boom")
    board = board_of(tmp_path)
    assert board["unfit"] == [{"method": "igan", "reason": "does not fit"}, {"method": "pti", "reason": "pti: no"}]
    assert board["failed"] == [{"cell": "method=igan seed=0", "reason": "boom"}]
    assert [entry["reason"] for entry in board["left_out"]] == ["no record of a failed cell"]


@pytest.mark.parametrize(
    "changes, stays",
    [
        ({}, False), ({"overrides": ["method=igan", "encoder=none"]}, False), ({"seed": 1}, True),
        ({"budget": {"evaluations": 50}}, True), ({"protocol": None}, True), ({"label": None}, True),
    ],
)  # fmt: skip
def test_a_failure_goes_when_the_method_has_succeeded(changes: dict[str, Any], stays: bool, tmp_path: Path) -> None:
    plant(tmp_path, "igan", {"psnr": [20.0]})
    record(tmp_path, "0" * 12, **changes)
    died = plant(tmp_path, "igan", {"psnr": [20.0]}, seed=int(stays))  # a folder of such a failure
    (died / "result.json").unlink()
    (died / "failed.txt").write_text("RuntimeError: out of memory")
    board = board_of(tmp_path)
    assert (len(board["unfit"]), len(board["failed"])) == (int(stays), int(stays))


def test_what_a_board_can_not_show_stands_wherever_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    plant(tmp_path, "a", {"psnr": normal(20.0, 0)[:4]})
    plant(tmp_path, "b", {"psnr": normal(40.0, 1)[:4]}, result={"encoder": "e" * 64})
    plant(tmp_path, "c", {"psnr": normal(30.0, 2)[:4]})
    board = board_of(tmp_path, metrics=("psnr",))
    assert {row["values"]["psnr"]["verdict"] for row in board["rows"]} == {"baseline", "same"}
    assert benchmark.main([str(tmp_path), "--output", str(tmp_path / "board"), "--metrics", "psnr"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    texts = [(tmp_path / "board" / name).read_text() for name in ("leaderboard.md", "index.html")]
    for text in (printed, *texts):
        assert "of 4 images the smallest p-value is 2/2^4 = 0.125" in text
        assert "Holm&#39;s correction of 2 comparisons makes it 0.25; it takes 7 images" in text.replace("'", "&#39;")
        assert "No interval of fewer than 6 images" in text
        assert "b: an inverting network has a part in this row, as one training has made it" in text
    plant(tmp_path / "more", "a", {"psnr": normal(20.0, 0)})
    plant(tmp_path / "more", "b", {"psnr": normal(40.0, 1)})
    assert board_of(tmp_path / "more", metrics=("psnr",))["notes"] == []


def test_seven_images_are_enough_where_the_board_says_so(tmp_path: Path) -> None:
    for method, mean in (("a", 20.0), ("b", 40.0), ("c", 30.0)):
        plant(tmp_path, method, {"psnr": normal(mean, 0)[:7]})
    verdicts = [row["values"]["psnr"]["verdict"] for row in board_of(tmp_path, baseline="a")["rows"]]
    assert sorted(verdicts) == ["baseline", "better", "better"]


def test_noise_below_zero_is_not_the_best_distance_of_sets(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(16, 6)).astype(np.float32)
    plant(tmp_path, "same", {"psnr": [20.0]}, features=(targets, rng.normal(size=(16, 6)).astype(np.float32)))
    plant(tmp_path, "far", {"psnr": [20.0]}, features=(targets, targets + 2.0))
    board = board_of(tmp_path)
    assert entry(board, "same", "kid")["low"] < 0 and leaders(board)["kid"] == set()
    assert any("falls below zero by chance" in note for note in board["notes"])
    other = tmp_path / "apart"
    for name, shift in (("near", 1.0), ("far", 2.0)):
        plant(other, name, {"psnr": [20.0]}, features=(targets, targets + shift))
    assert leaders(board_of(other))["kid"] == {"near"}


@pytest.mark.parametrize(
    "protocol, words",
    [({"part_of": "cottages", "data": "ab"}, "only a part of cottages: 16"), ({"data": None}, "not frozen: 16")],
)
def test_a_board_of_a_part_of_a_protocol_says_so(protocol: dict[str, Any], words: str, tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [20.0]}, protocol__part_of=None)
    assert board_of(tmp_path)["title"] == "Projection methods – cottages – in domain"
    own = {"name": "mine", "track": "in_domain"} | protocol
    plant(tmp_path / "part", "a", {"psnr": [20.0]}, result={"protocol": own})
    assert board_of(tmp_path / "part")["title"] == f"Projection methods – mine – in domain – {words} images"


def test_protocols_are_reported_apart_and_failures_stay_with_theirs(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [20.0]})
    plant(tmp_path, "b", {"psnr": [21.0]})
    cats = {"name": "cats", "track": "out_of_domain"}
    plant(tmp_path, "a", {"psnr": [10.0]}, protocol="q" * 12, result={"protocol": cats})
    record(tmp_path, "0" * 12, protocol=cats)
    record(tmp_path, "1" * 12, label="pti", protocol=None)
    assert benchmark.main([str(tmp_path), "--baseline", "b", "--draws", "200", "--output", str(tmp_path / "out")]) == 0
    folders = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert sorted(folders) == [f"cats_out_of_domain_{'q' * 12}", f"cottages_in_domain_{'p' * 12}"]
    cottages, cats = (json.loads((folders[n] / "leaderboard.json").read_text()) for n in sorted(folders)[::-1])
    assert ids_of(cottages) == ["b", "a"] and ids_of(cats) == ["a"]
    assert (cottages["baseline"], cats["baseline"]) == ("b", "a")
    assert [e["method"] for e in cottages["unfit"]] == ["pti"]
    assert [e["method"] for e in cats["unfit"]] == ["igan", "pti"]  # whose protocol is not known is on both
    assert f"runs of protocol {'q' * 12}" in cottages["left_out"][0]["cell"]


def test_a_run_in_which_every_image_failed_is_left_out_with_the_reason(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [20.0, 21.0]})
    lost = plant(tmp_path, "b", {}, failed=IDS)
    rows = pl.read_parquet(lost / "results.parquet").filter(pl.col("metric") == "failed")
    rows.write_parquet(lost / "results.parquet")
    assert benchmark.main([str(tmp_path), "--draws", "200", "--output", str(tmp_path / "out")]) == 0
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert ids_of(board) == ["a"]
    assert any("every image failed" in entry["reason"] for entry in board["left_out"])


def test_a_board_of_several_versions_says_so(tmp_path: Path) -> None:
    for method, version in (("a", "0.1.0"), ("b", "0.2.0")):
        plant(tmp_path, method, {"psnr": [20.0, 21.0]}, result={"version": version})
    assert benchmark.main([str(tmp_path), "--baseline", "b", "--draws", "200", "--output", str(tmp_path / "out")]) == 0
    for name in ("leaderboard.md", "index.html"):
        text = (tmp_path / "out" / name).read_text()
        assert "0.1.0, 0.2.0" in text, name


def test_a_board_of_several_precisions_says_so(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [20.0, 21.0]})
    plant(tmp_path, "b", {"psnr": [20.0, 21.0]}, result={"precision": "exact"})
    assert not [note for note in board_of(tmp_path)["notes"] if "Precision" in note]
    plant(tmp_path, "c", {"psnr": [20.0, 21.0]}, result={"precision": "bf16"})
    plant(tmp_path, "a", {"psnr": [20.0, 21.0]}, result={"precision": "tf32"})
    board = board_of(tmp_path)
    assert set(ids_of(board)) == {"a@precision=exact", "a@precision=tf32", "b", "c"}
    (note,) = [note for note in board["notes"] if note.startswith("Precision")]
    assert "bf16 of c; exact of a@precision=exact, b; tf32 of a@precision=tf32." in note
    assert benchmark.main([str(tmp_path), "--baseline", "b", "--draws", "200", "--output", str(tmp_path / "out")]) == 0
    for name in ("leaderboard.md", "leaderboard.tex", "index.html"):
        assert "bf16 of c" in (tmp_path / "out" / name).read_text(), name


def test_a_board_whose_rows_are_all_in_one_other_precision_says_so(tmp_path: Path) -> None:
    for method in ("a", "b"):
        plant(tmp_path, method, {"psnr": [20.0, 21.0]}, result={"precision": "tf32"})
    assert [note for note in board_of(tmp_path)["notes"] if note.startswith("Precision: tf32 of all rows.")]


def test_seeds_on_several_gpus_are_one_row_and_machines_are_named(tmp_path: Path) -> None:
    for seed, device in enumerate(("auto", "cuda:0", "cuda:1")):
        told = {"device": "cuda", "machine": {"cpu": "Xeon", "gpu": "H200"}}
        plant(tmp_path, "a", {"psnr": [20.0, 21.0]}, seed=seed, device=device, result=told)
    assert [row["seeds"] for row in board_of(tmp_path)["rows"]] == [3]
    assert not [note for note in board_of(tmp_path)["notes"] if "machines" in note]
    plant(tmp_path, "b", {"psnr": [20.0, 21.0]}, device="cpu", result={"machine": {"cpu": "EPYC", "gpu": None}})
    board = board_of(tmp_path)
    assert set(ids_of(board)) == {"a", "b"}
    assert [note for note in board["notes"] if note.endswith("can't be compared: EPYC of b; H200 of a.")]


# Tables


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two methods at two budgets and three seeds, with everything that a run can have."""
    top = tmp_path_factory.mktemp("sweep")
    targets = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    for place, method in enumerate(("stylegan2", "adam_w_&_co")):
        for budget in (50, 150):
            for seed in range(3):
                values = {
                    "psnr": normal(20 + 3 * place + budget / 50, seed),
                    "perceptual": normal(0.5 - 0.2 * place, seed, 0.05),
                    "leakage": normal(0.2 + 0.1 * place, seed, 0.02),
                    "evaluations": [float(budget)] * 16,
                    "seconds": [budget / 100 + place] * 16,
                }
                noise = np.random.default_rng(seed).normal(size=(16, 6)).astype(np.float32)
                losses = {image: [5.0, 3.0, 2.0, 1.0 + i / 16] for i, image in enumerate(IDS)}
                folder = plant(top, method, values, seed=seed, budget__evaluations=budget, losses=losses,
                               features=(targets, targets + noise / (1 + place)))  # fmt: skip
                paint(folder, IDS)
    record(top, "0" * 12)
    assert benchmark.main([str(top), "--draws", "400"]) == 0
    return top / "benchmark"


def test_everything_is_written(full: Path) -> None:
    written = {path.relative_to(full).as_posix() for path in full.rglob("*") if path.is_file()}
    figures = ["pareto_seconds", "pareto_evaluations", "editability", "failures"]
    figures += ["trajectories_seconds", "trajectories_evaluations"]
    wanted = {f"figures/{name}.{kind}" for name in figures for kind in ("svg", "png")}
    assert written == wanted | {"index.html", *(f"leaderboard.{kind}" for kind in ("json", "csv", "md", "tex"))}
    for name in figures:
        assert Image.open(full / "figures" / f"{name}.png").width == 800


def test_every_table_says_what_it_is_of(full: Path) -> None:
    board = json.loads((full / "leaderboard.json").read_text())
    out = io.StringIO()
    print_board(board, Console(file=out, width=100))
    printed = " ".join(out.getvalue().split())
    for text in (as_markdown(board), printed, as_latex(board).replace("\\_", "_").replace("\\%", "%")):
        for words in ("cottages", "in_domain", "p" * 12, "16 images", "3 seed(s)", "95 %", "stylegan2@150", "Holm"):
            assert words in text, words
    first = next(csv.DictReader((full / "leaderboard.csv").open()))
    assert (first["protocol"], first["track"], first["protocol_hash"]) == ("cottages", "in_domain", "p" * 12)
    assert (first["baseline"], first["level"], first["seeds"], first["failures"]) == ("stylegan2@150", "0.95", "3", "0")
    assert "igan" in as_markdown(board) and "igan" in printed and "does not fit" in printed


def test_the_csv_has_a_line_for_each_number_as_it_is(full: Path) -> None:
    board = json.loads((full / "leaderboard.json").read_text())
    lines = list(csv.DictReader((full / "leaderboard.csv").open()))
    assert len(lines) == len(board["rows"]) * len(board["metrics"]) == 4 * 7
    for line in lines:
        value = entry(board, line["row"], line["metric"])
        for key in ("mean", "low", "high", "difference", "p"):
            assert (float(line[key]) if line[key] else None) == value[key]
        assert line["verdict"] == value["verdict"] and int(line["n"]) == value["n"]


def test_the_best_mean_is_bold_and_marks_say_what_was_tested(full: Path) -> None:
    text = (full / "leaderboard.md").read_text()
    lines = {line.split("`")[1]: line.split(" | ") for line in text.splitlines() if line.startswith("| `")}
    head = next(line for line in text.splitlines() if line.startswith("| row")).split(" | ")
    psnr = head.index("PSNR ↑ (dB)")
    assert lines["adam_w_&_co@150"][psnr].startswith("**") and lines["adam_w_&_co@150"][psnr].endswith("▲")
    assert not lines["stylegan2@150"][psnr].startswith("**") and lines["stylegan2@150"][psnr].endswith("]")
    assert lines["stylegan2@50"][psnr].endswith("▼")
    seconds = head.index("seconds ↓ (s)")
    assert lines["stylegan2@50"][seconds] == "**0.5000**"  # neither interval nor mark
    table = (full / "leaderboard.tex").read_text()
    assert r"adam\_w\_\&\_co@150" in table and r"\toprule" in table and r"\blacktriangle" in table
    rows = [line for line in table.splitlines() if line.endswith(r"\\")]
    columns = table.split(r"\begin{tabular}{")[1].split("}")[0]
    assert len(rows) == 5 and {line.replace(r"\&", "").count(" & ") for line in rows} == {len(columns) - 1}


def test_latex_reads_no_letter_as_a_command() -> None:
    assert tex(r"a_b & 5% $x$ {y} \z ~ ^ #") == (
        r"a\_b \& 5\% \$x\$ \{y\} \textbackslash{}z \textasciitilde{} \textasciicircum{} \#"
    )
    assert tex("∞ −1 ↑") == r"$\infty$ $-$1 $\uparrow$"


def test_the_printed_table_fits_and_names_what_it_leaves_out(full: Path) -> None:
    board = json.loads((full / "leaderboard.json").read_text())
    for width in (80, 100, 160):
        out = io.StringIO()
        print_board(board, Console(file=out, width=width))
        assert max(map(len, out.getvalue().splitlines())) <= width and "…" not in out.getvalue()
        assert "perceptual" in out.getvalue().split("Not shown")[0]  # what it is sorted by
        assert ("Not shown" in out.getvalue()) == (width < 160), width
    assert "index.html" not in out.getvalue()


def test_the_page_is_of_the_same_board(full: Path) -> None:
    page = (full / "index.html").read_text()
    assert "stylegan2@150" in page and "p" * 12 in page


@pytest.mark.slow
def test_the_same_board_gives_the_same_files(full: Path, tmp_path: Path) -> None:
    assert benchmark.main([str(full.parent), "--draws", "400", "--output", str(tmp_path)]) == 0
    for name in ("leaderboard.json", "leaderboard.md", "figures/pareto_seconds.svg", "figures/failures.png"):
        assert (tmp_path / name).read_bytes() == (full / name).read_bytes(), name


def test_a_figure_has_the_names_of_the_methods_and_the_front_in_colour(full: Path) -> None:
    drawing = (full / "figures" / "pareto_seconds.svg").read_text()
    assert "stylegan2" in drawing and "adam_w_&amp;_co" in drawing and "p" * 12 in drawing
    board = json.loads((full / "leaderboard.json").read_text())
    assert set(board["pareto"]["perceptual"]) < set(ids_of(board))
    assert "#8c8c8c" in drawing


def test_a_failure_is_shown_with_its_amplified_difference(full: Path) -> None:
    folder = next(path for path in full.parent.iterdir() if (path / "targets").is_dir())
    picture = strip(folder / "targets" / f"{IDS[0]}.png", folder / "reconstructions" / f"{IDS[0]}.png")
    assert picture.shape == (8, 24, 3)
    assert [int(picture[0, x, 0]) for x in (0, 8, 16)] == [40, 60, 80]


# The command


def test_nothing_to_show_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert benchmark.main([str(tmp_path)]) == 2
    assert "no finished projection below" in capsys.readouterr().err
    (plant(tmp_path, "a", {"psnr": [20.0]}) / "result.json").unlink()
    assert benchmark.main([str(tmp_path)]) == 2
    assert "not finished" in capsys.readouterr().err
    assert benchmark.main([str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "benchmark").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--sort", "lpips"], "--sort: there is no column lpips"),
        (["--metrics", "psnr,lpips"], "--metrics: no run has lpips"),
        (["--baseline", "x"], "--baseline: there is no row or method x"),
    ],
)
def test_a_wrong_choice_says_which_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture, words: list[str], message: str
) -> None:
    plant(tmp_path, "a", {"psnr": [20.0]})
    assert benchmark.main([str(tmp_path), *words]) == 2
    told = capsys.readouterr().err
    assert message in told and ("psnr" in told or "choose from a" in told)


@pytest.mark.parametrize("words", [["--level", "95"], ["--draws", "3"], []])
def test_what_no_choice_can_be_is_refused(words: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.parse(["x", *words] if words else [])
    assert stopped.value.code == 2


@pytest.mark.slow
def test_the_command_starts_without_torch(root: Path) -> None:
    code = "import sys, zstar.benchmark.__main__, zstar.benchmark.figures.write, zstar.benchmark.page\n"
    code += "print('torch' in sys.modules, 'wandb' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=root / "src", capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "False"]


@pytest.mark.slow
def test_a_summary_run_goes_to_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zstar.benchmark import wandb_report

    calls: list[tuple[str, Any]] = []

    class Recorder:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *args, **kwargs: calls.append((name, kwargs or args))

    monkeypatch.setattr(wandb_report, "WandB", Recorder)
    paint(plant(tmp_path, "a", {"psnr": [20.0]}), IDS[:1])
    plant(tmp_path, "b", {"psnr": [22.0]}, losses={IDS[0]: [3.0, 2.0, 1.0]})
    assert benchmark.main([str(tmp_path), "--wandb", "--draws", "200"]) == 0
    names = [name for name, _ in calls]
    assert names[0] == "start" and names[-1] == "finish" and calls[-1][1] == (None,)
    (start,) = calls[0][1]
    assert start.job == "benchmark" and "p" * 12 in start.tags
    (table,) = [args for name, args in calls if name == "table"]
    assert table[0] == "leaderboard" and "psnr/mean" in table[1] and [r[0] for r in table[2]] == ["b", "a"]
    pictures = {args[0]: args[1] for name, args in calls if name == "images"}
    assert "pareto_seconds" in pictures and pictures["pareto_seconds"].shape[0] == 3


def test_make_board_takes_rows_of_any_source(tmp_path: Path) -> None:
    plant(tmp_path, "a", {"psnr": [20.0, 21.0]})
    rows = make_rows(find_runs([tmp_path]).runs)
    assert make_board(rows, Choices(sampling=QUICK))["rows"][0]["values"]["psnr"]["mean"] == 20.5

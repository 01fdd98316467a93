"""The main job, end to end: what it leaves behind, and that it survives kills, broken images and mistakes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from PIL import Image

from zstar.checkpoints.io import load_weights, read_card
from zstar.cli import invert
from zstar.config.build import build
from zstar.data.reading import read_image
from zstar.generators.variables import part
from zstar.images import to_uint8
from zstar.inversion import Inversion
from zstar.projection.run import run
from zstar.runs.ending import Stopped

ROOT = Path(__file__).parents[1]
CHECKPOINT = Path(tempfile.mkdtemp(prefix="zstar-")) / "tiny.safetensors"
TINY = [
    "generator=stylegan2",
    f"generator.checkpoint={CHECKPOINT}",
    "data.resolution=16",
    "space.prior_samples=100",
    "loss=[pixel]",
    "metric=[mse,psnr]",
    "logger=none",
]
BEST_FIRST = ["projector=[best_of,optimization]", "projector.best_of.candidates=10"]


@pytest.fixture(scope="module", autouse=True)
def tiny_checkpoint(store_generator: Callable[..., None]) -> Iterator[None]:
    """The generator of all runs here, in a file: projection refuses untrained networks."""
    store_generator(CHECKPOINT)
    yield
    shutil.rmtree(CHECKPOINT.parent)


def tiny_run(composed: Callable[..., Any], out: Path, *overrides: str) -> tuple[dict[str, Any], Path]:
    result = run(composed("invert", *TINY, f"output={out}", *overrides))
    return result, Path(result["folder"])


def test_a_run_leaves_everything_behind_and_is_not_done_twice(
    composed: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["data.count=5", "batch_size=2", "steps=3"]
    result, folder = tiny_run(composed, tmp_path, *words)
    left = {path.name for path in folder.iterdir()}
    assert left >= {"config.yaml", "result.json", "results.parquet", "latents.safetensors", "report.html"}
    assert "parts" not in left
    assert len(list((folder / "reconstructions").glob("*.png"))) == len(list((folder / "targets").glob("*.png"))) == 5
    rows = pl.read_parquet(folder / "results.parquet")
    finals = rows.filter(pl.col("metric") == "psnr")
    assert finals["image"].to_list() == [f"test-{i:06d}" for i in range(5)]
    assert finals["value"].mean() == pytest.approx(result["summary"]["psnr"]["mean"])
    total = rows.filter((pl.col("metric") == "loss/total") & (pl.col("image") == "test-000003")).sort("step")
    assert total["step"].to_list() == [0, 1, 2, 3, 4] and total["value"].is_finite().all()
    latents = load_weights(folder / "latents.safetensors")
    assert latents["latent"].shape[0] == 5 and read_card(folder / "latents.safetensors")["ids"][4] == "test-000004"

    stamp = (folder / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    tiny_run(composed, tmp_path, *words)
    assert "finished already" in capsys.readouterr().out
    assert (folder / "result.json").stat().st_mtime_ns == stamp
    _, other = tiny_run(composed, tmp_path, *words, "seed=1")
    assert other == folder, "nothing is random here, so another seed is the same run"
    assert "draws no random numbers" in capsys.readouterr().out
    seeds = [tiny_run(composed, tmp_path, *words, "projector=[random]", f"seed={seed}") for seed in (0, 1)]
    assert len({path for _, path in seeds} | {folder}) == 3 and all(found["stochastic"] for found, _ in seeds)


def test_a_chain_shows_what_its_last_projector_started_from(composed: Callable[..., Any], tmp_path: Path) -> None:
    words = [*BEST_FIRST, "data.count=5", "batch_size=2", "steps=3"]
    result, folder = tiny_run(composed, tmp_path, *words, "logger=csv")
    rows = pl.read_parquet(folder / "results.parquet")
    found = {name: rows.filter(pl.col("metric") == name).sort("image") for name in rows["metric"].unique()}
    assert {name for name in found if name.startswith("start/")} == {
        f"start/{name}" for name in ("mse", "psnr", "seconds", "evaluations")
    }
    for name, value in found["start/psnr"].select("image", "value").iter_rows():
        start, target = (read_image(folder / kind / f"{name}.png", 16) for kind in ("starts", "targets"))
        assert value == pytest.approx(-10 * (start - target).square().mean().div(4).log10().item(), abs=0.05)
    assert found["start/psnr"]["step"].to_list() == [0] * 5 and found["psnr"]["step"].to_list() == [4] * 5
    assert found["start/evaluations"]["value"].to_list() == [11.0] * 5  # ten candidates, and the best once more
    assert (found["start/seconds"]["value"] < found["seconds"]["value"]).all()
    assert (found["start/seconds"]["value"] == found["start/psnr"]["seconds"]).all()
    assert set(result["summary"]) == {"mse", "psnr", "seconds", "evaluations"}
    assert result["summary"]["psnr"]["start"] == pytest.approx(found["start/psnr"]["value"].mean())
    page = (folder / "report.html").read_text()
    assert page.count('alt="best_of"') == page.count('alt="target"') == 5

    names = {line.split(",")[1] for line in (folder / "log" / "metrics.csv").read_text().splitlines()[1:]}
    running = {f"running/{name}" for name in ("images", "mse", "psnr", "seconds", "evaluations")}
    assert names == {"loss/total", "loss/pixel"} | running
    header = (folder / "log" / "images.csv").read_text().splitlines()[0].split(",")
    assert header[:6] == ["image", "target", "start", "reconstruction", "mse", "psnr"]
    assert set(header[8:]) == {f"start/{name}" for name in ("mse", "psnr", "seconds", "evaluations")}
    ways = pl.read_csv(folder / "log" / "trajectories.csv")
    assert ways.columns == ["image", "step", "loss/total", "loss/pixel"] and ways["image"].n_unique() == 5
    assert ways["loss/total"].sum() == pytest.approx(found["loss/total"]["value"].sum())
    assert "psnr/start" in json.loads((folder / "log" / "summary.json").read_text())
    with Image.open(folder / "montage.png") as montage:
        assert montage.height == 3 * (16 * 3 + 6) - 6  # targets, starts, reconstructions


def test_the_means_so_far_are_logged_after_each_batch(composed: Callable[..., Any], tmp_path: Path) -> None:
    words = [*TINY, "data.count=5", "batch_size=2", "steps=1", "logger=csv", f"output={tmp_path}"]
    seen: list[pl.DataFrame] = []

    def watch(_rows: pl.DataFrame) -> None:
        logged = pl.read_csv(next(tmp_path.glob("*/log/metrics.csv")))
        seen.append(logged.filter(pl.col("name") == "running/mse"))
        if len(seen) == 2:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        run(composed("invert", *(word for word in words if word != "logger=none")), watch=watch)
    assert [rows["step"].to_list() for rows in seen] == [[2], [2, 4]]
    (log,) = tmp_path.glob("*/log")
    assert json.loads((log / "run.json").read_text())["failure"] == "enough"
    folder = run(composed("invert", *(word for word in words if word != "logger=none")))["folder"]
    logged = pl.read_csv(log / "metrics.csv")
    running = logged.filter(pl.col("name") == "running/mse")
    assert running["step"].to_list() == [2, 4, 5] and logged.n_unique(["step", "name"]) == logged.height
    means = pl.read_parquet(f"{folder}/results.parquet").filter(pl.col("metric") == "mse")["value"]
    assert running["value"][-1] == pytest.approx(means.mean())


def test_a_start_that_is_the_same_for_every_image_is_not_shown(composed: Callable[..., Any], tmp_path: Path) -> None:
    result, folder = tiny_run(composed, tmp_path, "projector=[mean,optimization]", "data.count=2", "steps=2")
    rows = pl.read_parquet(folder / "results.parquet")
    assert not rows["metric"].str.starts_with("start/").any() and not (folder / "starts").exists()
    assert result["summary"]["psnr"]["start"] is None
    found = load_weights(folder / "latents.safetensors")
    assert set(found) == {"latent", "loss", "evaluations", "seconds"}  # pictures are PNGs and histories are rows


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(composed: Callable[..., Any], tmp_path: Path) -> None:
    words = [*TINY, "data.count=12", "batch_size=2", "steps=40"]
    command = [sys.executable, str(ROOT / "invert.py"), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    victim = subprocess.Popen([*command, f"output={tmp_path}/killed"], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("killed/*/parts/000001.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    (parts,) = tmp_path.glob("killed/*/parts")
    assert not list(tmp_path.glob("killed/*/result.json"))
    stamps = {path.name: path.stat().st_mtime_ns for path in parts.glob("00000[01].*")}

    again = run(composed("invert", *words, f"output={tmp_path}/killed"))
    assert len(stamps) == 6
    smooth = run(composed("invert", *words, f"output={tmp_path}/smooth"))
    one, two = (load_weights(Path(r["folder"]) / "latents.safetensors") for r in (again, smooth))
    assert one["latent"].equal(two["latent"]) and one["loss"].equal(two["loss"])
    timeless = pl.col("metric") != "seconds"
    frames = [
        pl.read_parquet(Path(r["folder"]) / "results.parquet").filter(timeless).drop("seconds") for r in (again, smooth)
    ]
    assert frames[0].equals(frames[1])


def test_finished_batches_are_not_projected_again(
    composed: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    import zstar.projection.batches

    real, seen = zstar.projection.batches.project_with_start, []

    def counting(problem: Any, projectors: Any, targets: Any, callbacks: Any) -> tuple[Inversion, Inversion | None]:
        seen.append(targets.ids[0])
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(problem, projectors, targets, callbacks)

    monkeypatch.setattr(zstar.projection.batches, "project_with_start", counting)
    words = [*BEST_FIRST, "data.count=8", "batch_size=2", "steps=2"]
    with pytest.raises(KeyboardInterrupt):
        tiny_run(composed, tmp_path, *words)
    _, folder = tiny_run(composed, tmp_path, *words)
    assert seen == [f"test-{i:06d}" for i in (0, 2, 4, 4, 6)]
    assert not list(tmp_path.glob("*/failed.txt"))
    assert len(list((folder / "starts").glob("*.png"))) == 8
    rows = pl.read_parquet(folder / "results.parquet")
    assert rows.filter(pl.col("metric") == "start/psnr")["image"].to_list() == [f"test-{i:06d}" for i in range(8)]


def test_broken_images_are_named_and_the_others_go_on(composed: Callable[..., Any], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    Image.new("RGB", (40, 30), (200, 30, 30)).save(photos / "red.jpg")
    Image.new("L", (30, 40), 90).save(photos / "sub" / "grey.png")
    (photos / "broken.png").write_bytes((photos / "sub" / "grey.png").read_bytes()[:40])
    (photos / "empty.jpg").write_bytes(b"")
    words = [word for word in TINY if not word.startswith("data.")]
    cfg = composed(
        "invert", *words, "data=folder", f"data.path={photos}", f"output={tmp_path}/out", "batch_size=3", "steps=2"
    )
    result = run(cfg)
    assert set(result["failed"]) == {"broken.png", "empty.jpg"}
    assert result["images"] == 2
    page = (Path(result["folder"]) / "report.html").read_text()
    assert "broken.png" in page and "empty.jpg" in page
    assert json.loads((Path(result["folder"]) / "result.json").read_text())["failed"] == result["failed"]


def test_masks_say_where_the_losses_look(composed: Callable[..., Any], tmp_path: Path) -> None:
    target = Image.new("RGB", (16, 16), (230, 40, 40))
    target.paste((40, 40, 230), (8, 0, 16, 16))
    mask = Image.new("L", (16, 16), 255)
    mask.paste(0, (8, 0, 16, 16))
    for folder, picture in (("photos", target), ("maps", mask)):
        (tmp_path / folder).mkdir()
        picture.save(tmp_path / folder / "a.png")
    words = [word for word in TINY if not word.startswith("data.")] + ["data=folder", f"data.path={tmp_path}/photos"]
    words += ["space=pixels", "generator=pixels", "steps=60", f"output={tmp_path}/out", "projector=[optimization]"]
    words = [word for word in words if not word.startswith("generator.")] + ["generator.resolution=16"]
    result = run(composed("invert", *words, f"data.mask={tmp_path}/maps"))
    latent = load_weights(Path(result["folder"]) / "latents.safetensors")["latent"][0]
    wanted = torch.tensor([230.0, 40.0, 40.0]) / 127.5 - 1
    torch.testing.assert_close(latent[:, :, :8], wanted[:, None, None].expand(3, 16, 8), atol=0.05, rtol=0)
    assert latent[:, :, 8:].abs().mean() < 0.2  # the half that does not count stayed at the prior mean
    (tmp_path / "photos" / "b.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    again = run(composed("invert", *words, f"data.mask={tmp_path}/maps"))
    assert again["failed"] == {
        "b.png": "data.mask: there is no file for b.png; add one of the same name, whatever its suffix"
    }


def test_the_latents_of_a_run_draw_its_pictures(composed: Callable[..., Any], tmp_path: Path) -> None:
    result, folder = tiny_run(composed, tmp_path, "data.count=5", "batch_size=2", "steps=3", "noise=optimize")
    found = Inversion.load(folder / "latents.safetensors")
    assert found.ids == [f"test-{i:06d}" for i in range(5)] and len(part(found.v, "noise")) == 5
    drawn = to_uint8(found.render(build(composed("invert", *TINY).generator)))
    for image, name in zip(drawn, found.ids, strict=True):
        written = to_uint8(read_image(folder / "reconstructions" / f"{name}.png", 16)[None])[0]
        assert (image.int() - written.int()).abs().max() <= 1


@pytest.mark.slow
def test_trajectories_of_an_image_do_not_depend_on_its_neighbours(composed: Callable[..., Any], tmp_path: Path) -> None:
    words = ["data.count=4", "steps=40", "projector.optimization.patience=3", "projector.optimization.min_delta=0.05"]
    frames = []
    for size in (1, 4):
        _, folder = tiny_run(composed, tmp_path, *words, f"batch_size={size}")
        frames.append(pl.read_parquet(folder / "results.parquet").sort("image", "metric", "step"))
    alone, together = (f.filter(~pl.col("metric").is_in(["seconds"])) for f in frames)
    assert alone.select("image", "metric", "step").equals(together.select("image", "metric", "step"))
    assert alone.group_by("image").agg(pl.col("step").max())["step"].n_unique() > 1  # they do stop at different steps
    torch.testing.assert_close(alone["value"].to_torch(), together["value"].to_torch(), rtol=1e-3, atol=1e-5)


def test_images_of_another_size_are_refused_with_the_fix(composed: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set data.resolution=16"):
        tiny_run(composed, tmp_path, "data.resolution=32", "data.count=2")


def command_line(folder: Path, *words: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, str(ROOT / "invert.py"), *words], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["loss.pixel.wieght=2"], "loss.pixel.wieght: 'loss.pixel' has no key 'wieght'; did you mean 'weight'?"),
        (["+loss.pixel.wieght=2"], "loss.pixel.wieght: Pixel has no argument 'wieght'; did you mean 'weight'?"),
        (["loss.ms_ssim.weight=2"], "loss.ms_ssim.weight: 'ms_ssim' was not chosen; add it: loss=[pixel,ms_ssim]"),
        (["space=w_pluss"], "space: there is no option 'w_pluss'; did you mean 'w_plus'?"),
        (["stesp=3"], "stesp: the config has no key 'stesp'; did you mean 'steps'?"),
        (["steps=many"], "projector.optimization.steps: Optimization expects int, not 'many'"),
        (["device=tpuu"], "device: 'tpuu' is no device"),
    ],
)
def test_mistakes_end_in_sentences_not_tracebacks(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["invert.py", *TINY, *words])
    with pytest.raises(SystemExit) as end:
        invert()
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_gives_each_job_a_folder_and_a_wandb_run(tmp_path: Path) -> None:
    words = [word for word in TINY if word != "logger=none"]
    done = command_line(tmp_path, "-m", *words, "data.count=2", "projector=[random]", "space=z,w_plus", "seed=0,1")
    assert done.returncode == 0, done.stderr[-2000:]
    folders = sorted(path.parent for path in tmp_path.glob("outputs/invert/*/result.json"))
    assert len(folders) == 4
    assert {(json.loads((f / "result.json").read_text())["space"]) for f in folders} == {"z", "w_plus"}
    logs = list(tmp_path.glob("outputs/invert/**/run-*.wandb"))
    assert len(logs) == 4 and len({log.name for log in logs}) == 4


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    script = (
        "import resource, sys; sys.argv[0] = 'invert.py'; from zstar.cli import invert; invert(); "
        "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    peaks = []
    for count in (200, 2000):
        words = ["projector=[mean]", "generator=pixels", "space=pixels", "loss=[pixel]", "logger=none"]
        done = subprocess.run(
            [sys.executable, "-c", script, *words, f"data.count={count}", f"output={tmp_path}"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout.split("peak ")[1].split()[0]))
    assert peaks[1] <= 1.2 * peaks[0]


def test_images_that_diverge_are_listed_as_failed_and_a_run_of_them_alone_fails(
    composed: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["generator=pixels", "generator.resolution=16", "data.resolution=16", "space=pixels", "loss=[pixel]"]
    words += ["projector=[mean,optimization]", "projector.optimization.keep_best=false", "optimizer.lr=1e30", "steps=3"]
    words += ["data.count=2", "metric=[mse]", "logger=none", f"output={tmp_path}"]
    result = run(composed("invert", *words))
    assert set(result["failed"]) == {"test-000000", "test-000001"}
    assert all(reason.startswith("diverged: the loss is not finite") for reason in result["failed"].values())
    monkeypatch.setattr(sys, "argv", ["invert.py", *words])
    with pytest.raises(SystemExit) as end:
        invert()
    assert end.value.code == 2
    assert "error: data: none of the 2 images has a result (test-000000: diverged: " in capsys.readouterr().err


def test_what_was_not_measured_and_what_is_of_all_images_together_is_in_the_report(
    composed: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["metric=[psnr,ms_ssim,kid]", "projector=[random]", "steps=200"]
    result, folder = tiny_run(composed, tmp_path, "data.count=4", *words)
    page, reason = (folder / "report.html").read_text(encoding="utf-8"), "it needs images of 176 pixels or more"
    assert (
        result["skipped_metrics"] == {"ms_ssim": reason} and f"left out: ms_ssim: {reason}" in capsys.readouterr().out
    )
    assert reason in page and "Of all images together: <strong>kid" in page
    assert "200 steps" not in page  # nothing has made any
    few, folder = tiny_run(composed, tmp_path, "data.count=2", *words)
    assert few["skipped_metrics"]["kid"] == "it needs three images or more"

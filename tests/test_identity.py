"""Results are used again exactly where all that they depend on is the same, and latents where only measures differ."""

import copy
import importlib
import inspect
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

import zstar
from zstar.checkpoints.identity import identify
from zstar.checkpoints.io import card_path, load_weights, shipped
from zstar.config.build import to_plain
from zstar.config.signatures import annotations, resolve
from zstar.data.cottages import Cottages
from zstar.generators.module import Module
from zstar.generators.pixels import Pixels
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.projection.job import make_job
from zstar.projection.run import run
from zstar.runs.index import changes, note
from zstar.tasks.fit import fit, make_identity

CONF = Path(zstar.__file__).parents[2] / "conf"
PATHS = {"checkpoint", "path", "backbone", "inversion"}  # arguments of components that lead to files
OWN_LOSS = """
from zstar.losses.pixel import Pixel

def scaled(kind="l2", table=None):
    return Pixel(kind)
"""
OWN_NETWORK = """
import torch

class Net(torch.nn.Module):
    def forward(self, z):
        return z.view(-1, 1, 4, 4).tanh()
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, store_generator: Callable[..., None]) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    store_generator(path)
    return path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of the user's own that can be imported, with a loss and a network."""
    path = tmp_path / "code" / "my_own_parts.py"
    path.parent.mkdir()
    path.write_text(OWN_LOSS + OWN_NETWORK)
    monkeypatch.syspath_prepend(path.parent)
    importlib.invalidate_caches()
    yield path
    importlib.sys.modules.pop("my_own_parts", None)


@pytest.fixture
def config(composed: Callable[..., Any], weights: Path, tmp_path: Path) -> Callable[..., Any]:
    """The configuration of a small projection."""
    words = [
        "generator=stylegan2", f"generator.checkpoint={weights}", "data.resolution=16", "data.count=2", "steps=2",
        "space.prior_samples=50", "loss=[pixel]", "metric=[psnr]", "logger=none", f"output={tmp_path}/runs",
    ]  # fmt: skip
    return lambda *more: composed("invert", *words, *more)


def copied(name: str, folder: Path) -> Path:
    """Shipped weights with their card, under the name ``net.safetensors``."""
    folder.mkdir()
    for suffix in (".safetensors", ".json"):
        shutil.copyfile(shipped(name).with_suffix(suffix), folder / f"net{suffix}")
    return folder / "net.safetensors"


def spoil(path: Path) -> None:
    """Change a byte of the last tensor."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


FILES = {
    "loss": ["loss=[perceptual]", "loss.perceptual.network.checkpoint={}"],
    "metric": ["metric=[perceptual]", "metric.perceptual.checkpoint={}"],
    "annotation": ["annotation=annotator", "annotation.checkpoint={}", "editability=[leakage]", "direction=[random]"],
    "found": ["direction=[file]", "direction.file.path={}", "editability=[smoothness]"],
    "direction": ["direction=[local]", "direction.local.annotator={}", "editability=[smoothness]"],
}


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_file_counts_by_its_content_and_not_by_its_place(
    kind: str, config: Callable[..., Any], tmp_path: Path
) -> None:
    first, second = copied("annotator64", tmp_path / "a"), copied("annotator64", tmp_path / "b")

    def depends(path: Path) -> Any:
        cfg = config(*(word.format(path) for word in FILES[kind]))
        return identify({name: to_plain(cfg).get(name) for name in ("loss", "metric", "annotation", "direction")})

    before = depends(first), depends(second)
    spoil(first)
    assert before[0] == before[1] != depends(first)


def test_a_shipped_file_and_its_copy_are_the_same_and_its_card_counts(tmp_path: Path) -> None:
    path = copied("judge64", tmp_path / "a")
    node = {"_target_": "zstar.metrics.perceptual.Perceptual"}
    assert identify(node) == identify({**node, "checkpoint": "judge64"}) == identify({**node, "checkpoint": str(path)})
    card = json.loads(card_path(path).read_text())
    card_path(path).write_text(json.dumps({**card, "network": {**card["network"], "seed": 1}}))
    assert identify({**node, "checkpoint": str(path)}) != identify(node)


def test_the_source_of_own_code_and_the_files_that_it_is_given_count(
    own: Path, config: Callable[..., Any], tmp_path: Path
) -> None:
    table = tmp_path / "table.txt"
    table.write_text("1")
    words = [f"+loss.mine={{_target_: my_own_parts.scaled, table: '{table}'}}"]
    keys = [make_job(config(*words)).key]
    own.write_text(own.read_text().replace('kind="l2"', 'kind="l1"'))
    keys.append(make_job(config(*words)).key)
    table.write_text("2")
    keys.append(make_job(config(*words)).key)
    assert len(set(keys)) == 3


def test_a_killed_run_does_not_go_on_with_another_loss(
    own: Path, config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = ["+loss.mine={_target_: my_own_parts.scaled}", "batch_size=1"]

    def die(*_: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("zstar.projection.work.write_features", die)
        with pytest.raises(RuntimeError, match="killed"):
            run(config(*words))
    own.write_text(own.read_text().replace('kind="l2"', 'kind="l1"'))
    capsys.readouterr()
    result = run(config(*words))
    said = capsys.readouterr().out
    assert "the source of loss.mine changed since" in said and "starts anew in" in said
    began = [path for path in Path(result["folder"]).parent.iterdir() if path.is_dir() and path.name != ".index"]
    assert len(began) == 2 and not (set(began) - {Path(result["folder"])}).pop().joinpath("result.json").exists()


def test_another_number_of_results_is_another_identity(
    config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(config())
    monkeypatch.setattr(zstar, "RESULTS", zstar.RESULTS + 1)
    other = make_job(config())
    assert job.key != other.key and job.labels.protocol_hash != other.labels.protocol_hash


def test_judges_of_one_name_and_of_other_weights_are_in_other_protocols(
    config: Callable[..., Any], tmp_path: Path
) -> None:
    first, second = copied("judge64", tmp_path / "a"), copied("annotator64", tmp_path / "b")
    hashes = [
        make_job(config("metric=[perceptual]", f"metric.perceptual.checkpoint={path}")).labels.protocol_hash
        for path in (first, second)
    ]
    assert hashes[0] != hashes[1]


def test_what_is_measured_anew_keeps_the_latents(
    config: Callable[..., Any], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(config("metric=[psnr,mse]", "projector=[random,optimization]"))
    monkeypatch.setattr("zstar.projection.batches.project_with_start", None)  # nothing may be projected again
    after = run(config("metric=[ssim,psnr]", "label=mine", "projector=[random,optimization]"))
    assert "of which only what is missing is measured" in capsys.readouterr().out
    folders = [Path(result["folder"]) for result in (before, after)]
    old, new = (load_weights(folder / "latents.safetensors") for folder in folders)
    assert old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)
    rows = [pl.read_parquet(folder / "results.parquet") for folder in folders]
    assert set(rows[1]["method"]) == {"mine"} and len(set(rows[1]["protocol_hash"])) == 1
    names = {name for name in rows[1]["metric"] if "/" not in name}
    assert names == {"psnr", "ssim", "seconds", "evaluations"}
    same = pl.col("metric").is_in(["psnr", "seconds", "evaluations", "loss/total"])
    values = [table.filter(same).sort("metric", "image", "step").select("image", "metric", "value") for table in rows]
    assert values[0].equals(values[1])
    for name in ("targets", "reconstructions"):
        pictures = [sorted((folder / name).iterdir()) for folder in folders]
        assert [path.name for path in pictures[0]] == [path.name for path in pictures[1]] != []
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*pictures, strict=True))


def test_another_seed_or_loss_projects_again(config: Callable[..., Any]) -> None:
    chain = "projector=[random,optimization]"
    latents = {make_job(config(chain, *words)).latents for words in ([], ["seed=1"], ["loss=[ms_ssim]"], ["steps=3"])}
    assert len(latents) == 4


@pytest.mark.parametrize("word", ["tags=[a]", "device=cpu", "name=other", "logger=csv"])
def test_what_changes_no_number_changes_no_identity(word: str, config: Callable[..., Any]) -> None:
    assert make_job(config()).key == make_job(config(word)).key


def test_a_training_counts_its_data_and_the_weights_of_its_generator(
    composed: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    photos = tmp_path / "photos"
    for index, image in enumerate(Cottages(count=12, resolution=16).read(range(12)).images):
        write_png(photos / f"{index}.png", image)
    words = [
        "task=generator", "task.steps=1", "task.batch=4", "task.path_weight=0", "validation=null", "logger=none",
        "trainer.accelerator=cpu", "callbacks.samples_every=0", "callbacks.scores_every=0", "data=folder",
        f"data.path={photos}", "generator.resolution=16", "generator.z_dim=8", "generator.w_dim=8",
        "generator.channel_max=8", "discriminator=stylegan2", "discriminator.channel_max=8",
    ]  # fmt: skip
    cfg = composed("train", *words)
    first = fit(cfg, tmp_path / "out")
    assert fit(cfg, tmp_path / "out")["skipped"]
    (photos / "0.png").unlink()
    capsys.readouterr()
    second = fit(cfg, tmp_path / "out")
    assert not second["skipped"] and second["folder"] != first["folder"]
    assert "the content of data.path" in capsys.readouterr().out
    assert (Path(first["folder"]) / "result.json").is_file()

    path = copied("cottages64", tmp_path / "a")
    plain = to_plain(composed("train", "task=direction", f"generator.checkpoint={path}"))
    before = make_identity(plain)
    path = path.rename(tmp_path / "moved.safetensors")
    card_path(tmp_path / "a" / "net.safetensors").rename(card_path(path))
    plain["generator"]["checkpoint"] = str(path)
    assert make_identity(plain) == before
    spoil(path)
    assert list(changes(before, make_identity(plain))) == ["the content of generator.checkpoint"]


def test_a_name_is_no_change(tmp_path: Path) -> None:
    def begun(name: str, **more: int) -> list[str]:
        return note(tmp_path / name, {"seed": 0, "name": name, "output": name, **more}, "same words")

    assert begun("a") == begun("b") == []
    assert begun("c", results=3) == [
        f"results: absent → 3 changed since {tmp_path}/b; this run starts anew in {tmp_path}/c"
    ]


def test_generators_that_draw_other_pictures_have_other_fingerprints(own: Path, tmp_path: Path) -> None:
    network = resolve("my_own_parts.Net")()
    plain = Module(network, [16])
    wide = Module(network, [16], output_range=[0, 1])
    own.write_text(own.read_text().replace("tanh", "sin"))
    changed = Module(network, [16])
    conditional = [StyleGAN2(resolution=8, z_dim=4, w_dim=4, channel_max=4, c_dim=3, label=0)]
    conditional += [copy.deepcopy(conditional[0]) for _ in range(2)]
    settings = dict(resolution=8, z_dim=4, w_dim=4, channel_max=4, c_dim=3)
    others = [StyleGAN2(**settings, label=1), StyleGAN2(**settings, label=0, mapping_lr_multiplier=0.02)]
    for other in others:
        other.load_state_dict(conditional[0].state_dict())
    fingerprints = [one.fingerprint() for one in (plain, wide, changed, conditional[0], *others, Pixels(8), Pixels(16))]
    assert len(set(fingerprints)) == len(fingerprints)
    assert len({one.fingerprint() for one in conditional}) == 1


def nodes(content: Any) -> Iterator[dict[str, Any]]:
    """All nodes with a target in a file of the configuration."""
    if isinstance(content, dict):
        if isinstance(content.get("_target_"), str) and content["_target_"].startswith("zstar."):
            yield content
        for value in content.values():
            yield from nodes(value)


def test_every_path_in_the_signature_of_a_component_is_declared_as_one() -> None:
    targets = {
        node["_target_"]
        for file in CONF.rglob("*.yaml")
        for node in nodes(yaml.safe_load(file.read_text(encoding="utf-8")))
    }
    assert len(targets) > 100
    seen = 0
    for name in sorted(targets):
        target = resolve(name)
        for argument in PATHS & inspect.signature(target).parameters.keys():
            assert "Reads(" in str(annotations(target)[argument]), f"{name}.{argument}"
            seen += 1
    assert seen > 15

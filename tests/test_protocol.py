"""A protocol: what it refuses, and what its hash depends on."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from parameters import slowly

from zstar.benchmark.protocol import network
from zstar.checkpoints.io import load_weights, read_card
from zstar.generators.stylegan2 import StyleGAN2
from zstar.loggers.none import NoLogger
from zstar.metrics.stlpips import STLPIPS
from zstar.projection.job import make_job
from zstar.projection.pipeline import Pipeline
from zstar.projection.run import run
from zstar.runs.record import Record

CONF = Path(__file__).parents[1] / "conf"
PROTOCOLS = sorted(path.stem for path in (CONF / "protocol").glob("*.yaml"))
FOLDER = Path(tempfile.mkdtemp(prefix="zstar-"))
WORDS = [
    "generator=stylegan2", f"generator.checkpoint={FOLDER}/tiny.safetensors", "space.prior_samples=100",
    "data.resolution=16", "data.count=3", "metric=[psnr]", "logger=none", "device=cpu", "loss=[pixel]", "steps=2",
    "projector=[random,optimization]",
]  # fmt: skip
FREE = {
    "name": "mine", "track": "in_domain", "data": "null", "generator": "null", "seeds": "[]", "evaluations": "[]",
    "seconds": "[]",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def files(tiny: StyleGAN2, store_generator: Callable[..., None]) -> Iterator[None]:
    store_generator(FOLDER / "tiny.safetensors", tiny)
    yield
    shutil.rmtree(FOLDER)


@pytest.fixture
def job(composed: Callable[..., Any]) -> Callable[..., Any]:
    """A job under a protocol of one's own, which demands what is said."""

    def make(*words: str, **demands: str) -> Any:
        protocol = [f"+protocol.{key}={value}" for key, value in (FREE | demands).items()]
        return make_job(composed("invert", *WORDS, *protocol, *words))

    return make


@pytest.mark.parametrize(
    ("demands", "words", "sentence"),
    [
        ({"data": "abc"}, [], "data: the protocol 'mine' is about the one with the hash abc"),
        ({"generator": "abc"}, [], "generator: the protocol 'mine' is about the one with the hash abc"),
        ({"seeds": "[0,1]"}, ["seed=2"], r"seed: the protocol 'mine' has the seeds 0, 1; choose one of them"),
        ({"evaluations": "[4,8]"}, ["budget.evaluations=5"], "budget.evaluations: the protocol 'mine' has .* 4, 8"),
        ({"seconds": "[1.5]"}, ["budget.seconds=2"], "budget.seconds: the protocol 'mine' has the budgets 1.5"),
    ],
    ids=lambda value: "",
)  # fmt: skip
def test_what_a_protocol_refuses(demands: dict[str, str], words: list[str], sentence: str, job: Any) -> None:
    with pytest.raises(ValueError, match=sentence):
        job(*words, **demands)


def test_other_data_are_refused_before_anything_else_is_built(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("problem", "projectors", "encoder"):
        monkeypatch.setattr(Pipeline, part, property(lambda self, part=part: pytest.fail(f"built the {part}")))
    with pytest.raises(ValueError, match="^data: the protocol 'mine' .* or write protocol.data=null for a trial"):
        job(data="abc")


def test_what_a_protocol_allows(job: Any) -> None:
    made = job("seed=1", "budget.evaluations=8", seeds="[0,1]", evaluations="[4,8]", seconds="[1.5]")
    assert made.labels.seed == 1
    pinned = {"data": made.data.fingerprint(), "generator": made.pipeline.generator.fingerprint()}
    assert job(**pinned).pipeline.stochastic
    fixed = job("projector=[mean,optimization]", "seed=5", seeds="[0,1]").pipeline
    assert not fixed.stochastic, "no seed, none to refuse"


def test_the_hash_is_of_what_makes_results_comparable(job: Any) -> None:
    first = job().labels.protocol_hash
    same = (["seed=3"], ["steps=5"], ["space=w"], ["optimizer.lr=1"], ["budget.evaluations=9"], ["batch_size=2"])
    assert {job(*words).labels.protocol_hash for words in same} == {first}
    other = [
        job("data.count=2"), job("metric=[mse]"), job(evaluations="[9]"), job(seeds="[0]"), job(name="yours"),
        job("direction=[random]", "editability=[realism]"),
    ]  # fmt: skip
    hashes = {made.labels.protocol_hash for made in other}
    assert len(hashes) == len(other) and first not in hashes
    assert job("direction=[random]").labels.protocol_hash == first, "nothing measures along it"


def test_a_file_may_be_moved(job: Any) -> None:
    shutil.copytree(FOLDER, FOLDER / "moved", ignore=shutil.ignore_patterns("moved"))
    moved = job(f"generator.checkpoint={FOLDER}/moved/tiny.safetensors").labels.protocol_hash
    assert moved == job().labels.protocol_hash


@pytest.mark.parametrize("words", [["loss=[perceptual]"], ["loss=[pixel,perceptual]"]])
def test_a_network_can_not_judge_what_it_was_minimised_by(words: list[str], job: Any) -> None:
    judged = ["metric=[perceptual]", "data.resolution=16", *words]
    job(*judged)  # a network of its own
    with pytest.raises(ValueError, match="metric.perceptual: the network annotator64 judges what loss.perceptual mini"):
        job(*judged, "metric.perceptual.checkpoint=annotator64")
    with pytest.raises(ValueError, match="metric.kid: the network judge64 judges what loss.perceptual minimises"):
        job("metric=[kid]", *words, "loss.perceptual.network.checkpoint=judge64")


def test_an_encoder_counts_by_what_it_was_trained_with(composed: Any) -> None:
    words = ["protocol=cottages", "method=psp", "loss=[pixel]", "data.count=64", "logger=none"]
    make_job(composed("invert", *words))
    with pytest.raises(ValueError, match=r"annotator64 judges what the encoder's training \(loss.perceptual\) minimis"):
        make_job(composed("invert", *words, "metric.perceptual.checkpoint=annotator64"))


def test_names_of_networks_are_those_that_metrics_report() -> None:
    losses = {path.stem: yaml.safe_load(path.read_text())[path.stem] for path in (CONF / "loss").glob("*.yaml")}
    names = {name: network(node) for name, node in losses.items()}
    assert names["perceptual"] == "annotator64" and names["pixel"] == "" and names["ms_ssim"] == ""
    assert (names["lpips"], names["lpips_vgg"]) == ("alex", "vgg")
    assert names["stlpips"] == STLPIPS().network
    assert (names["vgg19"], names["squeezenet11"]) == ("VGG19Conv3", "SqueezeNet11")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_is_frozen_and_its_pins_hold(protocol: str, composed: Any) -> None:
    words = (f"protocol={protocol}", "method=adam_z", "logger=none")
    job, pins = make_job(composed("invert", *words)), composed("invert", *words).protocol
    assert pins["name"] == protocol and {"stlpips", "perceptual", "kid"} <= set(job.measures)
    assert pins["data"] == job.data.fingerprint() and pins["generator"] == job.pipeline.generator.fingerprint()
    sweep = composed("invert", *words, return_hydra_config=True).hydra.sweeper.params
    assert sweep["seed"] == ",".join(map(str, pins["seeds"]))
    assert sweep["budget.evaluations"] == ",".join(map(str, pins["evaluations"]))


@pytest.mark.parametrize("protocol", [slowly(name, "cottages_small", "round_trip", "turned") for name in PROTOCOLS])
def test_under_a_protocol_all_methods_minimise_the_same(protocol: str, composed: Any) -> None:
    methods = [path.stem for path in (CONF / "method").glob("*.yaml")]
    losses = [composed("invert", f"protocol={protocol}", f"method={method}").loss for method in methods]
    assert methods and all(loss == losses[0] for loss in losses), dict(zip(methods, losses, strict=True))


def test_a_run_leaves_what_a_benchmark_needs(composed: Any, tmp_path: Path) -> None:
    words = [
        "data.count=5", "batch_size=2", "metric=[psnr,kid]", "direction=[random]", "direction.random.count=2",
        "editability=[realism]", "label=mine", "noise=optimize", "budget.evaluations=4",
    ]  # fmt: skip
    made = run(composed("invert", *WORDS, *words, f"output={tmp_path}"))
    folder = Path(made["folder"])
    result = json.loads((folder / "result.json").read_text())
    assert result["method"] == "mine" and result["budget"] == {"evaluations": 4, "seconds": None}
    assert result["stochastic"] is True and result["protocol"] is None
    tensors = load_weights(folder / "latents.safetensors")
    stored = [
        tensor[0].numel() * 4 for name, tensor in tensors.items() if name == "latent" or name.startswith("noise/")
    ]
    assert result["bytes_per_image"] == sum(stored) and len(stored) > 1
    features, card = load_weights(folder / "features.safetensors"), read_card(folder / "features.safetensors")
    assert features["targets"].shape == features["reconstructions"].shape == (5, features["targets"].shape[1])
    assert card["ids"] == [f"test-{i:06d}" for i in range(5)] and card["network"] == "judge64"
    assert not features["targets"].equal(features["reconstructions"])
    assert set(result["sets"]) == {"kid"} and torch.tensor(result["sets"]["kid"]["value"]).isfinite()
    rows = pl.read_parquet(folder / "results.parquet")
    assert set(rows["method"]) == {"mine"}
    assert rows.filter(pl.col("metric") == "evaluations")["value"].max() <= 4


@pytest.mark.slow
def test_editability_is_measured_of_each_image(composed: Any, tmp_path: Path) -> None:
    words = [
        "projector=[encoder]", "data.count=3", "metric=[psnr]", "logger=none", "direction=[shipped]", "batch_size=2",
        "direction.shipped.names=[season,time_of_day]", "editability=[leakage]", f"output={tmp_path}",
    ]  # fmt: skip
    folder = Path(run(composed("invert", *words))["folder"])
    rows = pl.read_parquet(folder / "results.parquet").filter(pl.col("metric").str.contains("leakage"))
    assert set(rows["metric"]) == {"leakage", "leakage_reached"} and rows.height == 6
    values = rows.filter(pl.col("metric") == "leakage")["value"]
    assert values.n_unique() == 3 and 0 < values.min() and values.max() < 0.2


def test_runs_are_tagged_with_their_method_and_protocol(
    composed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Record] = []
    monkeypatch.setattr(NoLogger, "start", lambda self, record: records.append(record))
    result = run(composed("invert", *WORDS, "label=mine", "tags=[paper]", f"output={tmp_path}"))
    protocol = result["protocol_hash"]
    assert records[0].tags == ["paper", "mine", protocol]


@pytest.mark.parametrize(
    ("example", "protocol", "weights", "photos"),
    [
        ("celeba_vae", "celeba", "celeba-vae-64/celeba_vae64_z32.pth", "celeba-5k/images_89x109.tar"),
        ("grumpy", "grumpy", "grumpy-dcgan-64/G_iter6400.pkl", "grumpy-cats-64/grumpyB_204.tar"),
    ],
)
def test_the_pins_of_an_example_hold(
    example: str, protocol: str, weights: str, photos: str, composed: Any, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = "vgg19-conv3/vgg_normalised_conv3_1.pth"
    files = [shared / "assets" / name for name in (weights, photos, judge)]
    if missing := [path.name for path in files if not path.is_file()]:
        pytest.skip(f"needs assets: {', '.join(missing)}")
    monkeypatch.syspath_prepend(CONF.parent / "examples" / example)
    words = [
        f"hydra.searchpath=[file://{CONF.parent}/examples/{example}/conf]",
        f"protocol={protocol}",
        "method=adam_z",
    ]
    words += [f"generator.checkpoint={files[0]}", f"data.path={files[1]}", "logger=none"]
    words += [f"metric.perceptual.network.checkpoint={files[2]}"]
    make_job(composed("invert", *words))  # refuses other images, and another generator

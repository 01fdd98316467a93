"""Training of flows: images become likelier, a training goes on exactly, and what is exported is the flow trained."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from parameters import slowly

from zstar.data.cottages import Cottages
from zstar.generators.glow import Glow
from zstar.generators.realnvp import RealNVP
from zstar.images import write_png
from zstar.stats.streams import stream
from zstar.tasks.fit import fit
from zstar.tasks.flow import TEMPERATURES, FlowTask, dequantised

TRAINING = [
    "task=flow", "trainer.accelerator=cpu", "logger=none", "data.resolution=8", "data.count=64", "task.steps=6",
    "task.batch=4", "validation.count=4", "callbacks.checkpoint_minutes=0", "callbacks.samples_every=0",
    "callbacks.scores_every=0", "callbacks.snapshot_every=0", "generator.resolution=8",
]  # fmt: skip
SIZES = {
    "glow": ["generator=glow", "generator.num_blocks=2", "generator.num_flows=2", "generator.width=8"],
    "realnvp": ["generator=realnvp", "generator.width=4", "generator.num_blocks=1"],
}
KINDS = {"glow": Glow, "realnvp": RealNVP}


@pytest.fixture
def cfg(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """``cfg("glow", "task.flip=0.5", …)``: a training of a second. Choosing other data drops what was said of these."""

    def make(name: str, *words: str) -> DictConfig:
        chosen = {word.partition("=")[0] for word in words}
        kept = [word for word in [*TRAINING, *SIZES[name]] if word.partition("=")[0] not in chosen]
        if "data" in chosen:
            kept = [word for word in kept if not word.startswith("data.")]
        return composed("train", *kept, *words)

    return make


@pytest.fixture(params=[slowly(name, "realnvp") for name in KINDS])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def curve(folder: Path, name: str) -> list[float]:
    rows = [line.split(",") for line in (folder / "log" / "metrics.csv").read_text().splitlines()[1:]]
    return [float(value) for _, found, value in rows if found == name]


def images(count: int = 4) -> torch.Tensor:
    return Cottages(count, resolution=8).read(range(count)).images


def step(task: FlowTask, batch: torch.Tensor) -> None:
    """A step without Lightning around it."""
    task.manual_backward = lambda loss: loss.backward()
    task.update({"images": batch})
    task.done += 1


def test_images_become_likelier_and_the_exported_flow_is_the_one_scored(
    name: str, cfg: Callable[..., DictConfig], tmp_path: Path
) -> None:
    words = ["task.steps=30", "task.batch=16", "task.lr=0.01", "logger=csv", "task.log_every=5", "task.ema_images=100"]
    result = fit(cfg(name, *words), tmp_path)
    bits = curve(tmp_path, "train/bits_per_dimension")
    assert bits[-1] < bits[0] - 0.4
    data = Cottages(4, "validation", 8)
    flow = KINDS[name](checkpoint=str(tmp_path / "weights.safetensors"))
    assert flow.resolution == 8
    held_out = data.read(range(4)).images
    exact = flow.bits_per_dimension(held_out).mean().item()  # without noise, which changes little
    assert result["scores"] == {"bits_per_dimension": pytest.approx(exact, abs=0.3)}
    task = FlowTask.compose(cfg(name, *words))
    assert result["scores"]["bits_per_dimension"] < task.evaluate(data)["bits_per_dimension"] - 0.4
    task.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert task.evaluate(data) == result["scores"]
    shown = task.pictures(data)
    assert shown.shape == (8 + 48, 3, 8, 8) and torch.equal(shown[:4], held_out) and shown[4:8].eq(1).all()
    assert torch.equal(task.pictures(None), shown[8:])
    for rows, temperature in zip(shown[8:].split(16), TEMPERATURES, strict=True):
        z = flow.sample(16, stream("samples of a flow", 0), temperature)
        torch.testing.assert_close(rows, flow.synthesize(z, "z").clamp(-1, 1), atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        back = flow.synthesize(flow.invert(held_out), "z")
    torch.testing.assert_close(back, held_out, atol=1e-4, rtol=0)  # exact with rounded weights
    card = json.loads((tmp_path / "weights.json").read_text())
    assert card["kind"] == "generator" and card["settings"] == {"resolution": 8} and card["scores"] == result["scores"]


def test_rounding_costs_next_to_nothing(name: str, cfg: Callable[..., DictConfig]) -> None:
    task, data = FlowTask.compose(cfg(name, "task.lr=0.01", "task.warmup=0", "task.steps=30")), images(16)
    for _ in range(10):
        step(task, data)
    bits = [flow.bits_per_dimension(data).mean().item() for flow in (task.mean, task.rounded())]
    assert bits[1] == pytest.approx(bits[0], abs=0.01)
    pairs = zip(task.mean.parameters(), task.rounded().parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)


def test_half_the_steps_and_the_other_half_are_all(
    name: str, tmp_path: Path, cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["task.flip=0.5", "validation=null"]
    fit(cfg(name, *words), tmp_path / "whole")
    with monkeypatch.context() as patch:
        update = FlowTask.update

        def dying(self: FlowTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return update(self, batch) if self.done < 3 else 1 / 0

        patch.setattr(FlowTask, "update", dying)
        with pytest.raises(ZeroDivisionError):
            fit(cfg(name, *words), tmp_path / "halves")
    assert torch.load(tmp_path / "halves" / "checkpoint.pt", weights_only=True)["done"] == 3
    fit(cfg(name, *words), tmp_path / "halves")
    whole, halves = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("whole", "halves"))
    for part in ("generator", "mean"):
        assert all(torch.equal(value, halves["parts"][part][key]) for key, value in whole["parts"][part].items())


def test_what_the_first_batch_sets_is_set_once_and_in_the_mean_too(cfg: Callable[..., DictConfig]) -> None:
    task = FlowTask.compose(cfg("glow", "task.lr=1e-9", "task.warmup=0"))
    step(task, images())
    norms = [flow.network.blocks[1].flows[1].actnorm for flow in (task.generator, task.mean)]
    assert all(norm.initialized for norm in norms) and (norms[0].scale - 1).abs().max() > 0.1
    torch.testing.assert_close(norms[1].scale, norms[0].scale, rtol=1e-4, atol=1e-4)
    before = norms[0].scale.clone()
    again = FlowTask.compose(cfg("glow", "task.lr=1e-9", "task.warmup=0"))
    again.restore(task.checkpoint())
    step(again, images() * 0.1)  # which would set them otherwise
    torch.testing.assert_close(again.generator.network.blocks[1].flows[1].actnorm.scale, before)
    tensors, card = task.export()
    tuned = FlowTask.compose(cfg("glow", "task.lr=1e-9", "task.warmup=0"))
    tuned.adopt(tensors, card)
    step(tuned, images() * 0.1)
    torch.testing.assert_close(tuned.generator.network.blocks[1].flows[1].actnorm.scale, before, rtol=1e-2, atol=1e-2)


def test_processes_set_it_by_the_whole_batch(cfg: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    """As they all begin alike and only gradients are averaged, they would stay apart otherwise."""
    parts, scales = images(8).split(4), []
    monkeypatch.setattr(FlowTask, "_place", property(lambda self: (0, 2)))
    monkeypatch.setattr(FlowTask, "_gather", lambda self, part: torch.cat(parts))
    for part in parts:
        torch.manual_seed(0)
        task = FlowTask.compose(cfg("glow", "task.lr=1e-9", "task.batch=8"))
        step(task, part)
        scales.append(task.generator.network.blocks[0].flows[0].actnorm.scale)
    torch.testing.assert_close(*scales)


def test_likelihoods_are_computed_exactly_whatever_the_trainer_has(
    name: str, cfg: Callable[..., DictConfig], tmp_path: Path
) -> None:
    states = []
    for trainer in ("default", "bf16"):
        fit(cfg(name, f"trainer={trainer}", "trainer.accelerator=cpu", "task.steps=2"), tmp_path / trainer)
        states.append(torch.load(tmp_path / trainer / "checkpoint.pt", weights_only=True)["parts"]["generator"])
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_noise_fills_the_bins_of_8_bit_values() -> None:
    values = torch.arange(256.0)
    rng = torch.Generator().manual_seed(0)
    spread = dequantised((values / 255 * 2 - 1).view(1, 1, 16, 16), 256, rng).flatten()
    unit = (spread + 1) / 2 * 256
    assert torch.equal(unit.floor(), values) and 0.4 < (unit - values).mean() < 0.6 and (unit - values).std() > 0.2
    coarse = (dequantised((values / 255 * 2 - 1).view(1, 1, 16, 16), 32, rng).flatten() + 1) / 2 * 32
    assert torch.equal(coarse.floor(), (values / 8).floor())
    fine = (dequantised((values / 255 * 2 - 1).view(1, 1, 16, 16), 2**16, rng).flatten() + 1) / 2 * 256
    assert torch.equal(fine.floor(), values), "finer bins than images have would be a likelihood without bound"
    outside = dequantised(torch.tensor([-1.5, 1.5]).view(1, 1, 1, 2), 256, rng)
    assert -1 <= outside.min() and outside.max() < 1


def test_bits_are_those_of_the_levels_that_a_flow_is_for(cfg: Callable[..., DictConfig]) -> None:
    task = FlowTask.compose(cfg("glow", "generator.bits=5", "task.lr=1e-9", "task.warmup=0"))
    torch.manual_seed(0)
    step(task, images())
    rng = stream("training step", 0, 0, index=1)
    noisy = dequantised(images(), 32, rng)
    flow, found = task.generator, task.terms({"image": images()}, stream("training step", 0, 0, index=1))
    torch.testing.assert_close(found["bits_per_dimension"], flow.bits_per_dimension(noisy).mean())
    latents, density = flow.network.encode(noisy / 2)
    torch.testing.assert_close(found["bits_per_dimension"], 5 - density.mean() / (math.log(2) * 3 * 8**2))


def test_it_goes_on_from_another_training_and_on_grey_photos(
    name: str, cfg: Callable[..., DictConfig], tmp_path: Path
) -> None:
    for i in range(6):
        write_png(tmp_path / "photos" / f"{i}.png", torch.rand(3, 20 + i, 24) * 2 - 1)
    words = ["data=folder", f"data.path={tmp_path / 'photos'}", "validation=null"]
    words += ["generator.num_blocks=1", "generator.num_flows=3"] if name == "glow" else []
    words += ["generator.channels=1"]
    fit(cfg(name, *words, "task.steps=2"), tmp_path / "first")
    flow = KINDS[name](checkpoint=str(tmp_path / "first" / "weights.safetensors"))
    assert (flow.channels, flow.resolution) == (1, 8)
    longer = fit(cfg(name, *words, "task.steps=3", f"start={tmp_path / 'first'}"), tmp_path / "longer")
    assert longer["steps"] == 3
    start = f"start={tmp_path / 'first' / 'weights.safetensors'}"
    fit(cfg(name, *words, "task.steps=1", "task.lr=1e-9", start), tmp_path / "tuned")
    tuned = KINDS[name](checkpoint=str(tmp_path / "tuned" / "weights.safetensors"))
    for (key, one), (_, other) in zip(flow.named_parameters(), tuned.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3, msg=key)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.resolution=16"], "data: its images are 3×16×16 and the generator makes 3×8×8; set data.resolution=8"),
        (["data=samples", "validation=null"], "data: samples of the generator that is being trained teach it nothing"),
        (["generator.resolution=10"], "generator.resolution: 10 can't be halved 2 times"),
        (["task.lr=0"], "task.lr: 0 is not possible"),
        (["task.clip=0"], "task.clip: 0 is not possible"),
        (["task.decay=2"], "task.decay: 2 is not possible"),
        (["start=cottages64"], "start: "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, cfg: Callable[..., DictConfig]
) -> None:
    with pytest.raises(ValueError) as error:
        fit(cfg("glow", *words), tmp_path)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)
    assert not (tmp_path / "checkpoint.pt").exists()

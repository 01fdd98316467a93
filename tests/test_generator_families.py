"""Every GAN is trained by the same task: it learns, is exported so that it loads again, and resumes exactly."""

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from zstar.annotators.load import load_annotator
from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import all_shipped, load_weights, read_card, save_weights
from zstar.config.build import build
from zstar.data.cottages import FACTORS, Cottages
from zstar.discriminators.base import AbstractDiscriminator
from zstar.discriminators.projected import Projected
from zstar.discriminators.stylegan2 import StyleGAN2 as Discriminator
from zstar.generators.adversarial import AbstractAdversarial
from zstar.generators.autoencoder import Autoencoder
from zstar.generators.biggan import BigGAN
from zstar.generators.invertible import Invertible
from zstar.images import write_png
from zstar.metrics.psnr import PSNR
from zstar.projection.run import run
from zstar.stats.streams import stream
from zstar.tasks import sampling
from zstar.tasks.fit import fit
from zstar.tasks.generator import GeneratorTask
from zstar.tasks.sampling import draw, follow, settle, spread_gap
from zstar.tasks.score import load_generator, main, score

SIZES = {
    "dcgan": ["z_dim=8", "width=4"],
    "pggan": ["z_dim=8", "channel_max=8"],
    "stylegan": ["z_dim=8", "w_dim=8", "num_mapping_layers=1", "channel_max=8"],
    "stylegan2": ["z_dim=8", "w_dim=8", "num_mapping_layers=1", "channel_max=8"],
    "stylegan3": ["z_dim=8", "w_dim=8", "num_mapping_layers=1", "num_layers=3", "num_critical=1", "channel_max=8"],
    "biggan": ["z_dim=6", "width=2", "shared_dim=4", "attention=[]"],
    "biggan_deep": ["z_dim=6", "width=2", "shared_dim=4", "attention=[]", "depth=1"],
}
WITH_W = {"stylegan", "stylegan2", "stylegan3"}
RUN = [
    "task=generator", "task.steps=3", "task.batch=4", "logger=none", "trainer.accelerator=cpu", "data.resolution=16",
    "data.count=64", "validation=null", "callbacks.checkpoint_minutes=0", "callbacks.samples_every=0",
    "callbacks.scores_every=0", "callbacks.snapshot_every=0", "discriminator=stylegan2", "discriminator.channel_max=8",
    "discriminator.r1_every=2",
]  # fmt: skip
CLASSED = ["data=cottages_classed", "discriminator=stylegan2"]
Composed = Callable[..., DictConfig]


@pytest.fixture(autouse=True)
def brief(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of a few images, where no test is of how good they are."""
    if "batch_norm" not in request.node.name:
        monkeypatch.setattr(sampling, "SETTLING", (2, 8))


def of(family: str, *words: str) -> list[str]:
    """The words of a tiny training of a family."""
    sizes = [f"generator.{word}" for word in ("resolution=16", *SIZES[family])]
    deep = ["generator.width=8"] if family == "biggan_deep" else []
    return [*RUN, f"generator={family}", *sizes, *deep, *words]


def loaded(composed: Composed, family: str, folder: Path, *words: str) -> AbstractAdversarial:
    cfg = composed("invert", f"generator={family}", f"generator.checkpoint={folder / 'weights.safetensors'}", *words)
    return build(cfg.generator, at="generator")


def dies_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    update = GeneratorTask.update

    def dying(self: GeneratorTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.done == step:
            raise RuntimeError("killed")
        return update(self, batch)

    monkeypatch.setattr(GeneratorTask, "update", dying)


@pytest.mark.parametrize("family", SIZES)
def test_trains_resumes_exactly_and_loads_again(
    tmp_path: Path, composed: Composed, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    kept: dict[str, GeneratorTask] = {}
    compose = GeneratorTask.compose
    monkeypatch.setattr(GeneratorTask, "compose", lambda cfg: kept.setdefault("task", compose(cfg)))
    mixed = ["task.style_mixing=0.5", "task.path_weight=1", "task.path_every=2"] if family in WITH_W else []
    cfg = composed("train", *of(family, *mixed))
    torch.manual_seed(0)
    first = {name: value.clone() for name, value in compose(cfg).generator.named_parameters()}
    fit(cfg, tmp_path / "whole")
    task = kept.pop("task")
    assert first.keys() == dict(task.generator.named_parameters()).keys()
    moved = [name for name, value in task.generator.named_parameters() if not torch.equal(value, first[name])]
    assert len(moved) > 0.9 * len(first)
    images = task.pictures(None)
    assert torch.equal(images, task.pictures(None)) and images.isfinite().all()
    assert images.std(dim=0).max() > 1e-5, "each latent has a picture of its own"

    made = loaded(composed, family, tmp_path / "whole")
    latent = made.sample(48, stream("grid of samples", 0))
    assert torch.equal(made.synthesize(latent, made.drawn), images)
    assert made.fingerprint() == task.mean.fingerprint() and made.trained
    assert type(load_generator(tmp_path / "whole" / "weights.safetensors")) is type(made)

    with monkeypatch.context() as patch:
        dies_at(patch, 2)
        with pytest.raises(RuntimeError, match="killed"):
            fit(cfg, tmp_path / "halves")
    fit(cfg, tmp_path / "halves")
    whole, halves = (load_weights(tmp_path / run / "weights.safetensors") for run in ("whole", "halves"))
    assert whole.keys() == halves.keys() and all(torch.equal(whole[name], halves[name]) for name in whole)
    states = [torch.load(tmp_path / run / "checkpoint.pt", weights_only=True)["parts"] for run in ("whole", "halves")]
    for part in ("generator", "discriminator"):
        assert all(torch.equal(a, b) for a, b in zip(*(state[part].values() for state in states), strict=True))


@pytest.mark.parametrize("family", ["dcgan", "stylegan2"])
def test_weights_of_half_the_bytes_draw_the_same(tmp_path: Path, composed: Composed, family: str) -> None:
    made = build(composed("train", *of(family)).generator, at="generator")
    (tmp_path / "whole").mkdir()
    whole, half = tmp_path / "whole" / "weights.safetensors", tmp_path / "weights.safetensors"
    save_weights(whole, made.state_dict(), {"kind": "generator", "settings": dict(made.settings)})
    convert([str(whole), str(half), "--half"])
    assert half.stat().st_size < 0.65 * whole.stat().st_size
    kept = load_weights(half)
    assert all(value.dtype == torch.float32 for name, value in kept.items() if name.endswith("running_var"))
    pictures = [one.synthesize(one.sample(4, torch.Generator()), one.drawn) for one in
                (loaded(composed, family, whole.parent), loaded(composed, family, half.parent))]  # fmt: skip
    torch.testing.assert_close(*pictures, atol=0.01, rtol=0)


def test_scores_of_samples_join_those_of_the_training(
    tmp_path: Path, composed: Composed, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, path = build(composed("train", *of("dcgan")).generator, at="generator"), tmp_path / "weights.safetensors"
    save_weights(path, made.state_dict(), {"settings": dict(made.settings), "scores": {"bits_per_dimension": 3.5}})
    monkeypatch.setattr(sys, "argv", ["score", str(path), "judge64", "--count", "8"])
    main()
    card = read_card(path)
    assert card["scores"]["bits_per_dimension"] == 3.5 and card["scores"]["kid"]["value"] > 1
    assert card["settings"] == made.settings and card["scores"]["images"] == 8


def test_samples_that_are_no_pictures_are_counted_and_left_out(
    composed: Composed, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, (network, vocabulary) = (
        build(composed("train", *of("dcgan")).generator, at="generator"),
        load_annotator("judge64"),
    )
    data, drawn, synthesize = Cottages(20, "test", made.resolution), [], made.synthesize

    def exploding(latent: torch.Tensor, space: str) -> torch.Tensor:
        drawn.append(latent)
        images = synthesize(latent, space)
        images[: 3 if len(drawn) == 1 else 0, 0, 0, 0] = torch.nan
        return images

    monkeypatch.setattr(made, "synthesize", exploding)
    some = score(made, data, network, vocabulary, batch=10, truncation=0.5)
    assert some["samples_lost"] == 3 and some["truncation"] == 0.5 and some["kid"]["value"] > 0
    assert torch.equal(drawn[0], 0.5 * made.sample(10, stream("samples to score", 0)))
    monkeypatch.setattr(made, "synthesize", lambda latent, space: synthesize(latent, space) * torch.nan)
    with pytest.raises(ValueError, match="generator: no two of its samples are pictures"):
        score(made, data, network, vocabulary)


def test_the_mean_of_weights_has_the_mean_of_their_statistics() -> None:
    """Those of the last weights alone do not fit it: a flow in training lost a tenth of a bit by them."""
    torch.manual_seed(0)
    now = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    now.register_buffer("seen", torch.zeros(()))
    mean = copy.deepcopy(now)
    with torch.no_grad():
        now[0].weight.add_(1)
        for buffer, value in zip(now.buffers(), (5, 1, 3, 7), strict=True):  # seen, mean, variance, batches
            buffer.fill_(value)
    weight = mean[0].weight.clone()
    follow(mean, now, 0.25)
    torch.testing.assert_close(mean[0].weight, weight + 0.25)
    assert mean[1].running_mean.eq(0.25).all() and mean[1].running_var.eq(1.5).all()
    assert mean[1].num_batches_tracked == 7 and mean.seen == 5


@pytest.mark.parametrize("family", ["dcgan", "biggan"])
def test_batch_norm_of_the_mean_has_statistics_of_its_own(composed: Composed, family: str) -> None:
    """In eval() an image is what it is within a large batch in train(); with the statistics of G, it is another."""
    torch.manual_seed(0)
    task = GeneratorTask.compose(composed("train", *of(family)))
    with torch.no_grad():
        for parameter in task.generator.parameters():  # G has moved far since
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
        for _ in range(30):
            with task.generator.conditioned(task.generator.draw_classes(16, task.rng) if family == "biggan" else None):
                draw(task.generator, 16, task.rng)
    settle(task.mean, task.generator, stream("standing", 0))
    assert not task.mean.training and not any(p.requires_grad for p in task.mean.parameters())
    latent = task.mean.sample(500, stream("latents", 0))
    with torch.no_grad():
        alone = task.mean.synthesize(latent[:16], task.mean.drawn)
        batched = task.mean.train().synthesize(latent, task.mean.drawn)[:16]
        task.mean.eval()
        for old, new in zip(task.mean.buffers(), task.generator.buffers(), strict=True):
            old.copy_(new)
        borrowed = task.mean.synthesize(latent[:16], task.mean.drawn)
    assert (alone - batched).abs().mean() < 0.2 * (borrowed - batched).abs().mean()


def test_settings_that_no_tensor_tells_are_on_the_card(tmp_path: Path, composed: Composed) -> None:
    fit(composed("train", *of("dcgan", "generator.prior=uniform", "generator.normalization=instance")), tmp_path)
    made = loaded(composed, "dcgan", tmp_path)
    assert made.settings == {"prior": "uniform", "normalization": "instance"} and not made.batch_statistics
    assert json.loads((tmp_path / "weights.json").read_text())["settings"] == made.settings
    start = f"start={tmp_path / 'weights.safetensors'}"
    with pytest.raises(ValueError, match=r"does not fit .*: its normalization is instance; set generator\.norm"):
        fit(composed("train", *of("dcgan", start, "generator.prior=uniform")), tmp_path / "other")


@pytest.mark.parametrize("family", ["dcgan", "pggan", "biggan"])
def test_starts_from_weights_and_from_a_training(tmp_path: Path, composed: Composed, family: str) -> None:
    fit(composed("train", *of(family, "task.steps=1")), tmp_path / "first")
    weights = load_weights(tmp_path / "first" / "weights.safetensors")
    begun = []
    with pytest.MonkeyPatch.context() as patch:
        update = GeneratorTask.update

        def seen(self: GeneratorTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            begun.append({name: value.clone() for name, value in self.generator.state_dict().items()})
            return update(self, batch)

        patch.setattr(GeneratorTask, "update", seen)
        path = tmp_path / "first" / "weights.safetensors"
        fit(composed("train", *of(family, "task.steps=1", f"start={path}", "seed=1")), tmp_path / "tuned")
    assert all(torch.equal(begun[0][name], value) for name, value in weights.items())
    words = of(family, "task.steps=2", f"start={tmp_path / 'first'}")
    assert fit(composed("train", *words), tmp_path / "longer")["steps"] == 2


@pytest.mark.parametrize("family", ["dcgan", "biggan", "stylegan3"])
def test_a_folder_of_grey_photos_trains_a_generator(tmp_path: Path, composed: Composed, family: str) -> None:
    for i in range(5):
        image = torch.rand(1, 20 + i, 24, generator=torch.Generator().manual_seed(i)) * 2 - 1
        write_png(tmp_path / "photos" / f"{i}.png", image)
    words = [word for word in of(family) if not word.startswith("data.")]
    grey = ["data=folder", f"data.path={tmp_path / 'photos'}", "generator.channels=1", "task.steps=2"]
    assert fit(composed("train", *words, *grey), tmp_path / "run")["steps"] == 2
    made = loaded(composed, family, tmp_path / "run")
    assert made.channels == 1


def test_classes_of_the_images_are_those_of_the_generated_ones(
    tmp_path: Path, composed: Composed, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, ...]] = []
    logits = Discriminator.logits

    def noting(self: Discriminator, features: list[torch.Tensor], classes: torch.Tensor | None = None) -> list:
        seen.append(classes)
        return logits(self, features, classes)

    monkeypatch.setattr(Discriminator, "logits", noting)
    words = of("biggan", "generator.classes=8", "data=cottages_classed", "task.steps=1", "discriminator.r1_every=1")
    fit(composed("train", *words), tmp_path / "classed")
    both, penalty, fakes = seen
    assert torch.equal(both[:4], both[4:]) and torch.equal(both[:4], penalty) and torch.equal(penalty, fakes)
    seen.clear()
    fit(composed("train", *of("biggan", "task.steps=1")), tmp_path / "plain")
    assert seen and set(seen) == {None}
    with pytest.raises(ValueError, match=r"^generator\.classes: it draws 5 and the images are of 8; set it to 8$"):
        fit(composed("train", *words, "generator.classes=5"), tmp_path / "five")


def test_classes_from_a_table(tmp_path: Path, composed: Composed) -> None:
    for i in range(4):
        write_png(tmp_path / "photos" / f"{i}.png", torch.full((3, 16, 16), i / 4))
    (tmp_path / "table.csv").write_text("image,class\n" + "".join(f"{i},{i % 3}\n" for i in range(4)))
    words = [word for word in of("biggan", "task.steps=1", "generator.classes=3") if not word.startswith("data.")]
    words += ["data=folder", f"data.path={tmp_path / 'photos'}", f"data.classes={tmp_path / 'table.csv'}"]
    fit(composed("train", *words), tmp_path / "run")
    made = load_weights(tmp_path / "run" / "discriminator.safetensors")
    assert made["embed.weight"].shape == (8, 3)
    (tmp_path / "table.csv").write_text("image,class\n" + "".join(f"{i},{i % 2}\n" for i in range(4)))
    assert fit(composed("train", *words), tmp_path / "run")["folder"] != str(tmp_path / "run")  # of other classes
    with pytest.raises(ValueError, match=r"^data\.classes: nothing here draws a class of an image's own"):
        fit(composed("train", *words, "generator.label=0"), tmp_path / "one")


def test_a_conditional_stylegan2_trains_too(tmp_path: Path, composed: Composed) -> None:
    words = of("stylegan2", "+generator.c_dim=8", "generator.label=own", "data=cottages_classed")
    words += ["task.path_weight=1", "task.style_mixing=0.5"]
    fit(composed("train", *words), tmp_path)
    made = loaded(composed, "stylegan2", tmp_path, "generator.label=own")
    assert made.classes == 8


@pytest.mark.parametrize("kind", ["stylegan2", "projected"])
def test_a_class_changes_the_verdict_on_an_image(kind: str) -> None:
    torch.manual_seed(0)
    judge: AbstractDiscriminator
    judge = Discriminator(64, classes=3, channel_max=8, group=1) if kind == "stylegan2" else Projected(classes=3)
    images = Cottages(2, "train", 64).read(range(2)).images
    one, other = (torch.nn.functional.one_hot(torch.tensor(kinds), 3).float() for kinds in ([0, 1], [2, 1]))
    with torch.no_grad():
        same, changed, plain = judge(images, one), judge(images, other), judge(images)
    for a, b, c in zip(same, changed, plain, strict=True):
        assert not torch.allclose(a[0], b[0]) and torch.allclose(a[1], b[1]) and not torch.allclose(a, c)


def test_batches_are_compared_by_how_their_colours_vary() -> None:
    flat, rng = torch.zeros(8, 3, 16, 16), torch.Generator().manual_seed(0)
    shades = torch.randn(8, 1, 1, 1, generator=rng)
    assert spread_gap(flat, flat) == 0 and spread_gap(flat + 0.5, flat) == 0
    assert spread_gap(flat + shades, flat).item() == pytest.approx(shades.std().item() / 2, abs=2e-4)  # all gray
    tints = shades * torch.tensor([1.0, -1.0, 1.0])[:, None, None]  # as much in each colour, but not together
    assert spread_gap(flat + tints, flat + shades).item() == pytest.approx(4 * shades.std().item() / 6, abs=2e-4)
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 - 0.5  # within a cell, all may vary
    assert spread_gap(flat + shades * board, flat).item() == pytest.approx(0, abs=1e-5)
    same = flat.clone().requires_grad_()
    spread_gap(same, shades.expand_as(flat)).backward()
    assert same.grad.isfinite().all()


def test_a_generator_learns_to_vary_as_its_images_do(tmp_path: Path, composed: Composed) -> None:
    real, gaps = Cottages(64, "train", 16).read(range(64)).images, {}
    for weight in (0, 100):
        words = of("pggan", f"task.spread_weight={weight}", "task.steps=30", "task.batch=16", "task.lr=2e-2")
        fit(composed("train", *words), tmp_path / str(weight))
        made = loaded(composed, "pggan", tmp_path / str(weight))
        drawn = made.synthesize(made.sample(64, torch.Generator().manual_seed(0)), "z")
        gaps[weight] = spread_gap(drawn, real).item()
    assert gaps[100] < 0.65 * gaps[0]


def test_classes_of_cottages() -> None:
    data = Cottages(64, "train", 8, classed=True)
    batch = data.read(range(64))
    kinds = batch.extras["class"]
    assert kinds.shape == (64, data.classes) and torch.equal(kinds.sum(dim=1), torch.ones(64))
    assert kinds.sum(dim=0).min() > 0
    chapel, season = (batch.extras["factors"][:, list(FACTORS).index(name)] for name in ("is_chapel", "season"))
    kind = kinds.argmax(dim=1)
    assert torch.equal(kind >= 4, chapel == 1) and torch.equal(kind % 4, (season * 4).floor().long())
    assert data.split(3)[1].classes == 8 and Cottages(1).classes == 0
    assert data.fingerprint() != Cottages(64, "train", 8).fingerprint()


def test_a_projection_takes_the_classes_of_cottages(tmp_path: Path, composed: Composed) -> None:
    words = [
        "generator=biggan", "data=cottages_classed", "data.count=3", "data.resolution=16", "space=z", "loss=[pixel]",
        "metric=[mse]", "logger=none", "steps=1", "projector=[mean,optimization]", f"output={tmp_path / 'out'}",
    ]  # fmt: skip
    for classes in (8, 5):
        made = BigGAN(resolution=16, width=2, z_dim=6, classes=classes, shared_dim=4, attention=[])
        save_weights(tmp_path / f"{classes}.safetensors", made.state_dict(), {"settings": made.settings})
    result = run(composed("invert", *words, f"generator.checkpoint={tmp_path / '8.safetensors'}"))
    expected = Cottages(3, "train", 16, classed=True).read(range(3)).extras["class"].argmax(dim=1)
    assert [found["class"] for found in result["classes"].values()] == expected.tolist()
    with pytest.raises(ValueError, match=r"^data: its images are of 8 classes and the generator draws 5"):
        run(composed("invert", *words, f"generator.checkpoint={tmp_path / '5.safetensors'}"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (of("dcgan", "task.spread_weight=-1"), "task.spread_weight: -1 is not possible; set it to 0 or more"),
        (
            of("dcgan", "task.spread_weight=2", "task.batch=1"),
            "task.spread_weight: 2 compares the images of a batch; set",
        ),
        (of("dcgan", "task.path_weight=2"), "task.path_weight: 2 acts on w, which a DCGAN has not; set it to 0"),
        (of("pggan", "task.style_mixing=1"), "task.style_mixing: 1 acts on w, which a PGGAN has not; set it to 0"),
        (of("biggan", "generator.label=all"), "generator.label: a training draws z with a class for each image"),
        (of("dcgan", "data.resolution=32"), "data: its images are 3×32×32 and the generator makes 3×16×16; set data.r"),
        (of("pggan", "generator.channels=1"), "data: its images are 3×16×16 and the generator makes 1×16×16"),
        (
            [*RUN, "generator=vae"],
            "generator: this task trains a GAN, not a VAE; choose task=autoencoder, or",
        ),
        (
            [*RUN, "generator=vqvae2"],
            "generator: this task trains a GAN, not a VQVAE2; choose task=autoencoder, or",
        ),
        (
            [*RUN, "generator=realnvp"],
            "generator: this task trains a GAN, not a RealNVP; choose task=flow, or",
        ),
        (
            [*RUN, "generator=glow"],
            "generator: this task trains a GAN, not a Glow; choose task=flow, or",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, composed: Composed, words: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        fit(composed("train", *words), tmp_path)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def test_directions_are_learned_with_a_generator_without_w(composed: Composed) -> None:
    words = [word for word in of("dcgan") if word != "task=generator"]
    steered = ["task=steerable", *words, "edit=[brightness]", "space=z", "loss=[pixel]", "task.head_start=0"]
    task = GeneratorTask.compose(composed("train", *steered, "space.prior_samples=100"))
    task.manual_backward = lambda loss: loss.backward()
    before = task.generator.main[0].weight.clone()
    logs = task.update({"images": Cottages(4, "train", 16).read(range(4)).images})
    assert "train/brightness" in logs and not torch.equal(task.generator.main[0].weight, before)
    with pytest.raises(ValueError, match=r"^generator\.label: directions are learned with one class"):
        words = [word for word in of("biggan") if word != "task=generator"]
        GeneratorTask.compose(composed("train", "task=steerable", *words, "edit=[brightness]", "space=z"))


GENERATORS = [path for path in all_shipped() if read_card(path)["kind"] == "generator"]


@pytest.mark.parametrize("path", GENERATORS, ids=lambda path: path.stem)
def test_generators_that_ship_draw_cottages(path: Path) -> None:
    """As a network of another make reads them: each has its sky, its ground and its walls, and they differ."""
    generator, (judge, vocabulary) = load_generator(path), load_annotator("judge64")
    if isinstance(generator, Autoencoder):
        real = Cottages(32, "test", generator.resolution).read(range(32)).images
        with torch.no_grad():
            made = generator.synthesize(generator.encode(real), generator.encoded).clamp(-1, 1)
        assert PSNR()(made, real).mean() > 31, "reconstructions"
    if generator.prior is None:  # of each code by itself, which no picture comes of
        return
    latents = generator.sample(32, stream("samples of a test of what ships", 0), space=generator.drawn)
    with torch.no_grad():
        images = generator.synthesize(latents, generator.drawn).clamp(-1, 1)
        classes = judge(judge.sized(images)).logits.argmax(dim=1)
    shares = {name: (classes == k).float().mean(dim=(1, 2)) for k, name in enumerate(vocabulary.classes)}
    assert shares["sky"].min() > 0.1 and shares["grass"].min() > 0.05 and shares["wall"].min() > 0.02
    assert (shares["roof"] > 0.02).sum() > 8 and (shares["dome"] > 0.02).sum() > 4, "cottages and chapels"
    assert images.std(dim=0).mean() > 0.15
    most = 0.05  # of the others, samples are not what they are for
    most = 0.1 if isinstance(generator, Autoencoder) else 0.4 if isinstance(generator, Invertible) else most
    assert read_card(path)["scores"]["kid"]["value"] < most


@pytest.mark.parametrize("recipe", ["dcgan64", "biggan64", "stylegan64", "pggan64"])
def test_recipes_are_small(composed: Composed, recipe: str) -> None:
    cfg = composed("train", f"experiment={recipe}")
    made = build(cfg.generator, at="generator")
    assert made.resolution == 64 and 2 * sum(value.numel() for value in made.state_dict().values()) < 2e6
    assert (recipe == "biggan64") == bool(cfg.data.get("classed")) == (made.classes == 8)

"""The class as a latent: beside z or alone, free or one of those that there are, and found by trying them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conditional import SIZES, conditional
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights, save_weights
from zstar.config.reasons import Unfit
from zstar.generators.biggan import BigGAN
from zstar.generators.pixels import Pixels
from zstar.images import write_png
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.classes import Classes
from zstar.projectors.classifier import Classifier
from zstar.projectors.cma import CMA
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.projectors.random import Random
from zstar.projectors.saved import Saved
from zstar.projectors.starts import Starts
from zstar.spaces.embedding import Embedding
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.spaces.z import Z
from zstar.spaces.z_class import ZClass

IDS = ["a", "b", "c"]
KINDS = torch.eye(3)[[2, 0, 1]]
Z_DIM = SIZES["z_dim"]


def labelled(label: Any) -> BigGAN:
    """The same network with another label."""
    made = BigGAN(**SIZES, label=label)
    made.load_state_dict(conditional().state_dict())
    return made


def problem(kind: type = Z, generator: Any = None, lr: float = 0.05) -> Problem:
    return Problem(kind(generator or conditional(), 400), {"pixel": Pixel()}, {}, Adam(lr), seed=0)


@pytest.fixture(scope="module")
def z() -> torch.Tensor:
    return 0.5 * torch.randn(3, Z_DIM, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def targets(z: torch.Tensor) -> Targets:
    """A picture of each class."""
    return Targets({"image": conditional().render({"latent": z, "class": KINDS}, "z")}, IDS)


def test_labels_say_which_spaces_there_are(z: torch.Tensor, targets: Targets) -> None:
    own, every, one = conditional(), labelled("all"), labelled(2)
    assert (own.classes, own.drawn, every.drawn, one.drawn) == (3, "z_class", "z_class", "z")
    assert (list(own.spaces), list(every.spaces)) == (["z", "z_class"], ["z_class"])
    torch.testing.assert_close(one.synthesize(z[:1], "z"), targets.images[:1], atol=1e-5, rtol=1e-5)
    assert torch.equal(
        own.sample(30, torch.Generator().manual_seed(0)), every.sample(30, torch.Generator().manual_seed(0))
    )
    drawn = own.split(own.sample(30, torch.Generator().manual_seed(0)))[1]
    assert drawn.unique(dim=0, return_counts=True)[1].tolist() == [10, 10, 10]
    assert (
        one.split(one.sample(9, torch.Generator(), space="z_class"))[1].unique(dim=0).equal(own.embed(torch.eye(3)[2:]))
    )
    for latent, source, target, message in (
        (z, "z", "z_class", "generator.label: with a class for each image, latents of z are no pictures"),
        (
            own.sample(1, torch.Generator()),
            "z_class",
            "z",
            "space: z_class can't be lifted to z; the order is z → z_class",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            own.lift(latent, source, target)


@pytest.mark.parametrize("label", ["own", "all", 1])
def test_the_prior_of_both_is_that_of_its_classes(label: Any) -> None:
    space = ZClass(labelled(label), 4000)
    vectors = conditional().embed(torch.eye(3) if label != 1 else torch.eye(3)[1:2])
    wanted = torch.cat([torch.ones(Z_DIM), vectors.var(dim=0, unbiased=False)]).mean().sqrt()
    torch.testing.assert_close(space.mean[Z_DIM:], vectors.mean(dim=0), atol=0.03, rtol=0.03)
    assert space.mean[:Z_DIM].abs().max() < 0.08 and space.spread == pytest.approx(wanted.item(), rel=0.03)
    if label == "own":  # of an image whose class is known
        starts = space.start(2, torch.eye(3)[[1, 0]])
        torch.testing.assert_close(starts[:, Z_DIM:], conditional().embed(torch.eye(3)[[1, 0]]))


def test_a_class_alone_is_optimised_while_z_stays(targets: Targets) -> None:
    one = problem(Embedding)
    start = project(one, [Random(one)], targets)
    for projector in (Optimization(one, steps=20), Starts(one, count=3, steps=4), CMA(one, generations=3)):
        found = project(one, [Random(one), projector], targets)
        assert torch.equal(found.latent[:, :Z_DIM], start.latent[:, :Z_DIM]), type(projector).__name__
        assert (found.loss < start.loss).all() and "class" not in found.v and found.space == "z_class"
    with pytest.raises(Unfit, match="^space.embedding: Pixels has no vectors of classes; choose generator=biggan or"):
        Embedding(Pixels(8))


def test_z_and_a_free_class_explain_more_than_either(z: torch.Tensor, targets: Targets) -> None:
    outside = torch.cat([z, 2 * conditional().embed(KINDS.flip(0)) + 0.3], dim=1)  # of no mixture of classes
    pictures = replace(targets, named={"image": conditional().synthesize(outside, "z_class")})
    losses = {}
    for name, kind in (("z", Z), ("embedding", Embedding), ("both", ZClass)):
        one = problem(kind)
        losses[name] = project(one, [Mean(one), Optimization(one, steps=40)], pictures).loss.mean().item()
    assert losses["both"] < 0.8 * min(losses["embedding"], losses["z"]), losses


def test_the_class_of_an_image_is_found_by_trying_all(targets: Targets, z: torch.Tensor) -> None:
    one = problem()
    for draws in (0, 4):
        found = project(one, [Classes(one, draws=draws, chunk=4)], targets)
        assert torch.equal(found.v["class"], KINDS) and (found.latent.any() == (draws > 0))
    best = project(one, [Classes(one)], targets)
    assert (best.loss < project(one, [Mean(one)], targets).loss).all()
    alone = project(one, [Classes(one, draws=4)], replace(targets, named={"image": targets.images[1:2]}, ids=IDS[1:2]))
    assert torch.equal(alone.latent, found.latent[1:2]) and torch.equal(alone.v["class"], KINDS[1:2])
    known = project(one, [Mean(one)], replace(targets, classes=KINDS))
    torch.testing.assert_close(known.loss, best.loss)
    kept = project(one, [Classes(one), Optimization(one, steps=5, class_lr=0.0)], targets)
    mixed = project(one, [Classes(one), Optimization(one, steps=5)], targets)
    assert torch.equal(kept.v["class"], KINDS) and not torch.equal(mixed.v["class"], KINDS)
    wrong = project(one, [Mean(one), Optimization(one, steps=5)], replace(targets, classes=KINDS.roll(1, dims=0)))
    assert (kept.loss < wrong.loss).all()
    both = problem(ZClass)
    begun = project(both, [Classes(both)], targets)
    torch.testing.assert_close(begun.latent[:, Z_DIM:], conditional().embed(KINDS))
    with pytest.raises(ValueError, match="^projector.classes: data.classes says the classes, so none is to be found"):
        project(one, [Classes(one)], replace(targets, classes=KINDS))
    with pytest.raises(Unfit, match="^projector.classes: BigGAN has no class of an image's own to find; where it has"):
        Classes(problem(generator=labelled(1)))
    with pytest.raises(Unfit, match="^projector.classes: Pixels has no class"):
        Classes(Problem(PixelSpace(Pixels(8)), {"pixel": Pixel()}, {}, Adam()))


class Brightness(torch.nn.Module):
    """Scores three classes of a picture by a fixed order for each of the pictures that it was told."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (3, 20, 20)
        return self.scores[: len(images)]


def test_a_classifier_says_which_classes_are_tried(targets: Targets) -> None:
    one, scores = problem(), torch.tensor([[0.0, 1, 2], [0, 2, 1], [1, 0, 2]])  # right, next to right, wrong at the end
    for top, wanted in ((1, [2, 1, 2]), (3, [2, 0, 1])):
        classifier = Classifier(Brightness(scores), size=20)
        projector = Classes(one, classifier=classifier, top=top)
        found = project(one, [projector], targets)
        assert found.v["class"].argmax(dim=1).tolist() == wanted
        assert found.evaluations.tolist() == [top + 1] * 3 == [projector.cost] * 3
    for network, message in (
        (Brightness(scores[:, :2]), r"it gives \(3, 2\) for 3 images and G's 3 classes"),
        (torch.nn.Linear(2, 2), "it does not take these images"),
    ):
        with pytest.raises(ValueError, match=f"^projector.classes.classifier.network: {message}"):
            project(one, [Classes(one, classifier=Classifier(network, size=20))], targets)
    with pytest.raises(ValueError, match=r"^projector.classes.classifier.std: \[0.0, 1.0, 1.0\] says nothing of three"):
        Classifier(Brightness(scores), std=[0.0, 1.0, 1.0])


def test_a_class_is_freed_at_the_z_of_a_finished_run(targets: Targets, tmp_path: Path) -> None:
    first = problem()
    found = project(first, [Classes(first), Optimization(first, steps=3)], targets)
    found.save(tmp_path / "run" / "latents.safetensors")
    one = problem(Embedding)
    saved = project(one, [Saved(one, str(tmp_path / "run"))], targets)
    torch.testing.assert_close(saved.loss, found.loss)
    freed = project(one, [Saved(one, str(tmp_path / "run")), Optimization(one, steps=20)], targets)
    assert torch.equal(freed.latent[:, :Z_DIM], found.latent) and (freed.loss < found.loss).all()
    assert "class" not in freed.v


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A grey generator, and three of its pictures."""
    folder = tmp_path_factory.mktemp("grey")
    torch.manual_seed(1)
    grey = BigGAN(**SIZES, channels=1)
    save_weights(folder / "g.safetensors", grey.state_dict(), {"settings": grey.settings})
    for name, image in zip(IDS, grey.synthesize(grey.sample(3, torch.Generator()), "z_class"), strict=True):
        write_png(folder / "photos" / f"{name}.png", image.clamp(-1, 1))
    return [
        "generator=biggan", f"generator.checkpoint={folder / 'g.safetensors'}", "space.prior_samples=50", "steps=2",
        "data=folder", f"data.path={folder / 'photos'}", "data.resolution=16", "data.channels=1", "loss=[pixel]",
        "metric=[mse]", "logger=none", "projector=[classes,optimization]", f"output={folder}/out",
    ]  # fmt: skip


@pytest.mark.parametrize("space", ["z", "z_class", "embedding"])
def test_grey_pictures_are_projected_by_the_program(
    space: str, words: list[str], composed: Callable[..., DictConfig]
) -> None:
    result = run(composed("invert", *words, f"space={space}"))
    folder = Path(result["folder"])
    latents = load_weights(folder / "latents.safetensors")
    assert json.loads((folder / "result.json").read_text())["space"] == space == folder.name.rpartition("_classes")[0]
    assert latents["latent"].shape == (3, Z_DIM if space == "z" else Z_DIM + 4)
    assert ("class" in latents) == (space == "z") and result["failed"] == {}
    assert {path.name for path in (folder / "reconstructions").iterdir()} == {"a.png.png", "b.png.png", "c.png.png"}


def test_samples_and_an_earlier_run(words: list[str], composed: Callable[..., DictConfig]) -> None:
    kept = [word for word in words if not word.startswith(("data", "projector"))]
    first = run(composed("invert", *kept, "data=samples", "data.count=2", "space=z", "projector=[classes]"))
    assert set(first["classes"]) == {"sample-000000", "sample-000001"}
    words = [*kept, "data=samples", "data.count=2", f"inversion={first['folder']}", "projector=[saved,optimization]"]
    second = run(composed("invert", *words, "space=embedding"))
    before, after = (load_weights(Path(one["folder"]) / "latents.safetensors")["latent"] for one in (first, second))
    assert torch.equal(after[:, :Z_DIM], before) and second["failed"] == {}
    with pytest.raises(
        ValueError, match="^generator.label: nothing says the classes of the images, and latents of z_c"
    ):
        run(composed("invert", *kept, "data=samples", "data.count=2", "space=z_class", "projector=[mean]"))


def test_a_classifier_of_torchvision_by_the_program(words: list[str], composed: Callable[..., DictConfig]) -> None:
    network = "{_target_: torchvision.models.squeezenet1_1, num_classes: 3}"
    node = f"{{_target_: zstar.projectors.classifier.Classifier, network: {network}, size: 32}}"
    chosen = [f"projector.classes.classifier={node}", "projector.classes.top=1", "projector=[classes]"]
    kept = [word for word in words if not word.startswith("projector")]
    result = run(composed("invert", *kept, "space=z", *chosen))
    assert {found["share"] for found in result["classes"].values()} == {1.0} and result["failed"] == {}

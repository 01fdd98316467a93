"""A class for each image: from a table, as a free variable, and from projection to edit and report."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights, save_weights
from zstar.data.base import AbstractData, Batch
from zstar.data.classes import Classified, read_classes
from zstar.directions.base import Label
from zstar.directions.library import save_directions
from zstar.directions.linear import Linear
from zstar.editability.base import Traversal
from zstar.editing.run import run as edit
from zstar.generators.stylegan2 import StyleGAN2
from zstar.images import write_png
from zstar.inversion import Inversion
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.objective import Problem
from zstar.optimizers.adam import Adam
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.best_of import BestOf
from zstar.projectors.mean import Mean
from zstar.projectors.optimization import Optimization
from zstar.projectors.random import Random
from zstar.projectors.weights import Weights
from zstar.spaces.simplex import to_simplex
from zstar.spaces.w import W
from zstar.spaces.z import Z

SIZES = {"resolution": 8, "z_dim": 6, "w_dim": 8, "num_mapping_layers": 1, "channel_max": 8, "c_dim": 3}
IDS = ["a", "b", "c"]
KINDS = torch.eye(3)


@pytest.fixture(scope="module")
def network() -> StyleGAN2:
    """A network of three classes that say much of a picture."""
    torch.manual_seed(3)
    made = StyleGAN2(**SIZES, label="own")
    with torch.no_grad():
        made.mapping.fc0.weight[:, :6] *= 0.3
    return made


@pytest.fixture
def images(network: StyleGAN2) -> torch.Tensor:
    """A picture of each class."""
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    return network.render({"latent": z, "class": KINDS}, "z")


def problem(network: StyleGAN2, kind: type = Z) -> Problem:
    return Problem(kind(network, 200), {"pixel": Pixel()}, {}, Adam(0.1), seed=0)


def test_a_picture_of_a_class_is_that_of_a_network_with_that_label(network: StyleGAN2, images: torch.Tensor) -> None:
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    for row in range(3):
        single = StyleGAN2(**SIZES, label=row)
        single.load_state_dict(network.state_dict())
        torch.testing.assert_close(single.synthesize(z[row : row + 1], "z"), images[row : row + 1])
    with pytest.raises(ValueError, match="generator.label: with a class for each image"):
        network.synthesize(z, "z")
    assert network.drawn == "w" and network.sample(5, torch.Generator()).shape == (5, 8)


def test_mixtures_are_the_nearest_ones() -> None:
    given = torch.tensor([[0.2, 0.3, 0.5], [2.0, 0.0, 0.0], [0.6, 0.6, -5.0], [-1.0, -1.0, -1.0]])
    wanted = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(to_simplex(given), wanted)


def test_a_class_that_is_not_known_is_found_with_the_latent(network: StyleGAN2, images: torch.Tensor) -> None:
    one = problem(network)
    targets = Targets({"image": images}, IDS)
    start = project(one, [Mean(one)], targets)
    torch.testing.assert_close(start.v["class"], torch.full((3, 3), 1 / 3))
    fixed = project(one, [Mean(one), Optimization(one, steps=40, class_lr=1e-9)], targets)
    free = project(one, [Mean(one), Optimization(one, steps=40, class_lr=0.05)], targets)
    shares = free.v["class"]
    assert shares.min() >= 0 and torch.allclose(shares.sum(dim=1), torch.ones(3))
    assert shares.argmax(dim=1).tolist() == [0, 1, 2] and (free.loss < fixed.loss).all()
    alone = project(one, [Mean(one), Optimization(one, steps=40)], Targets({"image": images[1:2]}, ["b"]))
    torch.testing.assert_close(alone.v["class"], shares[1:2], atol=1e-3, rtol=0)
    tried = project(one, [BestOf(one, candidates=30)], targets)
    assert tried.v["class"].argmax(dim=1).tolist() == [0, 1, 2] and tried.v["class"].max(dim=1).values.eq(1).all()
    assert project(one, [Random(one)], targets).v["class"].max(dim=1).values.eq(1).all()


def test_weights_are_fitted_and_directions_measured_with_the_class(network: StyleGAN2, images: torch.Tensor) -> None:
    one = problem(network)
    found = project(one, [Random(one), Weights(one, steps=1)], Targets({"image": images}, IDS, KINDS))
    assert torch.equal(found.v["class"], KINDS) and any(name.startswith("weights/mapping.embed") for name in found.v)
    way = Linear("w", torch.ones(8), Label(low=-1, high=1))
    traversal = Traversal("way", way, network, found.v, "z", torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(traversal.before, found.image.clamp(-1, 1), atol=1e-4, rtol=1e-4)
    assert (traversal.images[1] - traversal.before).abs().max() > 0.01


@pytest.mark.parametrize("kind", [Z, W])
def test_a_class_that_is_known_stays_and_says_where_to_begin(
    network: StyleGAN2, images: torch.Tensor, kind: type
) -> None:
    one, classes = problem(network, kind), KINDS[[2, 2, 0]]
    targets = Targets({"image": images}, IDS, classes)
    start = project(one, [Mean(one)], targets)
    for row, label in ((0, 2), (2, 0)):
        single = StyleGAN2(**SIZES, label=label)
        single.load_state_dict(network.state_dict())
        torch.testing.assert_close(start.latent[row], kind(single, 200).start(1)[0])
    chain = [[Mean(one), Optimization(one, steps=3)], [Random(one)], [BestOf(one, candidates=6)]]
    found = [project(one, projectors, targets) for projectors in chain]
    if kind is Z:
        assert all(torch.equal(inversion.v["class"], classes) for inversion in found)
    else:
        assert not any("class" in inversion.v for inversion in found)
    last = project(one, [BestOf(one, candidates=6)], Targets({"image": images[2:]}, IDS[2:], classes[2:]))
    assert torch.equal(last.latent, found[2].latent[2:])


class Pictures(AbstractData):
    """Four grey pictures, in a folder called x."""

    def __len__(self) -> int:
        return 4

    def read(self, indices: Sequence[int]) -> Batch:
        return Batch([f"x/{i}.png" for i in indices], torch.zeros(len(indices), 3, 8, 8))

    def fingerprint(self) -> str:
        return "grey"

    def split(self, count: int) -> tuple[AbstractData, None]:
        return self, None


def test_a_table_gives_classes_by_name_and_lists_who_is_missing(tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("image;class\nx/0.png;2\nx/1;0\n\nx/2.jpg; 1\n")
    data = Classified(Pictures(), str(table), 3)
    batch = data.read(range(4))
    assert batch.ids == ["x/0.png", "x/1.png", "x/2.png"] and batch.extras["class"].argmax(dim=1).tolist() == [2, 0, 1]
    assert batch.failed == {"x/3.png": f"data.classes: {table} has no row for it"}
    before = data.fingerprint()
    table.write_text("image;class\nx/0.png;1\nx/1;0\nx/2.jpg;1\n")
    assert Classified(Pictures(), str(table), 3).fingerprint() != before
    for text, wrong in (
        ("image,class\na,3\n", "says '3' of a, which is no class; give one of 0..2"),
        ("image,class\na,cat\n", "says 'cat' of a"),
        ("image,class\na,1\na,2\n", "has two classes for a"),
        ("image,class\n", "has no rows"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=rf"^data.classes: .*{wrong}"):
            read_classes(table, 3)
    with pytest.raises(ValueError, match="^data.classes: there is no file"):
        read_classes(tmp_path / "none.csv", 3)


@pytest.fixture
def words(network: StyleGAN2, images: torch.Tensor, tmp_path: Path) -> list[str]:
    """A projection of three pictures into z of the network, and a table of their classes."""
    save_weights(tmp_path / "g.safetensors", network.state_dict(), {"settings": network.settings})
    for name, image in zip(IDS, images, strict=True):
        write_png(tmp_path / "photos" / f"{name}.png", image.clamp(-1, 1))
    (tmp_path / "classes.csv").write_text("image,class\na,0\nb,1\nc,2\n")
    return [
        "generator=stylegan2", f"generator.checkpoint={tmp_path / 'g.safetensors'}", "generator.label=own", "space=z",
        "space.prior_samples=50", "data=folder", f"data.path={tmp_path / 'photos'}", "data.resolution=8", "steps=2",
        "loss=[pixel]", "metric=[mse]", "logger=none", "projector=[mean,optimization]",
    ]  # fmt: skip


def test_classes_go_from_the_projection_to_the_edit_and_its_page(
    words: list[str], composed: Callable[..., DictConfig], network: StyleGAN2, tmp_path: Path
) -> None:
    given = f"data.classes={tmp_path / 'classes.csv'}"
    free = run(composed("invert", *words, f"output={tmp_path / 'out'}"))
    known = run(composed("invert", *words, given, f"output={tmp_path / 'out'}"))
    assert free["folder"] != known["folder"]
    assert [known["classes"][f"{name}.png"] for name in IDS] == [{"class": i, "share": 1.0} for i in range(3)]
    assert all(0.3 < found["share"] < 1 for found in free["classes"].values())
    folder = Path(known["folder"])
    assert torch.equal(load_weights(folder / "latents.safetensors")["class"], KINDS)
    assert "a.png, class 0</span>" in (folder / "report.html").read_text()
    assert " %)</span>" in (Path(free["folder"]) / "report.html").read_text().replace("%)", " %)")
    saved = Inversion.load(folder / "latents.safetensors")
    assert (
        torch.equal(saved.render(network), saved.render(network)) and saved.select([1]).v["class"].tolist()[0][1] == 1
    )

    save_directions(tmp_path / "found.safetensors", {"warm": Linear("w", torch.ones(8), Label(low=0, high=1))}, network)
    edits = [*words[:3], f"inversion={folder}", "direction=[file]", "editability=[]", "frames=2", "logger=none"]
    edits += [f"direction.file.path={tmp_path / 'found.safetensors'}", "strengths=[0.0,1.0]", "video=false"]
    result = edit(composed("edit", *edits, "space@search=w", "search.prior_samples=50", f"output={tmp_path / 'edit'}"))
    moved = load_weights(Path(result["folder"]) / "edited" / "warm.safetensors")["latent"]
    with network.conditioned(KINDS):
        lifted = network.lift(saved.latent, "z", "w")
    torch.testing.assert_close(moved, torch.stack([lifted, lifted + 1], dim=1), atol=1e-5, rtol=1e-5)
    assert json.loads((Path(result["folder"]) / "result.json").read_text())["images"] == [f"{name}.png" for name in IDS]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            ["generator.label=1"],
            "data.classes: this generator draws no class of an image's own; set generator.label=own",
        ),
        (
            ["space=w", "data.classes=null"],
            "generator.label: nothing says the classes of the images, and latents of w n",
        ),
    ],
)
def test_what_says_nothing_is_refused(
    more: list[str], sentence: str, words: list[str], composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    table = f"data.classes={tmp_path / 'classes.csv'}"
    chosen = {word.partition("=")[0] for word in more}
    kept = [word for word in [*words, table] if word.partition("=")[0] not in chosen]
    with pytest.raises(ValueError) as error:
        run(composed("invert", *kept, *more, f"output={tmp_path / 'out'}"))
    assert str(error.value).startswith(sentence)

"""Latents with scores: by the shipped annotator, by a network of one's own, by tables of labels."""

from pathlib import Path

import pytest
import torch
from torch import nn

from zstar.annotations.annotator import Annotator
from zstar.annotations.classifier import Classifier
from zstar.annotations.labels import Labels
from zstar.annotations.tables import match, read_labels
from zstar.config.build import build
from zstar.config.check import check
from zstar.generators.base import AbstractGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.inversion import Inversion
from zstar.spaces.style import Style
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z


class Brightness(nn.Module):
    """Mean of red, and of everything."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images[:, 0].mean(dim=(1, 2)), images.mean(dim=(1, 2, 3))], dim=1)


def redness(images: torch.Tensor) -> torch.Tensor:
    return images[:, :1].mean(dim=(2, 3))


@pytest.fixture(scope="module")
def shipped() -> AbstractGenerator:
    return build({"_target_": "zstar.generators.stylegan2.StyleGAN2", "checkpoint": "cottages64"})


def save(
    folder: Path, generator: AbstractGenerator, space: str = "w", ids: tuple[str, ...] = ("a.png", "b.png")
) -> str:
    rng, n = torch.Generator().manual_seed(0), len(ids)
    latent = generator.sample(n, rng, space=space)
    zero = torch.zeros(n)
    folder.mkdir(exist_ok=True)
    Inversion(list(ids), space, {"latent": latent}, None, zero, zero.long(), zero, ["done"] * n).save(
        folder / "latents.safetensors"
    )
    return str(folder)


def test_the_annotator_reads_what_the_images_show(shipped: AbstractGenerator) -> None:
    annotation = Annotator(count=40, batch=16)
    found = annotation.annotate(W(shipped))
    assert found.latents.shape == (40, 128) and found.scores.shape == (40, len(found.names))
    known = found.scores[~found.scores.isnan()]
    assert known.min() > -0.5 and known.max() < 1.5
    areas = torch.stack([found.column(name) for name in found.names if name.startswith("area/")])
    torch.testing.assert_close(areas.sum(dim=0), torch.ones(40))
    absent = found.column("door_present") < 0.5
    assert found.column("door_x")[absent].isnan().all() and not found.column("door_x")[~absent].isnan().any()
    said = annotation.network(W(shipped).decode(found.latents[:8]).clamp(-1, 1)).factors[:, 0]
    torch.testing.assert_close(found.column("time_of_day")[:8], said, atol=1e-4, rtol=0)


def test_samples_are_the_same_each_time_in_each_space_and_for_each_batch(tiny: AbstractGenerator) -> None:
    first = Classifier(Brightness(), ["red", "light"], count=30, batch=30)
    w = first.annotate(W(tiny))
    assert first.annotate(W(tiny)).latents is w.latents
    other = Classifier(Brightness(), ["red", "light"], count=30, batch=7)
    torch.testing.assert_close(other.annotate(W(tiny)).scores, w.scores)
    for kind in (Z, WPlus, Style):
        torch.testing.assert_close(first.annotate(kind(tiny)).scores, w.scores, atol=1e-4, rtol=1e-4)
    assert not torch.equal(Classifier(Brightness(), ["a", "b"], count=30, seed=1).annotate(W(tiny)).latents, w.latents)
    assert w.origin == {"annotation": "classifier", "network": "Brightness", "checkpoint": None, "count": 30, "seed": 0}


@pytest.mark.parametrize("low", [-1, 0])
def test_a_classifier_from_yaml_sees_the_range_that_it_expects(tiny: AbstractGenerator, low: int) -> None:
    network = {"_target_": f"{__name__}.redness", "_partial_": True}
    cfg = {"_target_": "zstar.annotations.classifier.Classifier", "network": network, "names": ["red"]}
    cfg |= {"input_range": [low, 1], "count": 12}
    check({"annotation": cfg})
    space = W(tiny)
    found = build(cfg).annotate(space)
    red = space.decode(found.latents).clamp(-1, 1)[:, 0].mean(dim=(1, 2))
    torch.testing.assert_close(found.scores[:, 0], red if low else (red + 1) / 2)


def test_a_classifier_with_a_checkpoint(tiny: AbstractGenerator, tmp_path: Path) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))

    trained = make()
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "mine.pt")
    found = Classifier(make(), ["a", "b"], str(tmp_path / "mine.pt"), count=9).annotate(W(tiny))
    images = W(tiny).decode(found.latents).clamp(-1, 1)
    torch.testing.assert_close(found.scores, trained(images).detach())


def test_what_a_classifier_can_not_do_is_said(tiny: AbstractGenerator) -> None:
    space = W(tiny)
    with pytest.raises(ValueError, match=r"annotation\.names: there are 1, and the network makes \(4, 2\) of 4 images"):
        Classifier(Brightness(), ["red"], count=4).annotate(space)
    with pytest.raises(ValueError, match=r"annotation\.network: it does not take images \[b, \(3, 16, 16\)\]"):
        Classifier(nn.Linear(5, 1), ["red"], count=4).annotate(space)
    with pytest.raises(ValueError, match=r"annotation\.names: \['a', 'a'\] names no attributes, or one twice"):
        Classifier(redness, ["a", "a"])
    with pytest.raises(ValueError, match=r"annotation\.checkpoint: x\.pt can't be loaded into a function"):
        Classifier(redness, ["a"], checkpoint="x.pt")
    with pytest.raises(ValueError, match=r"annotation\.input_range: \[1, 0\] is no range; give e\.g\. \[-1, 1\]"):
        Classifier(redness, ["red"], input_range=[1, 0])
    with pytest.raises(ValueError, match=r"annotation\.count: 0 is not possible"):
        Classifier(redness, ["a"], count=0)
    with pytest.raises(ValueError, match=r"attribute: there is no 'blue'; choose from red"):
        Classifier(redness, ["red"], count=4).annotate(space).column("blue")


def test_an_annotator_of_other_images_is_refused() -> None:
    grey = StyleGAN2(16, channels=1, z_dim=8, w_dim=8, num_mapping_layers=1, channel_max=8)
    begin = "^annotation.checkpoint: annotator64 reads colour images whose size is a multiple of 16, and "
    with pytest.raises(ValueError, match=begin + "this generator makes 1×16×16; choose annotation=classifier or"):
        Annotator(count=2).annotate(W(grey, 10))


def test_labels_are_matched_by_name(tiny: AbstractGenerator, tmp_path: Path) -> None:
    run = save(tmp_path / "run", tiny, ids=("faces/003.jpg", "faces/001.jpg", "faces/009.jpg"))
    table = tmp_path / "labels.csv"
    table.write_text("file,smile,age,glasses\n001,1,34.5,true\n002,-1,20,false\n003,-1,,FALSE\n")
    found = Labels(str(table), run).annotate(W(tiny))
    latent = Inversion.load(f"{run}/latents.safetensors").latent
    assert found.names == ("smile", "age", "glasses") and torch.equal(found.latents, latent[:2])
    expected = torch.tensor([[0, torch.nan, 0], [1, 34.5, 1]])
    torch.testing.assert_close(found.scores, expected, equal_nan=True)
    table.write_text("smile;id\n1;faces/009.jpg\n")
    found = Labels(str(table), f"{run}/latents.safetensors").annotate(WPlus(tiny))
    torch.testing.assert_close(found.latents, tiny.lift(latent[2:], "w", "w_plus"))


def test_names_that_could_mean_two_images_match_none() -> None:
    assert match(["a/1.png", "b/1.png", "c/2.png"], ["1.jpg", "2"]) == [None, None, 1]
    assert match(["a/1.png", "b/1.png"], ["b/1", "1"]) == [None, 0]
    assert match(["1.png"], ["1.jpg", "1.png"]) == [1]


def test_the_list_of_celeba_as_published(shared: Path, tmp_path: Path) -> None:
    ids, names, scores = read_labels(shared / "assets" / "celeba-5k" / "list_attr_celeba.txt")
    assert ids[0] == "000001.jpg" and len(ids) >= 5000 and len(names) == 40
    assert set(scores.unique().tolist()) == {0, 1}
    said = dict(zip(names, scores[0].tolist(), strict=True))
    assert said["Smiling"] == 1 and said["Male"] == 0 and said["Eyeglasses"] == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,smile\nz.png,1\n", "no image of .* has a row in .*; the images are called e.g. a.png, the rows z.png"),
        ("id,smile\na.png,often\n", "the column 'smile' of .* holds 'often', which is no number"),
        ("id\na.png\n", "has no rows, or no column beside 'id'"),
        ("id,smile\n", "has no rows"),
        ("", "is no table that can be read"),
        ("2\nsmile male\na.png 1 -1\nb.png 1\n", "the row b.png of .* has 2 cells, not 3"),
    ],
)
def test_bad_tables_get_one_sentence(tiny: AbstractGenerator, tmp_path: Path, text: str, reason: str) -> None:
    run, table = save(tmp_path / "run", tiny), tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=r"^annotation\.path: .*" + reason) as error:
        Labels(str(table), run).annotate(W(tiny))
    assert "\n" not in str(error.value)


def test_bad_inversions_get_one_sentence(tiny: AbstractGenerator, shipped: AbstractGenerator, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("id,smile\na,1\nb,0\n")
    with pytest.raises(ValueError, match=r"annotation\.path: there is no file"):
        Labels(str(tmp_path / "none.csv"), save(tmp_path / "run", tiny))
    with pytest.raises(ValueError, match=r"annotation\.inversion: there is no .*latents.safetensors"):
        Labels(str(table), str(tmp_path))
    plus = Labels(str(table), save(tmp_path / "run", tiny, "w_plus"))
    with pytest.raises(ValueError, match=r"inversion: .* holds latents of w_plus, which can't be brought to w"):
        plus.annotate(W(tiny))
    with pytest.raises(ValueError, match=r"inversion: the latents in .* are \(6, 16\), not \(10, 128\)"):
        plus.annotate(WPlus(shipped))

"""Units switched on and off: what it makes of v, of pictures, and of files."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from zstar.directions.apply import apply, in_order
from zstar.directions.base import Label
from zstar.directions.library import load_directions, save_directions
from zstar.directions.linear import Linear
from zstar.directions.units import UnitFile, Units, load_units
from zstar.dissection.units import UnitSet, on_grid
from zstar.editing.run import run
from zstar.generators.reading import map_shapes, read
from zstar.generators.stylegan2 import StyleGAN2
from zstar.segmenters.annotator import Annotator
from zstar.spaces.w import W

LAYER = "b8.conv0"


def some(tiny: StyleGAN2, layer: str = LAYER, absent: float = 0.0) -> UnitSet:
    shape = map_shapes(tiny, [layer])[layer]
    share = torch.tensor([1.0, 0.5])
    return UnitSet(layer, shape, torch.tensor([2, 0]), share, torch.tensor([3.0, -1.0]), torch.full((2,), absent))


def draw(tiny: StyleGAN2, n: int = 3) -> dict[str, torch.Tensor]:
    return {"latent": tiny.sample(n, torch.Generator().manual_seed(5), space="w")}


@pytest.mark.parametrize("layer", ["b4", "b4.conv1", "b8.conv0", "b8.conv1", "b8"])
def test_every_convolution_has_units(tiny: StyleGAN2, layer: str) -> None:
    v, units = draw(tiny), some(tiny, layer)
    before, plain = read(tiny, v, "w", "const", [layer])
    after, pictures = read(tiny, units.change(v, torch.tensor([1.0, -1.0, 0.0])), "w", "const", [layer])
    assert torch.equal(pictures[2], plain[2]) and torch.equal(after[layer][2], before[layer][2])
    torch.testing.assert_close(after[layer][0, 2], torch.full_like(after[layer][0, 2], 3.0))
    torch.testing.assert_close(after[layer][0, 0], 0.5 * before[layer][0, 0] - 0.5)
    torch.testing.assert_close(after[layer][1, 2], torch.zeros_like(after[layer][1, 2]), atol=1e-6, rtol=0)
    assert torch.equal(after[layer][:, 3], before[layer][:, 3])  # the others
    assert (pictures[:2] - plain[:2]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_they_are_switched_within_the_mask(tiny: StyleGAN2) -> None:
    v, units = draw(tiny), some(tiny)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :8, :10] = 1.0  # of cells of 4 pixels the first two, and half of the third
    before, _ = read(tiny, v, "w", "const", [LAYER])
    after, _ = read(tiny, units.change(v, torch.ones(3), mask), "w", "const", [LAYER])
    expected = before[LAYER].clone()
    expected[:, 2, :2, :2] = 3.0
    expected[:, 2, :2, 2] = 0.5 * before[LAYER][:, 2, :2, 2] + 1.5
    torch.testing.assert_close(after[LAYER][:, 2], expected[:, 2])
    torch.testing.assert_close(on_grid(mask, (8, 8)).sum(), torch.tensor(5.0))


def test_what_an_image_has_changed_itself_stays(tiny: StyleGAN2) -> None:
    v, units = draw(tiny), some(tiny)
    own = {f"features/{LAYER}": torch.randn(3, *units.shape, generator=torch.Generator().manual_seed(1))}
    own |= {f"factors/{LAYER}": 0.1 * torch.randn(3, *units.shape, generator=torch.Generator().manual_seed(2))}
    own |= {"weights/synthesis.b4.const": 0.1 * torch.ones(3, *tiny.synthesis.b4.const.shape)}
    before, _ = read(tiny, v | own, "w", "const", [LAYER])
    after, _ = read(tiny, units.change(v | own, torch.ones(3)), "w", "const", [LAYER])
    torch.testing.assert_close(after[LAYER][:, 0], 0.5 * before[LAYER][:, 0] - 0.5)
    torch.testing.assert_close(after[LAYER][:, 2], torch.full_like(after[LAYER][:, 2], 3.0))
    torch.testing.assert_close(after[LAYER][:, 3], before[LAYER][:, 3])


def test_a_batch_is_its_single_images(tiny: StyleGAN2) -> None:
    v, units, strength = draw(tiny), some(tiny), torch.tensor([0.3, -0.7, 0.0])
    together = units.change(v, strength)
    for i in range(3):
        alone = units.change({"latent": v["latent"][i : i + 1]}, strength[i : i + 1])
        for name, value in alone.items():
            torch.testing.assert_close(together[name][i], value[0])


def test_files_hold_them_with_latent_directions(tiny: StyleGAN2, tmp_path: Path) -> None:
    label = Label(meaning="doors", unit="", low=-1, high=1, found={"class": "door"})
    mask = torch.zeros(1, 16, 16)
    mask[:, :8] = 1
    own = {"door": Units(some(tiny), mask, label), "up": Linear("w", torch.ones(tiny.shape("w")))}
    save_directions(path := tmp_path / "units.safetensors", own, tiny)
    found, v, alpha = load_directions(path, tiny), draw(tiny), torch.tensor([1.0, -0.5, 0.0])
    for name, direction in own.items():
        wanted, got = (apply(tiny, v, "w", [(one, alpha)])[0] for one in (direction, found[name]))
        assert wanted.keys() == got.keys() and all(torch.equal(wanted[key], got[key]) for key in wanted)
    assert found["door"].label.found == {"class": "door"}
    assert list(UnitFile(str(path)).find(W(tiny, 16))) == ["door"]
    with pytest.raises(ValueError, match="^direction.units.mask: nowhere.png can't be used, .*; give a picture$"):
        UnitFile(str(path), mask="nowhere.png").find(W(tiny, 200))
    with pytest.raises(ValueError, match=re.escape("direction.units.names: there is no 'tree' in ")):
        UnitFile(str(path), names=["tree"]).find(W(tiny, 16))
    steps = in_order(tiny, [(found["door"], alpha), (found["up"], alpha)])
    assert [direction.space for direction, _ in steps] == ["w", None]


def test_units_of_another_map_are_refused(tiny: StyleGAN2, tmp_path: Path) -> None:
    units = some(tiny)
    wrong = UnitSet(LAYER, (units.shape[0], 16, 16), units.units, units.share, units.present, units.absent)
    save_directions(path := tmp_path / "units.safetensors", {"door": Units(wrong)}, tiny)
    with pytest.raises(ValueError, match=re.escape(f"its units are of a map ({units.shape[0]}, 16, 16), and that")):
        load_directions(path, tiny)


@pytest.mark.parametrize("name", ["tree", "window", "sun"])
def test_the_shipped_units_remove_what_they_are_said_to(name: str) -> None:
    generator, judge = StyleGAN2(checkpoint="cottages64"), Annotator("judge64")
    direction = load_units("units64", generator)[name]
    v = {"latent": generator.sample(8, torch.Generator().manual_seed(3), space="w")}
    off, _ = direction.carry(generator, v, "w", -torch.ones(8))
    with torch.no_grad():
        before, after = (int((judge(generator.render(one, "w")) == judge.column(name, "")).sum()) for one in (v, off))
    assert before > 100 and after < 0.3 * before
    assert direction.label.scores["kept_share"] < 0.2 and direction.label.found["class"] == name


def test_what_units_leave_alone_is_measured_at_a_share_of_the_class(
    composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    words = ["data=samples", "data.count=4", "projector=[encoder]", "direction=[units]", "direction.units.names=[tree]"]
    words += ["editability=[leakage,locality]", "logger=none", "metric=[]", "frames=2", "strengths=3", "space=w_plus"]
    scores = run(composed("edit", *words, f"output={tmp_path}/edit", f"projections={tmp_path}/invert"))["scores"][
        "tree"
    ]
    assert scores["leakage/reached"]["mean"] > 0
    assert 0 < scores["leakage/mean"]["mean"] < 0.5 and 0 < scores["locality/outside"]["mean"] < 1

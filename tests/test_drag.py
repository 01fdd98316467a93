"""Handles that are dragged: the pull, the tracking, the way to their targets, and what is said of them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from killed import kill
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor, nn

from zstar.annotators.load import load_annotator
from zstar.config.reasons import Unfit
from zstar.data.decoding import BadImage
from zstar.data.folder import Folder
from zstar.data.handles import MOST_HANDLES, Handle, place_handles
from zstar.data.layers import drawn, read_layers
from zstar.data.strokes import Stroked
from zstar.generators.module import Module
from zstar.generators.pixels import Pixels
from zstar.generators.stylegan2 import StyleGAN2
from zstar.inversion import Inversion
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.handles import Handles
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.optimizers.lbfgs import LBFGS
from zstar.projection.dragged import with_handles
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.drag import Drag
from zstar.projectors.dragging import Pull
from zstar.projectors.mean import Mean
from zstar.regularizers.origin_norm import OriginNorm
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z

SIDE = 32
UPPER, LOWER = (16.0, 8.0), (16.0, 24.0)  # where the blobs are at z = 0


class Blobs(nn.Module):
    """z [b, 3] → maps [b, 6, 16, 16] → pictures of 32 pixels with two blobs: the first number moves both to the right,
    the second the upper one, the third the upper one down; four pixels each."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.gain = nn.Identity(), nn.Parameter(torch.ones(6))

    def forward(self, z: Tensor) -> Tensor:
        axis = torch.arange(1.0, SIDE, 2)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        channels = []
        for (left, top), right, down in ((UPPER, z[:, 0] + z[:, 1], z[:, 2]), (LOWER, z[:, 0], 0 * z[:, 0])):
            dx, dy = (
                (x - left - 4 * right[:, None, None]) / 4,
                (y - top - 4 * down[:, None, None]) / 4,
            )
            blob = torch.exp(-(dx.square() + dy.square()) / 2)
            channels += [blob, blob * dx, blob * dy]
        maps = self.maps(torch.stack(channels, dim=1) * self.gain[:, None, None])
        return nn.functional.interpolate(maps[:, [0, 3, 1]], scale_factor=2.0, mode="bilinear").clamp(-1, 1)


def points(*handles: tuple[tuple[float, float], tuple[float, float]]) -> Tensor:
    placed = torch.full((MOST_HANDLES, 2, 2), torch.nan)
    for row, ends in enumerate(handles):
        placed[row] = torch.tensor(ends)
    return placed


def dragged(
    each: Sequence[Tensor], movable: Tensor | None = None, lr: float = 0.05, weights: bool = False, **settings: Any
) -> tuple[Problem, Targets, Inversion]:
    """What dragging the blobs at z = 0 comes to, for the points of each image."""
    problem = blobs(lr)
    targets = blob_targets(each, movable)
    start = Mean(problem)(Objective(problem, targets))
    start.v["latent"] = torch.zeros(len(each), 3)
    if weights:
        start.v["weights/network.gain"] = torch.linspace(0, 0.5, len(each))[:, None].expand(-1, 6).clone()
    return problem, targets, Drag(problem, **{"steps": 80, **settings})(Objective(problem, targets), start)


def blobs(lr: float = 0.05, **more: Any) -> Problem:
    space = Z(Module(Blobs(), [3], layers=["maps"]))
    return Problem(space, {"color_strokes": Pixel(target="image", mask="color_mask")}, {}, Adam(lr=lr), **more)


def blob_targets(each: Sequence[Tensor], movable: Tensor | None = None) -> Targets:
    one = torch.ones(len(each), 1, SIDE, SIDE)
    named = {"image": torch.zeros(len(each), 3, SIDE, SIDE), "color_mask": 0 * one}
    named |= {"points": torch.stack(list(each)), "movable_mask": one if movable is None else movable}
    return Targets(named, [f"image-{row}" for row in range(len(each))])


def way(inversion: Inversion) -> Tensor:
    """How far the upper blob has come, in pixels, by its latent."""
    z = inversion.latent
    return 4 * torch.stack([z[:, 0] + z[:, 1], z[:, 2]], dim=1)


# The pull and the tracking


def test_a_handle_arrives_and_what_it_was_put_on_is_there() -> None:
    _, _, found = dragged([points((UPPER, (22.0, 5.0))), points((UPPER, (9.0, 8.0)))])
    want = torch.tensor([[6.0, -3.0], [-7.0, 0.0]])
    assert (found.v["handles/at"] - found.v["handles/to"])[:, 0].norm(dim=1).max() <= 1
    assert (way(found) - want).norm(dim=1).max() < 1.5
    assert Handles()(blobs().generator, found.v, "z", "const").tolist() == pytest.approx(
        (found.v["handles/at"] - found.v["handles/to"])[:, 0].norm(dim=1).tolist()
    )
    made = (~found.history["total"].isnan()).sum(dim=1)
    assert (made < 60).all() and found.status == ["stopped"] * 2, "each ends when it has arrived"
    assert (found.evaluations > 10).all() and set(found.v) >= {"origin", "handles/from"}
    assert not any(name in found.v for name in ("handles/before", "handles/content", "handles/tracked"))


def test_the_loop_goes_on_to_its_last_step_where_targets_are_out_of_reach() -> None:
    _, _, found = dragged([points((UPPER, (30.0, 8.0)))], steps=5)
    left = (found.v["handles/at"] - found.v["handles/to"])[0, 0].norm().item()
    assert found.status == ["done"] and 1 < left <= 14
    assert found.evaluations.tolist() == [Drag(blobs(), steps=5).cost + 1]  # and that of the mean


def test_handles_follow_what_they_were_on_as_far_as_they_are_looked_for() -> None:
    generator = Module(Blobs(), [3], layers=["maps"])
    z = torch.tensor([[0.0, 0, 0], [0.5, 0.25, -0.5], [2.0, 0, 0]])  # by (0, 0), (3, −2) and (8, 0) pixels
    with generator.reading("maps") as seen:
        generator.synthesize(z, "z")
    pull = Pull(Z(generator), seen, "maps", radius=1, reach=4, hold=0)
    at = torch.tensor([UPPER]).expand(3, 1, 2)
    content = nn.functional.grid_sample(seen["maps"][:1], at[:1, :, None] / 16 - 1, align_corners=False)
    found = pull.track(seen["maps"], at, content[..., 0].expand(3, -1, -1), SIDE)
    assert (found - at)[:2, 0].tolist() == [[0, 0], [3, -2]]
    assert (found - at)[2, 0].abs().max() <= 4, "no farther than the reach"
    flat = pull.track(torch.zeros(3, 6, 16, 16), at, torch.zeros(3, 6, 1), SIDE)
    assert flat.equal(at), "where all is alike a handle stays"
    corner = torch.zeros(3, 1, 2)
    assert pull.track(seen["maps"], corner, torch.full((3, 6, 1), 9.0), SIDE).min() >= 0


def test_what_may_not_move_stays() -> None:
    upper = torch.zeros(1, 1, SIDE, SIDE)
    upper[..., :16, :] = 1
    handle = [points((UPPER, (22.0, 8.0)))]
    free, held = (dragged(handle, mask)[2] for mask in (None, upper))
    assert free.latent[0, 0] > 0.4, "both blobs move"
    assert held.latent[0, 0].abs() < 0.1 and (way(held)[0, 0] - 6).abs() < 1.5
    ignored = dragged(handle, upper, mask=None)[2]
    assert ignored.latent.equal(free.latent)


def test_a_point_that_is_to_stay_holds_what_is_there() -> None:
    handles = points((UPPER, (22.0, 8.0)), (LOWER, LOWER))
    _, _, found = dragged([handles])
    assert 4 * found.latent[0, 0].abs() < 1.5 and (way(found)[0, 0] - 6).abs() < 1.5


@pytest.mark.parametrize("weights", [False, True], ids=["", "weights"])
def test_a_batch_is_its_images(weights: bool) -> None:
    """Of one handle, of two with something that may not move, and of none; some end before others."""
    each = [points((UPPER, (20.0, 8.0))), points((UPPER, (12.0, 5.0)), (LOWER, (14.0, 24.0))), points()]
    movable = torch.ones(3, 1, SIDE, SIDE)
    movable[1, :, 20:] = 0.3
    problem, targets, whole = dragged(each, movable, 0.1, weights, steps=14)
    for row in range(3):
        one = Targets({n: value[row : row + 1] for n, value in targets.named.items()}, [targets.ids[row]])
        v = {"latent": torch.zeros(1, 3)}
        if weights:
            v["weights/network.gain"] = whole.v["weights/network.gain"][row : row + 1]
        objective = Objective(problem, one)
        start = Mean(problem).candidate(objective, v, 0, 0.0)
        alone = Drag(problem, steps=14)(objective, start)
        torch.testing.assert_close(alone.latent, whole.latent[row : row + 1], rtol=1e-4, atol=1e-5)
        for name in ("handles/from", "handles/to", "handles/at"):
            torch.testing.assert_close(alone.v[name], whole.v[name][row : row + 1], equal_nan=True)
    assert whole.v["handles/at"][2].isnan().all() and not whole.latent[2].any(), "nothing pulls at it"
    assert whole.evaluations[0] < whole.evaluations[2]


def test_slices_of_a_batch_are_the_batch() -> None:
    each = [points((UPPER, (20.0, 8.0))), points((UPPER, (12.0, 5.0)))]
    whole = dragged(each, steps=8)[2]
    problem = blobs()
    problem.slices.size = 1
    objective = Objective(problem, blob_targets(each))
    start = Mean(problem).candidate(objective, {"latent": torch.zeros(2, 3)}, 0, 0.0)
    found = Drag(problem, steps=8)(objective, start)
    torch.testing.assert_close(found.latent, whole.latent, rtol=1e-4, atol=1e-5)
    assert found.v["handles/at"][:, 0].equal(whole.v["handles/at"][:, 0])


def test_the_nearest_is_returned_and_says_where_its_handles_are() -> None:
    """Steps so large that the blob is lost on its way."""
    _, _, found = dragged([points((UPPER, (26.0, 8.0)))], lr=1.2, steps=12)
    _, _, last = dragged([points((UPPER, (26.0, 8.0)))], lr=1.2, steps=12, keep_best=False)
    ends = [(one.v["handles/at"] - one.v["handles/to"])[0, 0].norm().item() for one in (found, last)]
    assert ends[0] <= min(ends[1], 10)


def test_losses_and_regularizers_of_the_run_go_along_and_rows_may_stay(tiny: StyleGAN2) -> None:
    space = WPlus(tiny, prior_samples=100)
    named = {"image": torch.zeros(1, 3, 16, 16), "points": points(((8.0, 8.0), (14.0, 8.0)))[None]}
    named["movable_mask"] = torch.ones(1, 1, 16, 16)
    ends = []
    for weight in (0.0, 100.0):
        terms = {"origin_norm": OriginNorm(space, weight)}
        problem = Problem(space, {"pixel": Pixel(weight=0.0)}, terms, Adam(lr=0.05))
        chain = [Mean(problem), Drag(problem, steps=8, rows=3, keep_best=False)]
        found = project(problem, chain, Targets(named, ["a"]))
        assert set(found.history) == {"total", "drag", "pixel", "origin_norm"}
        moved = (found.latent - found.v["origin"]).abs().amax(dim=2)[0]
        assert not moved[3:].any()
        ends.append((found.latent - found.v["origin"]).square().mean().item())
    assert ends[0] > 2 * ends[1]


def test_a_door_drags_its_house_along() -> None:
    """On the generator that ships, as the annotator that ships reads the pictures."""
    generator, (network, vocabulary) = StyleGAN2(checkpoint="cottages64"), load_annotator("annotator64")
    space = WPlus(generator, prior_samples=200)
    latent = generator.sample(6, torch.Generator().manual_seed(3), space="w_plus")[1:2].contiguous()
    place = [factor.name for factor in vocabulary.factors].index("house_x")

    def read(image: Tensor) -> tuple[float, float]:
        """Where the house and the door are, in pixels."""
        with torch.no_grad():
            annotation = network(image.clamp(-1, 1))
        door = (annotation.logits.argmax(dim=1)[0] == vocabulary.classes.index("door")).nonzero()[:, 1].float().mean()
        return 64 * vocabulary.read(annotation.factors)[0, place].item(), door.item() + 0.5

    before = generator.synthesize(latent, "w_plus")
    handle = points(((read(before)[1], 48.0), (read(before)[1] - 8, 48.0)))
    mask = torch.ones(1, 1, 64, 64)
    targets = Targets({"image": before, "mask": 0 * mask, "points": handle[None], "movable_mask": mask}, ["a"])
    problem = Problem(space, {"pixel": Pixel()}, {}, Adam(lr=0.02))
    objective = Objective(problem, targets)
    start = Mean(problem).candidate(objective, {"latent": latent}, 0, 0.0)
    after = Drag(problem, steps=30)(objective, start)
    (house, door), (house1, door1) = read(before), read(after.image)
    assert after.status == ["stopped"] and door1 - door == pytest.approx(-8, abs=2) and house1 - house < -1.5


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        ({"layer": "b32"}, ValueError, "projector.drag.layer: G has no layer 'b32'; "),
        ({"rows": 2}, Unfit, "projector.drag.rows: latents of z have no rows; choose space=w_plus, or null"),
        ({"reach": 0}, ValueError, "projector.drag.reach: 0 is not possible"),
        ({"hold": -1.0}, ValueError, "projector.drag.hold: -1.0 is not possible"),
        ({"target": "dots"}, ValueError, "projector.drag.target: the data have no 'dots'; choose one of image, points"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, Any], kind: type, sentence: str) -> None:
    with pytest.raises(kind, match=f"^{sentence}") as error:
        Drag(blobs(), **change).require_targets({"image", "points"}, {"movable_mask"})
    assert "\n" not in str(error.value)


def test_generators_and_optimizers_that_do_not_fit_are_refused() -> None:
    problem = Problem(PixelSpace(Pixels(16)), {"pixel": Pixel()}, {}, Adam())
    with pytest.raises(Unfit, match=r"^projector.drag: Pixels offers no feature layers; name some in generator.layers"):
        Drag(problem)
    slow = Problem(blobs().space, {"pixel": Pixel()}, {}, LBFGS())
    with pytest.raises(Unfit, match=r"^projector.drag: LBFGS compares values of different steps, .*; choose adam$"):
        Drag(slow)
    with pytest.raises(ValueError, match=r"^projector.drag.target: the data have no 'points'; give data.strokes=<file"):
        Drag(blobs()).require_targets({"image"}, set())


# Points of strokes


def put(folder: Path, *entries: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"kind": "layers", "version": 1, "layers": list(entries)}
    (folder / "strokes.json").write_text(json.dumps(content))
    return folder / "strokes.json"


def point(start: Any = (8, 10), end: Any = (20, 10), size: Any = (32, 32)) -> dict[str, Any]:
    return {"kind": "point", "size": size, "from": start, "to": end}


@pytest.mark.parametrize(
    ("fit", "start"), [("crop", (8.0, 16.0)), ("pad", (12.0, 16.0)), ("resize", (12.0, 16.0))], ids=lambda x: str(x)
)
def test_points_become_square_as_their_image_does(fit: Any, start: tuple[float, float]) -> None:
    """Of a picture twice as wide as high."""
    placed = place_handles([Handle("layers[0]", (64, 32), (24, 16), (32, 16))], SIDE, fit)
    assert placed[0, 0].tolist() == list(start) and placed[0, 1].tolist() == [16, 16] and placed[1:].isnan().all()


def test_points_and_what_may_move_are_targets(tmp_path: Path) -> None:
    image = torch.rand(3, SIDE, SIDE) * 2 - 1
    made = drawn(read_layers(put(tmp_path, point(), point((1, 2), (1, 2)))), image, "crop")
    assert made["points"][:2].tolist() == [[[8, 10], [20, 10]], [[1, 2], [1, 2]]] and made["points"][2:].isnan().all()
    assert made["movable_mask"].min() == 1 and not made["color_mask"].any(), "all may move if nothing is said"
    layer = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    layer.paste((0, 0, 0, 255), (4, 4, 20, 12))
    layer.save(tmp_path / "m.png")
    entries = read_layers(put(tmp_path, point(), {"kind": "movable", "file": "m.png"}))
    mask = drawn(entries, image, "crop")["movable_mask"]
    assert mask.sum() == 16 * 8 and mask[0, 4:12, 4:20].min() == 1


def test_points_that_can_not_be_used_are_said_by_image(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    many = [point()] * (MOST_HANDLES + 1)
    bad = {
        "a": (point((8, 40)), "layers[0].from is '[8, 40]' and outside of the picture of 32 × 32 pixels"),
        "b": (
            {"kind": "point", "from": [1, 1], "to": [2, 2]},
            "layers[0]: a point has from, kind, size, to, and 'size'",
        ),
        "c": (point(end=[1]), "layers[0].to is '[1]'; give two numbers of pixels, from the left and from the top"),
        "d": (point(size=[0, 5]), "layers[0].size is '[0, 5]'; give the width and height of the picture in pixels"),
        "e": (point(size=[64, 32]), "layers[0] has 32 × 64 pixels and the image 32 × 32; give it the image's ratio"),
        "f": (many, f"there are {MOST_HANDLES + 1} points; keep at most {MOST_HANDLES} of them"),
        "g": (point(start=[True, 1]), "layers[0].from is '[True, 1]'; give two numbers of pixels, from the left"),
    }
    for name, (entries, _) in bad.items():
        Image.new("RGB", (SIDE, SIDE), "white").save(tmp_path / "photos" / f"{name}.png")
        put(tmp_path / "strokes" / name, *(entries if isinstance(entries, list) else [entries]))
    batch = Stroked(Folder(str(tmp_path / "photos"), resolution=SIDE), str(tmp_path / "strokes")).read(range(len(bad)))
    assert not batch.ids and set(batch.failed) == {f"{name}.png" for name in bad}
    for name, (_, sentence) in bad.items():
        assert batch.failed[f"{name}.png"].startswith(f"data.strokes: {sentence}")
    with pytest.raises(BadImage, match=r"^layers\[0\] is outside of the part of the picture that is used"):
        place_handles([Handle("layers[0]", (64, 32), (2, 2), (32, 16))], SIDE, "crop")


def test_handles_are_seen_in_their_picture() -> None:
    image = torch.zeros(3, SIDE, SIDE)
    shown = with_handles(image, torch.tensor([[8.0, 8.0], [torch.nan] * 2]), torch.tensor([[24.0, 8.0], [1.0, 1.0]]))
    assert shown.shape == (3, 3 * SIDE, 3 * SIDE)
    red, blue = ((shown[a] - shown[b] > 0.8).nonzero()[:, 1].float().mean().item() for a, b in ((0, 2), (2, 0)))
    assert red == pytest.approx(24, abs=2) and blue == pytest.approx(72, abs=2)
    assert with_handles(image[:1], torch.zeros(0, 2), torch.zeros(0, 2)).shape == (1, 3 * SIDE, 3 * SIDE)


# Whole runs


@pytest.mark.slow
def test_points_on_a_finished_run(weights: str, composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for place in range(2):
        pixels = np.random.default_rng(place).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"p{place}.png")
    put(tmp_path / "strokes", point())
    words = [
        weights, "generator=stylegan2", "space.prior_samples=50", "data=folder", f"data.path={folder}",
        "logger=none", f"output={tmp_path}/out",
    ]  # fmt: skip
    base = run(composed("invert", *words, "space=w", "projector=[mean]", "loss=[pixel]", "metric=[mse]"))
    more = [*words, "experiment=drag", "steps=3", f"data.strokes={tmp_path}/strokes", "batch_size=1"]
    more += [f"inversion={base['folder']}", "metric=[handles,mse]"]

    kill(composed("invert", *more))
    found = run(composed("invert", *more))
    whole = run(composed("invert", *more, f"output={tmp_path}/whole"))
    ends = [Inversion.load(Path(one["folder"]) / "latents.safetensors") for one in (found, whole)]
    assert found["projectors"] == ["saved", "drag"] and not found["stochastic"] and not found["failed"]
    assert ends[0].latent.equal(ends[1].latent) and ends[0].v["handles/at"][:, 0].equal(ends[1].v["handles/at"][:, 0])
    left = (ends[0].v["handles/at"] - ends[0].v["handles/to"])[:, 0].norm(dim=1).mean().item()
    assert found["summary"]["handles"]["mean"] == pytest.approx(left, rel=1e-4)
    for kind, suffix in (("strokes", ".png"), ("dragged", ".png"), ("morphs", ".gif")):
        assert (Path(found["folder"]) / kind / f"p1.png{suffix}").is_file()
    page = (Path(found["folder"]) / "report.html").read_text()
    assert page.count(": handles before and after") == 2 and "Strokes and what they led to" in page
    again = run(composed("invert", *more, "metric=[handles,psnr]"))  # of the latents that there are
    assert (Path(again["folder"]) / "dragged" / "p0.png.png").is_file()
    assert again["summary"]["handles"]["mean"] == pytest.approx(left, rel=1e-4)

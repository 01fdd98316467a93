"""Moves of a finer kind: some rows only, strengths as they are achieved, known latents, and mixed styles."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bent import bent
from omegaconf import DictConfig
from PIL import Image

from zstar.checkpoints.io import load_weights, read_card
from zstar.data.samples import Samples
from zstar.directions.achieved import reach, requested, rising
from zstar.directions.apply import apply, choose_strengths
from zstar.directions.base import AbstractDirection, Label
from zstar.directions.library import load_directions, save_directions
from zstar.directions.linear import Linear
from zstar.directions.published import Published
from zstar.directions.rows import keep_to_rows
from zstar.editing.run import run
from zstar.generators.stylegan2 import StyleGAN2
from zstar.spaces.w import W
from zstar.spaces.z import Z

ROWS = [{"alpha": a, "achieved": b} for a, b in ((-2, -0.3), (-1, -0.4), (-0.5, -0.1), (0, 0.01), (1, 0.5), (2, 0.6))]
CURVED = Label("longer", "octaves", -1.0, 1.0, curve=ROWS)


def straight(tiny: StyleGAN2, space: str) -> Linear:
    return Linear(space, torch.randn(tiny.shape(space)), CURVED)


@pytest.mark.parametrize("space", ["w", "w_plus"])
@pytest.mark.parametrize("kind", [straight, bent])
def test_in_some_rows_the_whole_direction_moves_and_in_the_others_nothing(
    kind: Callable[..., AbstractDirection], space: str, tiny: StyleGAN2, tmp_path: Path
) -> None:
    whole = {"long": kind(tiny, space), "other": straight(tiny, "w")}
    part = keep_to_rows(whole, {"long": [2, 4]}, tiny)
    assert part["other"] is whole["other"]
    latent, alpha = tiny.sample(3, torch.Generator().manual_seed(1), space="w_plus"), torch.tensor([0.7, 0.0, -1.2])
    v, place = apply(tiny, {"latent": latent}, "w_plus", [(part["long"], alpha)])
    moved = v["latent"]
    everywhere = apply(tiny, {"latent": latent}, "w_plus", [(whole["long"], alpha)])[0]["latent"]
    assert place == "w_plus" and not torch.equal(moved, everywhere)
    assert torch.equal(moved[:, 2:4], everywhere[:, 2:4]) and torch.equal(moved[1], latent[1])
    assert torch.equal(moved[:, :2], latent[:, :2]) and torch.equal(moved[:, 4:], latent[:, 4:])
    save_directions(tmp_path / "part.safetensors", part, tiny)
    read = load_directions(tmp_path / "part.safetensors", tiny)["long"]
    assert torch.equal(read.move(latent, alpha), moved) and read.label.found["rows"] == [2, 4]
    assert not read.label.curve and whole["other"].label.curve  # of the whole, not of a part


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 7], r"rows: \[0, 7\] is no range of rows of w_plus.*\[0,6\]"),
        ([3, 3], "is no range"),
        ([1], "is no range"),
        ({"shrot": [0, 1]}, r"rows\.shrot: there is no such direction; these are: long, deep"),
        ({"long": 3}, r"rows\.long: 3 is no list of two numbers"),
        ([0, 1], "rows: deep moves z, which has no rows"),
    ],
)
def test_wrong_rows_are_one_sentence(rows: Any, message: str, tiny: StyleGAN2) -> None:
    with pytest.raises(ValueError, match=message):
        keep_to_rows({"long": straight(tiny, "w"), "deep": straight(tiny, "z")}, rows, tiny)


def test_a_published_vector_of_equal_rows_is_one_of_w(tiny: StyleGAN2, tmp_path: Path) -> None:
    vector = torch.randn(1, 1, 16)
    np.save(tmp_path / "equal.npy", vector.expand(1, 18, 16).numpy())  # of a generator of 1024 pixels
    np.save(tmp_path / "other.npy", torch.randn(1, 18, 16).numpy())
    for space in (W(tiny, prior_samples=10), Z(tiny, prior_samples=10)):
        found = Published(str(tmp_path / "equal.npy")).find(space)["equal"]
        assert found.space == "w" and torch.equal(found.vector, vector.flatten())
    rows = Published(str(tmp_path / "equal.npy"), space="w_plus").find(W(tiny, prior_samples=10))["equal"]
    assert rows.space == "w_plus" and torch.equal(rows.vector, vector[0].expand(6, 16))
    with pytest.raises(ValueError, match=r"the vectors in .* are \(18, 16\), and latents of w_plus are \(6, 16\)"):
        Published(str(tmp_path / "other.npy")).find(W(tiny, prior_samples=10))


def test_a_curve_is_read_backwards_as_far_as_it_rises() -> None:
    assert rising(CURVED) == [(-1, -0.4), (-0.5, -0.1), (0, 0), (1, 0.5)]  # 0 moves nothing, whatever was read there
    assert reach(CURVED) == (-0.4, 0.5) and reach(CURVED, beyond=True) == (-0.4, 0.6)  # at −2 it comes back
    assert requested(CURVED, [-0.4, -0.25, -0.1, 0.0, 0.25, 0.5]) == pytest.approx([-1, -0.75, -0.5, 0, 0.5, 1])
    assert requested(CURVED, [0.55], beyond=True) == pytest.approx([1.5])
    assert reach(Label()) is None and reach(Label(curve=[{"alpha": 1, "achieved": -0.2}])) is None


def test_strengths_are_asked_for_as_they_are_achieved(tiny: StyleGAN2) -> None:
    directions = {"long": straight(tiny, "w")}
    assert choose_strengths(directions, 3, False, True)["long"] == pytest.approx([-1, 0, 1], abs=1e-6)
    assert choose_strengths(directions, [0.25], False, True)["long"] == pytest.approx([0.5])
    assert choose_strengths(directions, [0.25], False)["long"] == [0.25]
    with pytest.raises(ValueError, match=r"0\.55 octaves can't be reached along long, which achieves -0\.4 to 0\.5;"):
        choose_strengths(directions, [0.55], False, True)
    with pytest.raises(ValueError, match=r"0\.7 octaves can't be reached along long, which achieves -0\.4 to 0\.6"):
        choose_strengths(directions, [0.7], True, True)
    with pytest.raises(ValueError, match="achieved: there is no curve of what flat achieves"):
        choose_strengths({"flat": Linear("w", torch.randn(16))}, 3, False, True)


def test_a_curve_of_a_stranger_is_looked_at(tiny: StyleGAN2, tmp_path: Path) -> None:
    for row in ({"alpha": 1.0}, {"alpha": 1.0, "achieved": math.inf}):
        label = Label(curve=[row])
        save_directions(tmp_path / "a.safetensors", {"long": Linear("w", torch.randn(16), label)}, tiny)
        with pytest.raises(ValueError, match=r"a\.json cannot be used: .*curve"):
            load_directions(tmp_path / "a.safetensors", tiny)


@pytest.fixture
def cfg(
    composed: Callable[..., DictConfig], tmp_path: Path, tiny: StyleGAN2, store_generator: Callable[..., None]
) -> Callable[..., DictConfig]:
    """``cfg("mixing=[0,2]", …)``: an edit of three samples of the small generator."""
    store_generator(tmp_path / "tiny.safetensors", tiny)
    save_directions(tmp_path / "found.safetensors", {"long": Linear("w", torch.ones(16), CURVED)}, tiny)
    words = [
        "generator=stylegan2", f"generator.checkpoint={tmp_path / 'tiny.safetensors'}", "data=samples", "data.count=3",
        "logger=none", "space@search=w", "search.prior_samples=50", "editability=[]", "frames=2", "video=false",
        "strengths=3",
        "direction=[file]", f"direction.file.path={tmp_path / 'found.safetensors'}", f"output={tmp_path / 'edit'}",
        f"projections={tmp_path / 'invert'}",
    ]  # fmt: skip
    return lambda *more: composed("edit", *words, *more)


def test_samples_are_edited_as_they_were_drawn(cfg: Callable[..., DictConfig], tmp_path: Path, tiny: StyleGAN2) -> None:
    result = run(cfg())
    folder = Path(result["folder"])
    assert not (tmp_path / "invert").exists() and result["space"] == "z"
    drawn = Samples(tiny, 3).read(range(3))
    assert result["images"] == drawn.ids
    assert "of which -0.4 to 0.5 are achieved on held-out images" in (folder / "report.html").read_text(
        encoding="utf-8"
    )
    edited = load_weights(folder / "edited" / "long.safetensors")["latent"]
    start = tiny.lift(drawn.extras["latent"], "z", "w")
    torch.testing.assert_close(edited[:, 1], start)
    torch.testing.assert_close(edited[:, 2], start + 1.0)
    again = run(cfg(f"inversion={folder}", "name=again"))  # its latents are a projection like any other
    one, other = (load_weights(Path(r["folder"]) / "edited" / "long.safetensors") for r in (result, again))
    assert torch.equal(one["latent"], other["latent"])
    assert run(cfg("data.seed=1"))["folder"] != result["folder"]


def test_a_table_of_mixed_styles_takes_its_rows_from_above(cfg: Callable[..., DictConfig], tiny: StyleGAN2) -> None:
    result = run(cfg("only=[]", "mixing=[0,2]"))
    folder = Path(result["folder"]) / "mixing"
    w = tiny.lift(Samples(tiny, 3).read(range(3)).extras["latent"], "z", "w_plus")
    mixed, card = load_weights(folder / "rows_0-1.safetensors")["latent"], read_card(folder / "rows_0-1.safetensors")
    for kept in range(3):
        for given in range(3):
            assert torch.equal(mixed[kept, given, :2], w[given, :2]) and torch.equal(
                mixed[kept, given, 2:], w[kept, 2:]
            )
    assert card["rows"] == [0, 2] and card["space"] == "w_plus" and result["mixing"] == "rows_0-1"
    with Image.open(folder / "rows_0-1.png") as picture:
        table = np.asarray(picture)

    def cell(row: int, column: int) -> np.ndarray:
        return table[19 + row * 71 :, column * 52 :][:48, :48]  # a title, and below each picture a label of 19 pixels

    assert np.array_equal(cell(1, 1), cell(0, 1))  # who takes from himself stays who he is
    assert not np.array_equal(cell(1, 2), cell(0, 2))
    assert "Style mixing" in (folder.parent / "report.html").read_text()
    assert run(cfg("only=[]", "mixing=[0,3]"))["folder"] != result["folder"]
    with pytest.raises(ValueError, match=r"mixing: \[0, 9\] is no range of rows"):
        run(cfg("only=[]", "mixing=[0,9]"))

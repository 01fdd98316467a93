"""What depends on what, where things can be put, and which units make artefacts, in a world where that is known."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from toy import BALL, BALLS, FRAIL, GROUND, LAYER, SIZE, SKY, WEAK, Colours, Painter, subject

from zstar.data.base import AbstractData, Batch
from zstar.dissecting.legends import legend
from zstar.dissection.artefacts import FOUND, Artefacts
from zstar.dissection.base import AbstractAnalysis, Findings, Parts, Subject
from zstar.dissection.causality import Causality
from zstar.dissection.kinds import ALL, kinds_of
from zstar.dissection.placing import Placing, place, spread
from zstar.dissection.relations import Relations
from zstar.dissection.scenes import aligned, draw_scenes
from zstar.dissection.units import UnitSet
from zstar.dissection.unreal import most_unreal, read_boxes


def some(*units: int) -> UnitSet:
    k = len(units)
    return UnitSet(LAYER, (8, 8, 8), torch.tensor(units), torch.ones(k), torch.ones(k), torch.zeros(k))


@pytest.fixture(scope="module")
def world() -> Subject:
    return subject()


@pytest.fixture(scope="module")
def causal() -> Mapping[str, Findings]:
    return {"causality": Findings(units={"ball": some(*BALLS), "ground": some(FRAIL)})}


def row(table: pl.DataFrame, **where: object) -> Mapping[str, object]:
    (found,) = [row for row in table.iter_rows(named=True) if all(row[key] == value for key, value in where.items())]
    return found


def test_what_depends_on_what(world: Subject, causal: Mapping[str, Findings], tmp_path: Path) -> None:
    found = Relations(64)(world, causal, Parts(tmp_path))
    changes = found.tables["changes"]
    ground = row(changes, **{"class": "ball", "kind": ALL, "other": "ground"})
    assert ground["elsewhere"] == ground["low"] == ground["high"] == 0 and ground["behind"] > 0
    assert row(changes, **{"class": "ball", "kind": ALL, "other": "ball"})["share"] == -1
    sky = row(changes, **{"class": "ground", "kind": ALL, "other": "sky"})
    assert sky["elsewhere"] == 0 and sky["behind"] > 0  # it comes where the ground was
    assert set(found.pictures) == {"changes_all"} and found.tables["kinds"]["scenes"].to_list() == [64]


def test_kinds_of_scenes_are_those_that_the_annotator_reads(shared_world: Subject, tmp_path: Path) -> None:
    scenes = draw_scenes(shared_world, "held out", shared_world.judge, 8)
    names = {"is_chapel": ["cottage", "chapel"], "season": ["summer", "autumn"], "nothing": ["a", "b"]}
    kinds = kinds_of(shared_world, scenes, names, Parts(tmp_path))
    assert list(kinds) == [ALL, "cottage", "chapel", "summer", "autumn"] and kinds[ALL].all()
    assert (kinds["cottage"] ^ kinds["chapel"]).all() and (kinds["summer"] ^ kinds["autumn"]).all()
    dome = (scenes.labels == list(shared_world.judge.classes).index("dome")).float().mean(dim=(1, 2))
    assert ((dome > 0.01) == kinds["chapel"]).float().mean() > 0.8


@pytest.fixture(scope="module")
def shared_world() -> Subject:
    from zstar.generators.stylegan2 import StyleGAN2
    from zstar.segmenters.annotator import Annotator

    return Subject(StyleGAN2(checkpoint="cottages64"), Annotator(), Annotator("judge64"), ["b32.conv0"], 8, batch=8)


def test_where_a_thing_can_be_put(world: Subject, causal: Mapping[str, Findings], tmp_path: Path) -> None:
    found = Placing(["ball"], images=16, step=2)(world, causal, Parts(tmp_path))
    was = found.tables["was"]
    for other in ("sky", "ground"):
        one = row(was, **{"class": "ball", "was": other})
        assert one["appeared"] == one["seen"] == 1 and one["change"] > 0.5 and one["boxes"] >= 6
    places = found.tables["places"]
    assert places["share"].drop_nulls().eq(1).all() and places["y"].min() == 2 and places["x"].max() == 14
    assert set(found.pictures) == {"where_ball"}
    with pytest.raises(ValueError, match=re.escape("analysis.placing.classes: the segmenter has no class 'tree'")):
        Placing(["tree"]).require(world)


def test_the_page_says_what_each_column_is(world: Subject, tmp_path: Path) -> None:
    few = Causality(units=2, sizes=[1], images=6, steps=1, batch=2, classes=["ball"])
    ways: Mapping[str, AbstractAnalysis] = {
        "causality": few, "relations": Relations(16), "placing": Placing(images=6, step=4),
        "artefacts": Artefacts(Balls(), sizes=[2], images=8),
    }  # fmt: skip
    found: dict[str, Findings] = {}
    for name, analysis in ways.items():
        found[name] = analysis(world, found, Parts(tmp_path / name))
        for title, table in found[name].tables.items():
            said = {column for key in legend(name, title) for column in key.split(", ")}
            shown = {column.replace("_", " ") for column in table.columns}
            assert shown - said <= {"layer", "unit", "class"} and said <= shown, f"{name}/{title}"


class Shuffled(Colours):
    """Has the classes in another order, and one more, which it sees nowhere."""

    classes = ("ball", "cloud", "ground", "sky")
    kinds = dict.fromkeys(classes, "object")

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        sky, ground, ball = super().logits(images).unbind(dim=1)
        return torch.stack([ball, torch.full_like(ball, -9.0), ground, sky], dim=1)


def test_a_judge_may_have_its_classes_in_another_order(world: Subject) -> None:
    other = aligned(replace(world, judge=Shuffled()))
    scenes, same = (draw_scenes(one, "held out", one.judge, 8) for one in (other, world))
    assert list(other.judge.classes) == list(world.segmenter.classes) and aligned(world) is world
    assert (scenes.labels == same.labels).float().mean() > 0.95


def test_a_place_counts_as_what_had_most_of_it(world: Subject) -> None:
    scenes = draw_scenes(world, "held out", world.judge, 8)
    masks = torch.zeros(2, 1, SIZE, SIZE)
    masks[0, :, :2, :2], masks[1, :, -2:, -2:] = 1, 1
    placed = place(world, scenes, some(FRAIL), GROUND, masks)
    assert placed.was[:, 0].eq(SKY).all() and placed.seen[:, 0].eq(1).all() and placed.change[:, 0].gt(0.5).all()
    assert placed.was[:, 1].eq(-1).all() and placed.change[:, 1].eq(0).all()  # there is ground already
    values = torch.tensor([[0.5, torch.nan]])
    assert spread(values, masks)[0, 0, 0] == 0.5 and spread(values, masks)[0, -1, -1] == 0


class Balls(AbstractData):
    """Pictures of the world without a ball, or all of them."""

    def __init__(self, count: int = 64, threshold: float = -0.7) -> None:
        self.count, self.threshold = count, threshold

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> Batch:
        z = torch.randn(len(indices), 4, generator=torch.Generator().manual_seed(7))
        z[:, 1] = z[:, 1].clamp(max=self.threshold)
        with torch.no_grad():
            return Batch([str(i) for i in indices], Painter()(z))

    def fingerprint(self) -> str:
        return "balls"

    def split(self, count: int) -> tuple[AbstractData, AbstractData | None]:
        return self, None


def test_units_that_make_what_no_real_picture_has(world: Subject, tmp_path: Path) -> None:
    found = Artefacts(Balls(32), sizes=[2], images=24, share=0.05)(world, {}, Parts(tmp_path))
    kid = found.tables["kid"]
    before, after, random = (row(kid, method=name)["kid"] for name in ("as they are", FOUND, "random"))
    assert after < 0.2 * before and after < random
    assert set(found.summary["units"]) <= {*BALLS, WEAK} and found.tables["units"]["unit"][0] in (*BALLS, WEAK)
    assert row(kid, method=FOUND)["change_high"] < 0 == row(kid, method="as they are")["change"]


def test_a_user_marks_what_is_unreal(world: Subject, tmp_path: Path) -> None:
    scenes = draw_scenes(world, "dissected", world.segmenter, 8)
    ball = int((scenes.labels == BALL).flatten(1).any(dim=1).nonzero()[0])
    y, x = (int(values[0]) for values in (scenes.labels[ball] == BALL).nonzero(as_tuple=True))
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([{"sample": ball, "box": [y, x, 2, 2]}]))
    found = Artefacts(Balls(), sizes=[2], images=8, boxes=str(path))(world, {}, Parts(tmp_path / "parts"))
    assert set(found.summary["units"]) <= {*BALLS, WEAK}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "has no box; mark some"),
        ("nothing", "can't be used (Expecting value"),
        ('[{"sample": 1}]', "can't be used ('box')"),
        ('[{"sample": 9, "box": [0, 0, 2, 2]}]', "lies outside of the 8 samples of 16×16 pixels"),
        ('[{"sample": 1, "box": [0, 15, 2, 2]}]', "lies outside of the 8 samples of 16×16 pixels"),
    ],
)
def test_boxes_that_are_none_are_one_sentence(text: str, reason: str, tmp_path: Path) -> None:
    (path := tmp_path / "boxes.json").write_text(text)
    with pytest.raises(ValueError, match="^analysis.artefacts.boxes: .*" + re.escape(reason)):
        read_boxes(path, 8, (16, 16))


def test_the_most_unreal_locations_are_a_share_of_all() -> None:
    distance = torch.arange(100.0).view(1, 10, 10)
    assert most_unreal(distance, 0.05).sum() == 5 and most_unreal(distance, 1.0).sum() == 100

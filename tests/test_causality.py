"""Which units make a class come and go, in a world where that is known."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from toy import BALL, BALLS, FRAIL, GROUND, LAYER, SIZE, SKY, Colours, subject

from zstar.dissection.base import Findings, Parts, Subject
from zstar.dissection.boxes import boxes_within, candidates, fill, free_boxes, usual_places, usual_size
from zstar.dissection.causality import Causality
from zstar.dissection.measure import ablate, fill_boxes
from zstar.dissection.scenes import Scenes, count_pixels, draw_scenes, picture
from zstar.dissection.soft import Soft
from zstar.dissection.units import UnitSet
from zstar.dissection.values import class_means

QUICK = {"units": 3, "sizes": [1, 2, 3], "images": 8, "steps": 8, "batch": 4, "classes": ["ball"], "boost": 1.0}


@pytest.fixture(scope="module")
def world() -> Subject:
    return subject()


@pytest.fixture(scope="module")
def scenes(world: Subject) -> Scenes:
    return draw_scenes(world, "dissected", world.segmenter)


def some(units: tuple[int, ...], present: float = 1.0, share: float = 1.0) -> UnitSet:
    k = len(units)
    return UnitSet(LAYER, (8, 8, 8), torch.tensor(units), *(torch.full((k,), x) for x in (share, present, 0.0)))


def test_samples_of_a_purpose_are_the_same_ones_and_no_others(world: Subject, scenes: Scenes) -> None:
    again, others = (draw_scenes(world, purpose, world.segmenter, 8) for purpose in ("dissected", "held out"))
    assert torch.equal(again.latents, scenes.latents[:8]) and not torch.equal(again.latents, others.latents)
    counts = count_pixels(scenes.labels, 3)
    assert counts.sum(dim=1).eq(SIZE**2).all()
    assert len(scenes.having(BALL)) == int((counts[:, BALL] > 0).sum()) < len(scenes)


def test_means_are_those_where_a_class_is_and_where_it_is_not(world: Subject, scenes: Scenes) -> None:
    means = class_means(world, scenes, [LAYER])
    present, absent = means[f"present/{LAYER}"], means[f"absent/{LAYER}"]
    torch.testing.assert_close(present[BALL, :4], torch.tensor([1.0, 0.8, 1.0, 1.0]))
    torch.testing.assert_close(absent[BALL, :3], torch.zeros(3))
    torch.testing.assert_close(absent[SKY, FRAIL], torch.tensor(1.0))
    assert 0 < absent[BALL, FRAIL] < 1


def test_what_was_hidden_is_told_from_what_changed_elsewhere(world: Subject, scenes: Scenes) -> None:
    having = scenes.having(BALL)
    clean = ablate(world, world.segmenter, having, some(BALLS), BALL)
    assert clean.kept(BALL) == 0 and clean.lost.sum() == clean.gained.sum() == 0
    torch.testing.assert_close(clean.behind[:, GROUND], clean.before[:, BALL])
    assert clean.moved(BALL)[:2].tolist() == [0.0, 0.0] and clean.moved(BALL)[BALL].isnan()
    rough = ablate(world, world.segmenter, having, some((*BALLS, FRAIL)), BALL)
    assert rough.moved(BALL)[GROUND] == 1 and rough.net(BALL)[GROUND] == -1  # all ground is sky now
    torch.testing.assert_close(rough.lost[:, GROUND], clean.before[:, GROUND])


def test_insertion_is_read_where_it_was_made(world: Subject, scenes: Scenes) -> None:
    here = fill(torch.tensor([0, 0]), torch.tensor([2, 10]), (4, 4), (16, 16))
    assert here.sum(dim=(1, 2, 3)).tolist() == [16, 16]
    two = scenes[torch.tensor([0, 1])]
    assert fill_boxes(world, world.judge, two, here, some(BALLS), BALL).tolist() == [1, 1]
    assert fill_boxes(world, world.judge, two, here, some((FRAIL,)), BALL).tolist() == [0, 0]
    made = picture(world, two.latents, some(BALLS), 1.0, here)
    changed = (made - picture(world, two.latents)).abs().amax(dim=1, keepdim=True) > 0
    assert torch.equal(changed.float(), here)


def test_boxes_lie_where_there_is_room(world: Subject, scenes: Scenes) -> None:
    box = usual_size(scenes, BALL)
    assert box == (4, 4)  # a quarter of the picture, as balls are larger
    masks, fits = free_boxes(scenes, box, BALL, torch.ones(13, 13), "boxes", 0)
    assert fits.all() and masks.sum(dim=(1, 2, 3)).eq(16).all()
    assert not ((scenes.labels == BALL)[:, None] & (masks > 0)).any()
    within, fits = boxes_within(scenes, box, [GROUND], "boxes", 0)
    assert ((scenes.labels[fits] == GROUND)[:, None] | (within == 0)).all()
    none, fits = boxes_within(scenes, (16, 16), [GROUND], "boxes", 0)
    assert len(none) == 0 and not fits.any()
    some_scenes, likely = candidates(
        world, world.segmenter, scenes, some(BALLS), box, BALL, usual_places(scenes, BALL, box), tries=2, keep=0.5
    )
    assert len(some_scenes) == len(likely) == len(scenes)


def test_the_units_that_make_balls_are_found(world: Subject, scenes: Scenes) -> None:
    means = class_means(world, scenes, [LAYER])
    whole = UnitSet(LAYER, (8, 8, 8), torch.arange(8), torch.ones(8), means[f"present/{LAYER}"][BALL], torch.zeros(8))
    boxed = candidates(world, world.segmenter, scenes, whole, (4, 4), BALL, torch.ones(13, 13), 1, 1.0)
    soft = Soft(steps=20, batch=4)
    off, on = soft.off(world, whole, BALL, scenes.having(BALL), 2), soft.on(world, whole, BALL, boxed)
    assert off.nonzero().flatten().tolist() == list(BALLS) and off[list(BALLS)].min() > 0.5
    for share in (off, on):
        assert share.min() >= 0 and share.max() <= 1 and share[list(BALLS)].min() > 0.5


@pytest.fixture(scope="module")
def findings(world: Subject, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return Causality(**QUICK)(world, {}, Parts(tmp_path_factory.mktemp("parts")))


def rows(table: pl.DataFrame, **where: object) -> list[Mapping[str, object]]:
    return [row for row in table.iter_rows(named=True) if all(row[key] == value for key, value in where.items())]


def test_findings_say_what_is_true(findings: Findings) -> None:
    effects = findings.tables["effects"]
    strong = max(rows(effects, **{"class": "ball"}), key=lambda row: row["effect"])
    assert strong["unit"] == BALLS[0] and strong["low"] <= strong["effect"] <= strong["high"]
    (best,) = rows(findings.tables["best"], **{"class": "ball"})
    assert best["kept_share"] == 0 and best["inserted"] == 1 and best["worst"] == 0
    assert set(BALLS) <= set(findings.units["ball"].units.tolist()) and findings.units["ball"].layer == LAYER
    curve = findings.tables["curve"]
    assert {row["method"] for row in curve.iter_rows(named=True)} == {"learned", "effect", "random"}
    kept = [rows(curve, **{"class": "ball", "method": "effect", "units": n})[0]["kept_share"] for n in (1, 2, 3)]
    assert kept == sorted(kept, reverse=True)
    (behind,) = rows(findings.tables["leakage"], **{"class": "ball", "other": "ground"})
    assert behind["behind"] > 0 == behind["lost"] == behind["gained"]
    assert {f"curves_{LAYER}", "switched_ball"} <= set(findings.pictures)


def test_rankings_by_agreement_stand_beside_the_others(world: Subject, tmp_path: Path) -> None:
    iou = pl.DataFrame([{"layer": LAYER, "unit": u, "class": "ball", "iou": float(u == 5)} for u in range(8)])
    found = {"agreement": Findings({"agreement": iou})}
    tables = Causality(**QUICK | {"units": 1, "sizes": [1], "steps": 1})(world, found, Parts(tmp_path)).tables
    (row,) = rows(tables["curve"], method="iou", units=1)
    assert row["kept_share"] == 1  # unit 5 does nothing


def test_what_is_done_is_not_done_again(world: Subject, findings: Findings, tmp_path: Path) -> None:
    first = Causality(**QUICK)(world, {}, Parts(tmp_path))
    blind = Subject(world.generator, Blind(), Blind(), [LAYER], world.samples, batch=32)
    again = Causality(**QUICK)(blind, {}, Parts(tmp_path))
    assert all(first.tables[name].equals(again.tables[name]) for name in first.tables)
    assert first.tables["best"].equals(findings.tables["best"])


class Blind(Colours):
    """Sees nothing any more."""

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("there was nothing left to look at")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"images": 2}, "analysis.causality.images: 2 is not possible; set it to 6 or more"),
        ({"sizes": []}, "analysis.causality.sizes: [] are no numbers of units; give e.g. [1, 4, 20]"),
        ({"layers": ["b4"]}, "analysis.causality.layers: 'b4' is not looked at; choose from maps"),
        ({"classes": ["balls"]}, "analysis.causality.classes: the segmenter has no class 'balls'"),
    ],
)
def test_mistakes_are_one_sentence(settings: dict, sentence: str, world: Subject) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        Causality(**QUICK | settings).require(world)


def test_classes_that_hardly_a_sample_has_are_said(world: Subject, tmp_path: Path) -> None:
    few = replace(world, samples=6)
    with pytest.raises(ValueError, match="^analysis.causality.classes: fewer than 6 of the samples have .*; set more"):
        Causality(**QUICK)(few, {}, Parts(tmp_path))

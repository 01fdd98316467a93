"""Annotators: shapes from the objects, images that stay apart, and factors that count only where they show."""

import json
import os
from pathlib import Path

import pytest
import torch

from zstar.annotations.annotator import Annotator
from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.load import fold, load_annotator
from zstar.annotators.resnet import ResNet
from zstar.annotators.unet import UNet
from zstar.annotators.vocabulary import Meaning, Vocabulary
from zstar.checkpoints.io import save_weights
from zstar.data.cottage_vocabulary import cottage_vocabulary
from zstar.data.cottages import CLASSES, FACTORS, Cottages


@pytest.mark.parametrize("kind", [UNet, ResNet])
@pytest.mark.parametrize("side", [32, 64])
def test_shapes_and_independence(kind: type[AbstractAnnotator], side: int) -> None:
    network = kind(classes=5, factors=7, widths=(8, 8, 16, 16)).eval()
    images = torch.rand(3, 3, side, side) * 2 - 1
    said = network(images)
    assert said.logits.shape == (3, 5, side, side) and said.factors.shape == (3, 7)
    assert tuple(f.shape[1] for f in said.features) == network.widths
    alone = network(images[1:2])
    torch.testing.assert_close(said.logits[1:2], alone.logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said.factors[1:2], alone.factors, atol=1e-5, rtol=1e-4)


def test_folding_keeps_the_function() -> None:
    network = UNet(3, 4, widths=(8, 8, 16))
    images = torch.rand(8, 3, 16, 16)
    for _ in range(3):
        network(images)
    network.eval()
    with torch.no_grad():
        before = network(images)
        fold(network)
        after = network(images)
    torch.testing.assert_close(before.logits, after.logits, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_factors_of_absent_objects_carry_no_loss() -> None:
    meanings = [Meaning("sun", 0.0, 1.0, flag=True), Meaning("h", 0.0, 5.0)]
    meanings.insert(1, Meaning("sun_x", -1.0, 3.0, "width", needs=("sun",)))
    vocabulary = Vocabulary(["sky"], meanings)
    factors = torch.tensor([[1.0, 3.0, 5.0], [0.0, 3.0, 5.0]])
    assert vocabulary.known(factors).tolist() == [[1, 1, 1], [1, 0, 1]]
    outputs = torch.tensor([[30.0, 1.0, 1.0], [-30.0, 9.0, 1.0]])
    assert vocabulary.distance(outputs, factors).tolist() == pytest.approx([0, 0], abs=1e-6)
    outputs[0, 1] = 0.0
    assert vocabulary.distance(outputs, factors).tolist() == pytest.approx([1 / 3, 0], abs=1e-6)
    assert vocabulary.read(torch.tensor([[0.0, 0.5, 1.0]])).tolist() == [[0.5, 1.0, 5.0]]
    again = Vocabulary.from_card(vocabulary.card())
    assert again.factors == vocabulary.factors and again.classes == vocabulary.classes


def test_every_factor_of_the_world_shows_where_it_should() -> None:
    vocabulary, names = cottage_vocabulary(), list(FACTORS)
    factors = torch.zeros(2, len(names))
    factors[1, names.index("cloud_right_present")] = 1
    factors[1, names.index("is_chapel")] = 1
    known = vocabulary.known(factors)[:, [names.index(n) for n in ("cloud_x", "chimney_present", "season", "sun_x")]]
    assert known.tolist() == [[0, 1, 1, 0], [1, 0, 1, 0]]


def test_shipped_annotator_reads_cottages() -> None:
    network, vocabulary = load_annotator("annotator64")
    assert vocabulary.classes == tuple(CLASSES) and len(vocabulary.factors) == len(FACTORS)
    batch = Cottages(24, "test", 64).read(range(24))
    said = network(batch.images)
    right = said.logits.argmax(dim=1) == batch.extras["masks"].argmax(dim=1)
    assert right.float().mean() > 0.97
    read, flags = vocabulary.read(said.factors), vocabulary.flag.value
    known = vocabulary.known(batch.extras["factors"]).bool() & flags
    assert ((read > 0.5) == (batch.extras["factors"] > 0.5))[known].float().mean() > 0.98
    time = list(FACTORS).index("time_of_day")
    assert (read[:, time] - batch.extras["factors"][:, time]).abs().mean() < 0.1


def test_a_file_that_is_no_annotator_is_named() -> None:
    with pytest.raises(ValueError, match="no file and no shipped weights"):
        load_annotator("missing64")


def test_pictures_of_another_size_are_read_at_the_size_that_was_learned() -> None:
    season, place = (list(FACTORS).index(name) for name in ("season", "house_x"))
    annotator = Annotator("judge64", count=2)
    for side in (32, 64, 128):
        batch = Cottages(24, "test", side).read(range(24))
        true = annotator.vocabulary.scale(batch.extras["factors"])
        error = (annotator.score(batch.images)[:, : len(FACTORS)] - true).abs().mean(dim=0)
        assert error[season] < 0.05 and error[place] < 0.05, side  # at 32 pixels as they are: 0.3 and 0.2


CARD = {
    "kind": "annotator",
    "network": {"_partial_": True, "_target_": "zstar.annotators.resnet.ResNet", "widths": [8, 16], "cells": 2},
    "classes": ["sky", "sun"],
    "factors": [{"name": "sun", "low": 0.0, "high": 1, "unit": "", "flag": True, "needs": []}],
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights that ``CARD`` describes, with it."""
    save_weights(tmp_path / "a.safetensors", ResNet(2, 1, [8, 16], 2).state_dict(), CARD)
    return tmp_path / "a.safetensors"


def test_a_card_chooses_any_annotator_of_the_package(weights: Path) -> None:
    state = torch.get_rng_state()
    network, vocabulary = load_annotator(weights)
    assert isinstance(network, ResNet) and network.widths == (8, 16) and vocabulary.factors[0].flag
    torch.set_rng_state(state)
    ResNet(2, 1, [8, 16], 2)
    once = torch.get_rng_state()
    torch.set_rng_state(state)
    load_annotator(weights)
    assert torch.equal(torch.get_rng_state(), once)


NETWORK = CARD["network"]
WRITE = {"_target_": "pathlib.Path.write_text", "self": {"_target_": "pathlib.Path", "_args_": ["@"]}, "data": "x"}
OBJECT = "a card can only name one of the classes in zstar.annotators"


@pytest.mark.parametrize(
    "network, reason",
    [
        (NETWORK | {"widths": WRITE}, "network.widths holds a dict"),
        (NETWORK | {"widths": [8, WRITE]}, "network.widths holds a dict"),
        (NETWORK | {"widths": [[8], 16]}, "network.widths holds a list"),
        (NETWORK | {"cells": WRITE}, "network.cells holds a dict"),
        (NETWORK | {"_args_": [WRITE]}, "network._args_ is no setting"),
        (NETWORK | {"_recursive_": True}, "network._recursive_ is no setting"),
        (NETWORK | {"classes": 3}, "network.classes is no setting"),
        (NETWORK | {"colour": 3}, "network.colour is no setting of ResNet"),
        (NETWORK | {"widths": "abc"}, "network.widths is 'abc'"),
        (NETWORK | {"widths": []}, "cannot be used"),
        (WRITE, OBJECT),
        (NETWORK | {"_target_": "os.system"}, OBJECT),
        (NETWORK | {"_target_": "zstar.annotators.load.load_annotator"}, OBJECT),
        (NETWORK | {"_target_": "zstar.annotators.base.AbstractAnnotator"}, OBJECT),
        (NETWORK | {"_target_": "zstar.annotators.load.importlib.import_module"}, OBJECT),
        (NETWORK | {"_target_": "zstar.annotators.resnet.Residual"}, OBJECT),
        (NETWORK | {"_target_": "zstar.annotators...generators.stylegan2.StyleGAN2"}, OBJECT),
        (NETWORK | {"_target_": "zstar.annotators.absent.ResNet"}, OBJECT),
        (NETWORK | {"_target_": WRITE}, OBJECT),
        ("zstar.annotators.resnet.ResNet", "network is a str"),
        (None, "network is a NoneType"),
    ],
)
def test_a_card_runs_nothing(network: object, reason: str, weights: Path) -> None:
    victim = weights.with_name("victim.txt")
    victim.write_text("precious")
    text = json.dumps(CARD | {"network": network}).replace('"@"', json.dumps(str(victim)))
    weights.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError) as caught:
        load_annotator(weights)
    assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert str(weights.with_suffix(".json")) in str(caught.value)
    assert victim.read_text() == "precious"


def test_a_module_outside_of_the_folder_is_not_imported(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zstar.annotators

    (tmp_path / "trap.py").write_text("open(__file__ + '.sprung', 'w')")
    monkeypatch.setattr(zstar.annotators, "__path__", [*zstar.annotators.__path__, str(tmp_path)])
    network = NETWORK | {"_target_": "zstar.annotators.trap.ResNet"}
    weights.with_suffix(".json").write_text(json.dumps(CARD | {"network": network}))
    with pytest.raises(ValueError, match=OBJECT):
        load_annotator(weights)
    assert not os.path.exists(tmp_path / "trap.py.sprung")


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"classes": None}, "classes must be"),
        ({"classes": "sky"}, "classes must be"),
        ({"classes": [1, 2]}, "classes must be"),
        ({"factors": None}, "factors must be"),
        ({"factors": [{"name": "sun"}]}, "factors must be"),
        ({"factors": [CARD["factors"][0] | {"extra": 1}]}, "factors must be"),
        ({"factors": [CARD["factors"][0] | {"low": "a"}]}, "factors[0].low is 'a'"),
        ({"factors": [CARD["factors"][0] | {"needs": ["moon"]}]}, "needs 'moon'"),
    ],
)
def test_a_card_without_meanings_is_named(change: dict, reason: str, weights: Path) -> None:
    card = {name: value for name, value in (CARD | change).items() if value is not None}
    weights.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError) as caught:
        load_annotator(weights)
    assert reason in str(caught.value) and str(weights.with_suffix(".json")) in str(caught.value)


def test_sizes_on_a_card_take_no_memory(weights: Path) -> None:
    network = NETWORK | {"widths": [8, 8_000_000]}
    weights.with_suffix(".json").write_text(json.dumps(CARD | {"network": network}))
    with pytest.raises(ValueError, match="a.safetensors"):
        load_annotator(weights)

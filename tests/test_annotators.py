"""Annotators: shapes from the objects, images that stay apart, and factors that count only where they show."""

import pytest
import torch

from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.load import fold, load_annotator
from zstar.annotators.resnet import ResNet
from zstar.annotators.unet import UNet
from zstar.annotators.vocabulary import Meaning, Vocabulary
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
    read, flags = vocabulary.read(said.factors), vocabulary.flag
    known = vocabulary.known(batch.extras["factors"]).bool() & flags
    assert ((read > 0.5) == (batch.extras["factors"] > 0.5))[known].float().mean() > 0.98
    time = list(FACTORS).index("time_of_day")
    assert (read[:, time] - batch.extras["factors"][:, time]).abs().mean() < 0.1


def test_a_file_that_is_no_annotator_is_named() -> None:
    with pytest.raises(ValueError, match="no file and no shipped weights"):
        load_annotator("missing64")

"""Style and content losses against what the original programs make of the same features."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from zstar.losses.content import Content
from zstar.losses.gram import Gram


def distance(loss: Gram | Content, image: Tensor, target: Tensor) -> Tensor:
    """Between pictures of any two sizes."""
    return loss.compare(loss.features(image), loss.features(target))


LAYERS = ["relu1", "relu2", "relu3"]


class Given(nn.Module):
    """Takes features for images, so that losses can be asked about these."""

    def forward(self, features: Tensor) -> list[Tensor]:
        return [features]


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "golden/style_losses/io.safetensors")


@pytest.mark.parametrize("layer", LAYERS)
def test_gram_is_that_of_fast_neural_style(golden: dict[str, Tensor], layer: str) -> None:
    loss = Gram(Given(), normalization="elements")
    features = golden[f"{layer}/input"].clone().requires_grad_()
    style = golden[f"{layer}/style"]
    channels = features.shape[1]
    found = loss.features(features)[0] / channels
    torch.testing.assert_close(found, golden[f"{layer}/fast_neural_style.gram_input"], rtol=1e-5, atol=1e-8)
    value = distance(loss, features, style)
    assert value.shape == (2,)
    torch.testing.assert_close(value.mean()[None], golden[f"{layer}/fast_neural_style.style_mse"], rtol=1e-5, atol=0)
    slope = torch.autograd.grad(value.mean(), features)[0]
    wanted = golden[f"{layer}/fast_neural_style.style_mse_grad"]
    torch.testing.assert_close(slope, wanted, rtol=1e-4, atol=1e-5 * wanted.abs().max().item())
    one = distance(loss, features[:1], style)
    torch.testing.assert_close(one, golden[f"{layer}/neural_style.style_mse"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("layer", LAYERS)
def test_gram_and_content_are_those_of_the_paper(golden: dict[str, Tensor], layer: str) -> None:
    features, style = golden[f"{layer}/input"][:1], golden[f"{layer}/gatys.style_same_size"]
    found = Gram(Given(), normalization="gatys")(features, style)
    torch.testing.assert_close(found, golden[f"{layer}/gatys.layer_style_loss"], rtol=1e-5, atol=0)
    assert torch.equal(Gram(Given(), normalization="locations")(features, style), 4 * found)
    content = golden[f"{layer}/content"]
    mean = Content(Given())(features, content)
    torch.testing.assert_close(mean, golden[f"{layer}/neural_style.content_mse"], rtol=1e-5, atol=0)
    half = mean * content.numel() / 2
    torch.testing.assert_close(half, golden[f"{layer}/gatys.content_loss_half_sum"], rtol=1e-5, atol=0)


def test_a_texture_is_the_same_wherever_it_is() -> None:
    features = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    loss = Gram(Given())
    torch.testing.assert_close(loss(features.roll(3, dims=2), features), torch.zeros(2), atol=1e-10, rtol=0)
    assert (Content(Given())(features.roll(3, dims=2), features) > 0.01).all()
    larger = features.repeat(1, 1, 2, 3)  # a style of another size
    torch.testing.assert_close(distance(loss, features, larger), torch.zeros(2), atol=1e-10, rtol=0)


class Two(nn.Module):
    def forward(self, image: Tensor) -> list[Tensor]:
        return [image, image.square()]


def test_layers_have_shares() -> None:
    a, b = (torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    each = [Gram(Two(), layers=[layer])(a, b) for layer in (0, 1)]
    torch.testing.assert_close(Gram(Two(), shares=[2.0, 0.5])(a, b), 2 * each[0] + 0.5 * each[1])
    with pytest.raises(ValueError, match=r"^loss\.gram\.shares: 3 for 2 layers; give one for each$"):
        Gram(Two(), shares=[1.0, 1.0, 1.0])(a, b)

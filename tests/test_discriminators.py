"""Discriminators: what may train, what may not, and the penalties against their exact values."""

from pathlib import Path

import pytest
import torch
from torch import nn

from zstar.annotators.unet import UNet
from zstar.checkpoints.io import save_weights
from zstar.discriminators.projected import Projected
from zstar.discriminators.saved import load_judge
from zstar.discriminators.spectral import SpectralConv
from zstar.discriminators.stylegan2 import StyleGAN2


@pytest.fixture
def projected() -> Projected:
    """A projected discriminator for 32×32 pixels on an untrained annotator."""
    return make_projected()


def make_projected() -> Projected:
    """One that is nobody else's."""
    return Projected(UNet(3, 4, widths=(8, 8, 16, 16)), mixed=(8, 8, 8, 8), width=8, resolution=32)


def test_random_projections_and_annotator_never_train(projected: Projected) -> None:
    names = [name for name, _ in projected.named_parameters()]
    assert names and all(name.startswith("heads.") for name in names)
    before = {name: value.clone() for name, value in projected.named_buffers() if name.startswith(("chan", "scal"))}
    frozen = {name: value.clone() for name, value in projected._frozen[0].state_dict().items()}
    adam = torch.optim.Adam(projected.parameters(), 0.01)
    projected.train()
    images = torch.rand(8, 3, 32, 32) * 2 - 1
    for _ in range(3):
        projected.refresh()
        logits = [part.tensor_split(2) for part in projected(images)]
        loss = projected.loss([real for real, _ in logits], [fake for _, fake in logits])
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert len(before) == 7
    assert all(torch.equal(value, projected.get_buffer(name)) for name, value in before.items())
    assert all(torch.equal(value, projected._frozen[0].state_dict()[name]) for name, value in frozen.items())


def test_projected_learns_to_tell_and_passes_gradient_to_images(projected: Projected) -> None:
    adam = torch.optim.Adam(projected.parameters(), 0.02)
    rng = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(20):
        real = torch.ones(4, 3, 32, 32) * torch.rand(4, 1, 1, 1, generator=rng)
        fake = torch.randn(4, 3, 32, 32, generator=rng).clamp(-1, 1)
        projected.refresh()
        loss = projected.loss(projected(real), projected(fake))
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
    fake = fake.requires_grad_(True)
    projected.generator_loss(projected(fake)).backward()
    assert (fake.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_projected_has_the_same_random_maps_for_the_same_seed() -> None:
    network = UNet(3, 4, widths=(8, 8, 16, 16))
    same, twin, other = (Projected(network, (8, 8, 8, 8), 8, 32, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(same.channels0, twin.channels0) and not torch.equal(same.channels0, other.channels0)


def test_spectral_norm_is_one() -> None:
    conv = SpectralConv(6, 10, 4, stride=2, padding=1)
    with torch.no_grad():
        conv.weight.mul_(torch.rand_like(conv.weight) * 5)
    for _ in range(60):
        conv.refresh()
    assert torch.linalg.matrix_norm(conv.kernel().flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


def smooth(discriminator: StyleGAN2) -> StyleGAN2:
    """The discriminator with a smooth head in the place of its kinked layers: ½ q·x² + p·x."""

    class Quadratic(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ramp = torch.linspace(-1, 1, x[0].numel(), dtype=x.dtype).view(x.shape[1:])
            return (0.5 * ramp * x.square() + ramp.flip(0) * x).sum(dim=(1, 2, 3))[:, None]

    discriminator.logits = lambda features, classes=None: [Quadratic()(features[0])]
    return discriminator


def test_finite_difference_penalty_estimates_the_exact_one() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 8, 8, generator=rng, dtype=torch.float64).float() * 2 - 1
    exact = smooth(StyleGAN2(8, channel_max=8, r1="exact")).gradient(images, rng)
    finite = smooth(StyleGAN2(8, channel_max=8, r1="finite", r1_sigma=0.01))
    with torch.no_grad():
        estimate = torch.stack([finite.gradient(images, rng) for _ in range(3000)]).mean(dim=0)
    torch.testing.assert_close(estimate, exact, rtol=0.15, atol=0)


def test_penalty_is_lazy_and_reaches_the_weights() -> None:
    discriminator = StyleGAN2(16, channel_max=8, r1_every=4)
    images, rng = torch.rand(4, 3, 16, 16), torch.Generator()
    assert discriminator.penalty(images, 3, rng) is None
    discriminator.penalty(images, 4, rng).backward()
    assert discriminator.stem.weight.grad.abs().sum() > 0


def test_images_are_compared_within_their_group() -> None:
    torch.manual_seed(0)
    discriminator, images = StyleGAN2(32, channel_max=8, group=2), torch.rand(6, 3, 32, 32) * 2 - 1
    twins = torch.cat([images[:1], images[:1], images[2:]])
    for whole, part, alike in zip(discriminator(images), discriminator(images[2:4]), discriminator(twins), strict=True):
        little = 1e-3 * whole.std()  # of logits as small as those of an untrained network are
        assert (whole[2:4] - part).abs().max() < little and (whole[2:] - alike[2:]).abs().max() < little
        assert (whole[0] - alike[0]).abs().max() > 2 * little  # beside its twin, an image is another thing
    with pytest.raises(ValueError, match=r"^discriminator\.group: 2 does not divide a batch of 3"):
        discriminator(images[:3])


JUDGES = {"stylegan2": lambda: StyleGAN2(32, channel_max=8, group=2), "projected": lambda: make_projected()}


@pytest.mark.parametrize("kind", JUDGES)
def test_a_judge_sees_each_image_alone(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained, fresh, images = JUDGES[kind](), JUDGES[kind](), torch.rand(3, 3, 32, 32) * 2 - 1
    save_weights(tmp_path / "discriminator.safetensors", trained.state_dict(), {"kind": "discriminator"})
    judge = load_judge(fresh, str(tmp_path / "discriminator.safetensors"), "loss.realism")
    for together, alone in zip(judge(images), judge(images[:1]), strict=True):
        assert (together[:1] - alone).abs().max() < 1e-3 * together.std()

"""Every regularizer in conf/regularizer penalises each image by itself, and each means what it says."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from zstar.config.build import offer
from zstar.encoders.trained import TrainedEncoder
from zstar.generators.base import AbstractGenerator, Noise
from zstar.generators.variables import named
from zstar.regularizers.base import AbstractRegularizer
from zstar.regularizers.delta_norm import DeltaNorm
from zstar.regularizers.in_domain import InDomain
from zstar.regularizers.latent_norm import LatentNorm
from zstar.regularizers.noise_maps import NoiseMaps, correlation, unit_noise
from zstar.regularizers.p_norm import PNorm, gaussianize
from zstar.regularizers.spread import Spread
from zstar.regularizers.total_variation import TotalVariation
from zstar.spaces.base import AbstractSpace
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z
from zstar.stats.streams import stream

CONF = Path(__file__).parents[1] / "conf" / "regularizer"
NAMES = sorted({path.stem for path in CONF.glob("*.yaml")} - {"likelihood"})  # of flows: test_flows.py
ROWS, DIM = 4, 6


class Toy(AbstractGenerator):
    """w is a linear map of z through a leaky ReLU, and the images are ramps: there is nothing to see in them."""

    resolution, channels, layers = 16, 3, ()
    spaces = {"z": (DIM,), "w": (DIM,), "w_plus": (ROWS, DIM)}

    def __init__(self, noisy: bool = True) -> None:
        super().__init__()
        self.noise_shapes = {"n0": (8, 8), "n1": (16, 16)} if noisy else {}
        rng = torch.Generator().manual_seed(1)
        self.tint = torch.nn.Parameter(torch.randn(3, 2, generator=rng))
        self.register_buffer("mix", torch.randn(DIM, DIM, generator=rng) * torch.logspace(0, -1, DIM))
        self.freeze()

    def sample(self, n: int, rng: torch.Generator, truncation: float = 1.0, space: str | None = None) -> Tensor:
        return self.lift(truncation * torch.randn(n, DIM, generator=rng), "z", space or "z")

    def lift(self, latent: Tensor, source: str, target: str) -> Tensor:
        if source == "z" and target != "z":
            latent = F.leaky_relu(latent @ self.mix + 0.5, 0.2)
        return latent[:, None].expand(-1, ROWS, -1).clone() if target == "w_plus" and latent.dim() == 2 else latent

    def forward(self, latent: Tensor, space: str, noise: Noise) -> Tensor:
        level = latent.flatten(1).mean(dim=1).view(-1, 1, 1, 1)
        return (level * self.tint.sum(dim=1)[:, None, None]) * torch.linspace(0, 1, 16).expand(3, 16, 16)

    def layer(self, name: str) -> torch.nn.Module:
        return self


def space_of(kind: type[AbstractSpace], noisy: bool = True) -> AbstractSpace:
    return kind(Toy(noisy), prior_samples=4000)


def noise_of(n: int, seed: int = 0) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {"n0": torch.randn(n, 1, 8, 8, generator=rng), "n1": torch.randn(n, 1, 16, 16, generator=rng)}


def image_of(latent: Tensor) -> Tensor:
    """What most penalties never look at."""
    return torch.zeros(len(latent), 3, 16, 16)


def penalty_of(regularizer: AbstractRegularizer, latent: Tensor, noise: Mapping[str, Tensor] | None = None) -> Tensor:
    return regularizer({"latent": latent, **named("noise", noise or {})}, image_of(latent))


@pytest.mark.parametrize("name", NAMES)
def test_another_image_of_the_batch_changes_nothing(
    name: str, guess: Callable[..., TrainedEncoder], judge: dict[str, Any]
) -> None:
    """Fails for the widespread noise regulariser that takes its means over the whole batch."""
    space = space_of(WPlus)
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text())[name]
    node |= judge if name == "realism" else {}
    regularizer = offer(node, space=space, encoder=guess(space))
    v = {"latent": torch.randn(3, ROWS, DIM), **named("noise", noise_of(3))}
    v |= {f"{kind}/tint": torch.randn(3, 3, 2) for kind in regularizer.of}
    other = {name: torch.cat([value[:2], value[2:].flip(-1) * 2 + 1]) for name, value in v.items()}
    results = []
    for given in (v, other, {name: value[:2] for name, value in v.items()}):
        v = {name: value.clone().requires_grad_() for name, value in given.items()}
        values = regularizer(v, space.decode(v["latent"], "const"))
        assert values.shape == (len(v["latent"]),)
        gradients = torch.autograd.grad(values.sum(), list(v.values()), materialize_grads=True)
        assert any((gradient != 0).any() for gradient in gradients)
        results.append([t[:2] for t in (values.detach(), *gradients)])
    for other in results[1:]:
        for expected, found in zip(results[0], other, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert regularizer.weight > 0


@pytest.mark.parametrize("kind", [Z, W, WPlus])
def test_latent_norm_is_one_for_the_prior(kind: type[AbstractSpace]) -> None:
    space = space_of(kind)
    penalty = LatentNorm(space)
    samples = space.sample(4000, torch.Generator().manual_seed(5))
    assert penalty_of(penalty, samples).mean() == pytest.approx(1, rel=0.05)
    assert penalty_of(penalty, space.mean[None]).item() == pytest.approx(0, abs=1e-6)


def test_latent_norm_in_z_is_the_squared_norm() -> None:
    z = torch.randn(5, DIM)
    expected = z.square().mean(dim=1)
    assert (penalty_of(LatentNorm(space_of(Z)), z) - expected).abs().max() < 0.1 * expected.max()


def test_p_norm_is_a_mahalanobis_distance() -> None:
    space = space_of(W)
    penalty, rng = PNorm(space), stream("principal axes", 0)
    samples = torch.cat([space.generator.sample(1000, rng, space="w") for _ in range(4)])
    v = F.leaky_relu(samples, 5.0)
    assert torch.allclose(gaussianize(samples), v)
    center, precision = v.mean(dim=0), torch.linalg.inv(v.T.double().cov()).float()
    w = torch.randn(7, DIM)
    offset = gaussianize(w) - center
    expected = torch.einsum("bi,ij,bj->b", offset, precision, offset) / DIM
    torch.testing.assert_close(penalty_of(penalty, w), expected, rtol=2e-2, atol=1e-3)
    fresh = penalty_of(penalty, space.sample(4000, torch.Generator().manual_seed(8)))
    assert fresh.mean() == pytest.approx(1, rel=0.05)
    rows = torch.randn(2, ROWS, DIM)
    by_row = torch.stack([penalty_of(penalty, rows[:, row]) for row in range(ROWS)]).mean(dim=0)
    torch.testing.assert_close(penalty_of(PNorm(space_of(WPlus)), rows), by_row)


def test_spread_is_zero_in_w_and_one_for_independent_rows() -> None:
    space = space_of(WPlus)
    penalty, rng = Spread(space), torch.Generator().manual_seed(2)
    w = space.generator.sample(2000 * ROWS, rng, space="w")
    assert penalty_of(penalty, w[:3, None].expand(-1, ROWS, -1).contiguous()).abs().max() < 1e-9
    independent = penalty_of(penalty, w.view(2000, ROWS, DIM)).mean()
    assert independent == pytest.approx((ROWS - 1) / ROWS, rel=0.05)


def test_delta_norm_is_the_one_of_e4e_in_units_of_the_prior() -> None:
    space = space_of(WPlus)
    penalty, w = DeltaNorm(space), torch.randn(5, ROWS, DIM)
    published = sum(torch.linalg.norm(w[:, row] - w[:, 0], dim=1) for row in range(1, ROWS))
    unit = (ROWS - 1) * DIM**0.5 * space.spread
    torch.testing.assert_close(penalty_of(penalty, w) * unit, published)
    nearer = w[:, :1] + 0.01 * (w - w[:, :1])
    torch.testing.assert_close(penalty_of(penalty, nearer), 0.01 * penalty_of(penalty, w))
    rows = space.generator.sample(2000 * ROWS, torch.Generator().manual_seed(2), space="w").view(2000, ROWS, DIM)
    assert penalty_of(penalty, rows).square().mean() == pytest.approx(2, rel=0.3)


def test_delta_norm_has_a_gradient_everywhere() -> None:
    """Latents of w, where every Δ is 0, are where encoders and optimisations begin."""
    space = space_of(WPlus)
    w = torch.randn(3, 1, DIM).repeat(1, ROWS, 1)
    w[1, 2] += 1e-20
    w[2, 2] += 1.0
    w.requires_grad_()
    value = penalty_of(DeltaNorm(space), w)
    (gradient,) = torch.autograd.grad(value.sum(), w)
    assert value[0] == 0 and value[2] > 0
    assert gradient.isfinite().all() and (gradient[0] == 0).all() and (gradient[2, [0, 2]] != 0).any(dim=1).all()


@pytest.mark.parametrize("source", ["w", "w_plus"])
def test_in_domain_is_the_distance_to_what_is_found_again(guess: Callable[..., TrainedEncoder], source: str) -> None:
    space = space_of(WPlus)
    encoder = guess(space, source)
    penalty, v, image = InDomain(space, encoder), torch.randn(2, ROWS, DIM), torch.randn(2, 3, 16, 16)
    codes = encoder.network.body(image.flatten(1)).view(2, -1, DIM).expand(-1, ROWS, -1)
    expected = (v - codes).square().mean(dim=(1, 2)) / space.spread**2
    torch.testing.assert_close(penalty({"latent": v}, image), expected)
    assert penalty({"latent": codes}, image).abs().max() < 1e-9


def test_in_domain_pulls_the_latent_and_what_its_picture_shows(guess: Callable[..., TrainedEncoder]) -> None:
    space = space_of(W)
    penalty, v = InDomain(space, guess(space)), torch.randn(2, DIM).requires_grad_()
    image = space.decode(v)
    both, *parts = (
        torch.autograd.grad(penalty({"latent": latent}, picture).sum(), v)[0]
        for latent, picture in ((v, space.decode(v)), (v, image.detach()), (v.detach(), image))
    )
    torch.testing.assert_close(both, sum(parts))
    assert all((part != 0).any(dim=1).all() for part in parts)
    step = torch.randn(2, DIM)
    moved = (v + s * step for s in (1e-2, -1e-2))
    ahead, behind = (penalty({"latent": latent}, space.decode(latent)) for latent in moved)
    torch.testing.assert_close((ahead - behind) / 2e-2, (both * step).sum(dim=1), rtol=1e-2, atol=1e-2)


def test_in_domain_refuses_an_encoder_of_something_else(guess: Callable[..., TrainedEncoder]) -> None:
    space = space_of(W)
    for encoder in (replace(guess(space), space="style"), replace(guess(space), generator="another")):
        with pytest.raises(ValueError, match=r"^encoder: .*;") as error:
            InDomain(space, encoder)
        assert "\n" not in str(error.value)


def test_noise_maps_penalises_pictures_not_noise() -> None:
    penalty = NoiseMaps(space_of(W))
    latent, noise = torch.zeros(2, DIM), noise_of(2)
    ramp = torch.linspace(-1, 1, 16)
    noise["n1"][1, 0] = ramp[:, None] + ramp
    noise = {name: unit_noise(maps) for name, maps in noise.items()}
    values = penalty_of(penalty, latent, noise)
    assert values[1] > 20 * values[0]
    # one level by hand: neighbours to the right and below, around the edge
    maps = noise["n0"]
    by_hand = sum((maps[0, 0] * torch.roll(maps[0, 0], 1, d)).mean().square() for d in (0, 1))
    torch.testing.assert_close(correlation([maps])[0], by_hand)
    pooled = F.avg_pool2d(noise["n1"], 2)
    fine = sum((noise["n1"] * noise["n1"].roll(1, d)).mean(dim=(1, 2, 3)).square() for d in (2, 3))
    torch.testing.assert_close(correlation([noise["n1"]]), fine + correlation([pooled]))
    together = correlation([maps, noise["n1"], maps])  # maps of one size, and one that becomes as small
    torch.testing.assert_close(together, 2 * correlation([maps]) + correlation([noise["n1"]]))


def test_noise_is_brought_to_unit_size_by_image_and_map() -> None:
    noise = noise_of(3)
    noise["n0"][1] = noise["n0"][1] * 5 + 2
    noise["n1"][2] = 3.0
    alone = {name: unit_noise(maps[:1]) for name, maps in noise.items()}
    noise = {name: unit_noise(maps) for name, maps in noise.items()}
    for name, maps in noise.items():
        torch.testing.assert_close(maps[:1], alone[name])
        torch.testing.assert_close(maps.mean(dim=(1, 2, 3)), torch.zeros(3), rtol=0, atol=1e-6)
    rms = [maps.square().mean(dim=(1, 2, 3)).sqrt() for maps in noise.values()]
    torch.testing.assert_close(rms[0], torch.ones(3))
    torch.testing.assert_close(rms[1], torch.tensor([1.0, 1.0, 0.0]))


def test_what_does_not_fit_the_space_is_said_at_construction() -> None:
    wrong = {PNorm: space_of(Z), Spread: space_of(W), DeltaNorm: space_of(W), NoiseMaps: space_of(W, noisy=False)}
    for regularizer, space in wrong.items():
        with pytest.raises(ValueError, match=r"regularizer\.\w+: .*;") as error:
            regularizer(space)
        assert "\n" not in str(error.value)
    for regularizer, name in ((Spread, "spread"), (DeltaNorm, "delta_norm")):
        with pytest.raises(ValueError, match=f"^regularizer.{name}: only w_plus .* or remove {name} from regularizer$"):
            regularizer(space_of(W))
    with pytest.raises(ValueError, match="noise=optimize"):
        penalty_of(NoiseMaps(space_of(W)), torch.zeros(1, DIM))


def test_total_variation_is_the_mean_slope_and_likes_edges_no_less_than_ramps() -> None:
    variation = TotalVariation(space_of(W))
    flat, edge, ramp = torch.zeros(3, 3, 16, 16)
    edge[..., 8:] = 1
    ramp += torch.linspace(0, 1, 16)
    values = variation({}, torch.stack([flat, edge, ramp, edge.transpose(1, 2)]))
    wanted = 3**0.5 / 16  # three channels rise by 1 together along each line of 16 pixels
    torch.testing.assert_close(values, torch.tensor([0.0, wanted, wanted, wanted]), atol=0.004, rtol=0)
    assert values[0] == 0 and abs(values[1] - values[3]) < 1e-6
    still = torch.zeros(1, 3, 16, 16, requires_grad=True)
    variation({}, still).sum().backward()
    assert not still.grad.any()

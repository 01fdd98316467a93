"""Metrics: known values, independent computations, and one value per image that no other image touches."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from zstar.config.build import build
from zstar.images import to_unit
from zstar.metrics.base import AbstractMetric
from zstar.metrics.identity import Identity
from zstar.metrics.kid import KID
from zstar.metrics.lpips import LPIPS
from zstar.metrics.ms_ssim import MSSSIM
from zstar.metrics.mse import MSE
from zstar.metrics.perceptual import Perceptual
from zstar.metrics.psnr import PSNR
from zstar.metrics.ssim import SSIM


class Maps(nn.Module):
    """A network that no file is needed for: two random feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, stride=2)

    def forward(self, images: Tensor) -> list[Tensor]:
        first = self.first(images).relu()
        return [first, self.second(first).relu()]


def metrics() -> dict[str, AbstractMetric]:
    torch.manual_seed(0)
    return {"mse": MSE(), "psnr": PSNR(), "ssim": SSIM(), "ms_ssim": MSSSIM(), "perceptual": Perceptual(network=Maps())}


def pair(n: int = 3, side: int = 32, noise: float = 0.2, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Smooth targets and noisy images, a different noise for each."""
    rng = torch.Generator().manual_seed(1)
    coarse = torch.rand(n, channels, side // 8, side // 8, generator=rng) * 1.6 - 0.8
    target = nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(-1, 1)
    strength = torch.linspace(0.5, 1.5, n).reshape(n, 1, 1, 1) * noise
    return target + strength * torch.randn(target.shape, generator=rng), target


@pytest.mark.parametrize("shift", [0.02, 0.1, 0.5])
def test_a_constant_shift_has_the_exact_error(shift: float) -> None:
    target = torch.rand(4, 3, 8, 8) - 1  # [−1, 0], so that nothing is clamped
    image = target + 2 * shift
    assert torch.allclose(MSE()(image, target), torch.full((4,), shift**2), rtol=1e-5)
    assert torch.allclose(PSNR()(image, target), torch.full((4,), -20 * np.log10(shift)).float(), rtol=1e-5)


def test_what_no_screen_shows_does_not_count() -> None:
    target = torch.tensor([-1.0, 1.0]).repeat(8, 4).reshape(1, 1, 8, 8)
    assert MSE()(target * 3, target).item() == 0
    assert SSIM()(
        (target * 3).expand(1, 1, 8, 8).repeat(1, 1, 2, 2), target.repeat(1, 1, 2, 2)
    ).item() == pytest.approx(1)


def test_equal_images_have_the_best_value() -> None:
    _, target = pair(side=176)
    best = {"mse": 0, "psnr": 100, "ssim": 1, "ms_ssim": 1, "perceptual": 0}
    for name, metric in metrics().items():
        assert torch.allclose(metric(target, target), torch.full((3,), float(best[name])), atol=1e-5), name


def test_more_noise_is_worse_by_every_metric() -> None:
    image, target = pair(side=176)
    for name, metric in metrics().items():
        first, second, third = metric(image, target).tolist()
        assert (first > second > third) if metric.better == "higher" else (first < second < third), name


@pytest.mark.parametrize("side", [32, 176])
def test_a_batch_is_exactly_its_images(side: int) -> None:
    image, target = pair(side=side)
    for name, metric in metrics().items():
        together = metric(image, target)
        if together is None:
            assert (name, side) == ("ms_ssim", 32)
            continue
        alone = torch.cat([metric(image[i : i + 1], target[i : i + 1]) for i in range(3)])
        assert together.shape == (3,) and torch.allclose(together, alone, rtol=1e-4, atol=1e-6), name
        others = image.clone()
        others[1:] = torch.randn_like(others[1:])
        assert torch.allclose(metric(others, target)[0], together[0], rtol=1e-4, atol=1e-6), name


def test_psnr_is_of_each_image_not_of_the_mean_error() -> None:
    target = torch.zeros(2, 1, 4, 4)
    image = target + torch.tensor([0.02, 0.2]).reshape(2, 1, 1, 1)
    assert PSNR()(image, target).mean().item() == pytest.approx((40 + 20) / 2, abs=1e-3)


def by_hand(image: Tensor, target: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """SSIM and its contrast term for one channel in [0, 1], in double precision, inside the image only."""
    x, y = image.double().numpy(), target.double().numpy()

    def local(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, sigma=1.5, radius=5)[5:-5, 5:-5]

    mean_x, mean_y = local(x), local(y)
    var_x, var_y, cov = local(x * x) - mean_x**2, local(y * y) - mean_y**2, local(x * y) - mean_x * mean_y
    contrast = (2 * cov + 0.03**2) / (var_x + var_y + 0.03**2)
    return (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2) * contrast, contrast


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_an_independent_computation(channels: int) -> None:
    image, target = pair(side=24, channels=channels)
    value = SSIM()(image, target)
    for i in range(3):
        shown, wanted = to_unit(image[i]).clamp(0, 1), to_unit(target[i]).clamp(0, 1)
        expected = np.mean([by_hand(a, b)[0].mean() for a, b in zip(shown, wanted, strict=True)])
        assert value[i].item() == pytest.approx(expected, abs=1e-4)


def test_ms_ssim_agrees_with_an_independent_computation() -> None:
    image, target = pair(n=2, side=176)
    value = MSSSIM()(image, target)
    for i in range(2):
        x, y = to_unit(image[i : i + 1]).clamp(0, 1), to_unit(target[i : i + 1]).clamp(0, 1)
        expected = 1.0
        for scale, beta in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            whole, contrast = np.mean(
                [[t.mean() for t in by_hand(a, b)] for a, b in zip(x[0], y[0], strict=True)], axis=0
            )
            expected *= (whole if scale == 4 else contrast) ** beta
            x, y = nn.functional.avg_pool2d(x, 2), nn.functional.avg_pool2d(y, 2)
        assert value[i].item() == pytest.approx(expected, abs=1e-3)


def test_metrics_that_are_not_defined_at_a_size_say_so() -> None:
    assert SSIM()(*pair(side=8)) is None and SSIM()(*(t[..., :11, :] for t in pair(side=16))) is not None
    assert MSSSIM()(*pair(side=160)) is None
    assert MSSSIM()(*(t[..., :175] for t in pair(side=176))) is None


def test_perceptual_distance_by_hand_and_the_name_of_its_network() -> None:
    network = Maps()
    metric = Perceptual(network=network, layers=[1])
    image, target = pair()
    a, b = (nn.functional.normalize(network(t.clamp(-1, 1))[1], dim=1) for t in (image, target))
    assert torch.allclose(metric(image, target), (a - b).square().sum(dim=1).mean(dim=(1, 2)), atol=1e-5)
    assert metric.network == "Maps"
    assert Perceptual(network=network)(*pair(channels=1)).shape == (3,)
    with pytest.raises(ValueError, match="metric.perceptual.checkpoint: .*'no_such'"):
        Perceptual("no_such")
    with pytest.raises(ValueError, match="metric.kid.checkpoint: .*'no_such'"):
        KID("no_such")


def test_lpips_without_its_backbone_is_left_out_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"metric\.lpips\.backbone: .*alexnet.*set metric\.lpips\.backbone=<path>"
    ):
        LPIPS()
    with pytest.raises(ValueError, match="metric.lpips.backbone"):
        LPIPS(backbone=str(tmp_path / "missing.pth"))


def test_lpips_is_the_package_on_what_a_screen_shows(tmp_path: Path) -> None:
    import lpips as package

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package calls torchvision in an old way
        reference = package.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
    weights = {"features." + name.split(".", 1)[1]: value for name, value in reference.net.state_dict().items()}
    torch.save(weights, tmp_path / "squeeze.pth")
    metric = LPIPS(net="squeeze", backbone=str(tmp_path / "squeeze.pth"))
    image, target = pair(n=2, side=64, noise=0.5)
    with torch.no_grad():
        expected = reference(image.clamp(-1, 1), target.clamp(-1, 1)).flatten()
    assert torch.allclose(metric(image, target), expected, rtol=1e-4, atol=1e-6)
    assert metric.network == "squeeze" and metric.better == "lower"


class Means(nn.Module):
    """A vector for each image: the mean of each colour."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


def test_identity_is_the_angle_between_vectors() -> None:
    colours = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [1.0, 0, 0]])
    images = colours[:, :, None, None].expand(-1, -1, 20, 10)
    metric = Identity(Means(), size=[8, 4])
    assert metric(images, images[:1].expand(3, -1, -1, -1)).tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    assert metric(images * 5, images).tolist() == pytest.approx([0] * 3, abs=1e-6), "what no screen shows"
    assert metric.network == "Means" and metric.better == "lower"
    other = torch.cat([images[..., :5], images.roll(1, 1)[..., 5:]], dim=3)
    assert metric(other, images).min() > 0.01
    assert Identity(Means(), crop=[0, 1, 0, 0.5])(other, images).abs().max() < 1e-6, "a part is looked at"
    with pytest.raises(ValueError, match="metric.identity.crop: .* is no part of an image"):
        Identity(Means(), crop=[0.5, 0.2, 0, 1])


def test_every_file_builds_under_its_own_name(root: Path, composed: object) -> None:
    names = sorted(path.stem for path in (root / "conf" / "metric").glob("*.yaml"))
    chosen = composed("invert", f"metric=[{','.join(names)}]").metric
    assert sorted(chosen) == names
    for name in ("mse", "psnr", "ssim", "ms_ssim"):
        assert isinstance(build(chosen[name]), AbstractMetric)
    with pytest.raises(ValueError, match="metric.identity.network.checkpoint: no file is given"):
        build(chosen["identity"])

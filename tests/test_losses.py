"""Every loss in conf/loss keeps the contract, and each equals what it says it is."""

import importlib
import io
import sys
import tarfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import lpips
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy.signal import convolve2d
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet50

from zstar.config.build import build
from zstar.data.folder import Folder
from zstar.losses.base import AbstractLoss
from zstar.losses.boundary import Boundary
from zstar.losses.embedding import Embedding
from zstar.losses.gram import Gram
from zstar.losses.lpips import LPIPS
from zstar.losses.mobilefacenet import MobileFaceNet
from zstar.losses.moco import MoCoResNet50
from zstar.losses.ms_ssim import MSSSIM, scales
from zstar.losses.networks import VGG19Conv3
from zstar.losses.patch_nce import PatchNCE, places
from zstar.losses.perceptual import Perceptual
from zstar.losses.pixel import Pixel
from zstar.losses.realism import Realism
from zstar.losses.stlpips import STLPIPS

ROOT = Path(__file__).parents[1]
ASSETS = ROOT.parent / "shared" / "assets"
FILES = {
    **dict.fromkeys(("vgg19", "gram", "content"), ASSETS / "vgg19-conv3" / "vgg_normalised_conv3_1.pth"),
    "squeezenet11": ASSETS / "squeezenet11" / "squeezenet1_1_features.caffe_bgr255.converted.pth",
    "identity": ASSETS / "mobilefacenet" / "mobilefacenet_068.ckpt",
}
SIZE = 48
NAMES = sorted(path.stem for path in (ROOT / "conf" / "loss").glob("*.yaml"))


class Tiny(nn.Module):
    """Two random feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.2))
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU())

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.first(image)
        return [fine, self.second(fine)]


def make(name: str, request: pytest.FixtureRequest) -> AbstractLoss:
    """The loss as conf/ has it, with the weights that there are."""
    cfg = yaml.safe_load((ROOT / "conf" / "loss" / f"{name}.yaml").read_text())[name]
    if name.startswith("lpips"):
        cfg["pnet_rand"] = True
    if name in FILES:
        if not FILES[name].is_file():
            pytest.skip(f"needs assets/{FILES[name].parent.name}")
        cfg["network"]["checkpoint"] = str(FILES[name])
    if name == "moco":  # of smaller images, for the sake of time
        cfg |= {"size": [64, 64]}
        cfg["network"]["checkpoint"] = str(request.getfixturevalue("moco_checkpoint"))
    if name in ("discriminator", "realism"):
        cfg["checkpoint"] = str(request.getfixturevalue("projected_judge"))
    if name == "perceptual" and not (ROOT / "src/zstar/weights/annotator64.safetensors").is_file():
        return Perceptual(Tiny())
    return build(cfg)


@pytest.fixture(scope="module", params=NAMES)
def loss(request: pytest.FixtureRequest) -> AbstractLoss:
    torch.manual_seed(0)
    return make(request.param, request)


def pictures(n: int, size: int = SIZE, seed: int = 0) -> Tensor:
    """Smooth random pictures in [−1, 1] with some grain."""
    rng = torch.Generator().manual_seed(seed)
    smooth = F.interpolate(torch.randn(n, 3, 8, 8, generator=rng), size=size, mode="bicubic")
    return (smooth + 0.2 * torch.randn(n, 3, size, size, generator=rng)).tanh()


def test_every_file_is_covered() -> None:
    assert {"pixel", "lpips", "perceptual", "vgg19", "ms_ssim"} <= set(NAMES)


def test_one_value_per_image_as_alone(loss: AbstractLoss) -> None:
    image, target = pictures(3), pictures(3, seed=1)
    together = loss(image, target)
    assert together.shape == (3,) and (together > 0).all()
    alone = torch.cat([loss(image[i : i + 1], target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


def test_gradient_is_each_images_own(loss: AbstractLoss) -> None:
    target, image = pictures(3, seed=1), pictures(3)
    other = image.clone()
    other[1] = pictures(1, seed=9)[0]
    gradients = []
    for batch in (image, other):
        batch = batch.clone().requires_grad_()
        gradients.append(torch.autograd.grad(loss(batch, target).sum(), batch)[0])
    assert gradients[0].isfinite().all() and (gradients[0].abs().amax(dim=(1, 2, 3)) > 0).all()
    for index in (0, 2):
        scale = gradients[0][index].abs().max().item()
        torch.testing.assert_close(gradients[0][index], gradients[1][index], rtol=1e-3, atol=1e-5 * scale)
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_zero_at_the_target_and_finite_gradient_on_flat_images(loss: AbstractLoss) -> None:
    image = pictures(2)
    if isinstance(loss, Realism):  # which has no target
        assert torch.equal(loss(image, image), loss(image, pictures(2, seed=1)))
        return
    torch.testing.assert_close(loss(image, image), torch.zeros(2), rtol=0, atol=1e-6)
    flat = torch.zeros(1, 3, SIZE, SIZE).requires_grad_()
    for target in (torch.zeros(1, 3, SIZE, SIZE), torch.ones(1, 3, SIZE, SIZE)):
        assert torch.autograd.grad(loss(flat, target).sum(), flat)[0].isfinite().all()


def test_grows_with_distortion(loss: AbstractLoss) -> None:
    if isinstance(loss, Realism):
        pytest.skip("a discriminator with random weights takes no picture for better than another")
    target, noise = pictures(2), torch.randn(2, 3, SIZE, SIZE)
    values = torch.stack([loss((target + s * noise).clamp(-1, 1), target) for s in (0.0, 0.1, 0.3, 0.9)])
    assert (values[1:] > values[:-1]).all()


def test_weight_map(loss: AbstractLoss) -> None:
    target = pictures(2)
    spoilt = target.clone()
    spoilt[..., :12] = pictures(2, seed=3)[..., :12]
    ignoring, everywhere = torch.zeros(2, 1, SIZE, SIZE), torch.ones(2, 1, SIZE, SIZE)
    ignoring[..., 36:] = 1  # far from the spoilt part, but receptive fields are wide
    if isinstance(loss, Realism):  # which judges whole pictures
        assert torch.equal(loss(spoilt, target, ignoring), loss(spoilt, target))
        return
    if isinstance(loss, Embedding | Gram):  # a vector has no places, and a texture has none
        with pytest.raises(ValueError, match=r"^loss: an? (embedding by \w+|Gram matrix) .*give it mask=null$"):
            loss(spoilt, target, ignoring)
        return
    if isinstance(loss, Boundary):  # which counts outside of the map, and there beside it alone
        ignoring = torch.zeros(2, 1, SIZE, SIZE)
        ignoring[..., :12] = 1
        for width in (1, 5, None):
            loss.width = width
            torch.testing.assert_close(loss(spoilt, target, ignoring), torch.zeros(2), rtol=0, atol=1e-6)
            assert (loss(spoilt, target, 1 - ignoring) > 0).all()
        return
    plain = loss(spoilt, target)
    torch.testing.assert_close(loss(spoilt, target, ignoring), torch.zeros(2), rtol=0, atol=1e-6)
    assert (loss(spoilt, target, 1 - ignoring) > plain).all()
    torch.testing.assert_close(loss(spoilt, target, everywhere), plain, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss(spoilt, target, 3 * everywhere), plain, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss(spoilt, target, 0 * everywhere), torch.zeros(2), rtol=0, atol=1e-6)
    coarse = F.avg_pool2d(ignoring, 12)
    found = loss.compare(loss.features(spoilt), loss.features(target), coarse)
    assert (found < 0.35 * plain).all()


def test_stays_in_eval_whatever_the_parent_says(loss: AbstractLoss) -> None:
    parent = nn.Sequential(loss).train()
    assert not any(module.training for module in parent[0].modules())


@pytest.mark.parametrize("loss_class", [Pixel, MSSSIM])
def test_exactly_local_losses_ignore_weight_zero_entirely(loss_class: type[AbstractLoss]) -> None:
    target, image = pictures(2), pictures(2, seed=1)
    spoilt, weights = image.clone(), torch.ones(2, 1, SIZE, SIZE)
    weights[..., 20:35, :27] = 0
    spoilt[..., 20:35, :27] = 1.0
    loss = loss_class()
    torch.testing.assert_close(loss(image, target, weights), loss(spoilt, target, weights), rtol=1e-5, atol=1e-6)


def test_pixel_kinds() -> None:
    image, target = torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, 3, 4, 4)
    values = {"l1": 0.5, "l2": 0.25, "huber": 0.1 * (0.5 - 0.05)}
    for kind, value in values.items():
        torch.testing.assert_close(Pixel(kind)(image, target), torch.tensor([value]))
    torch.testing.assert_close(Pixel("huber", delta=1.0)(image, target), torch.tensor([0.125]))
    for wrong in ({"kind": "l2", "delta": 0.1}, {"kind": "huber", "delta": -1.0}):
        with pytest.raises(ValueError, match="loss.pixel.delta"):
            Pixel(**wrong)


@pytest.mark.filterwarnings("ignore:.*deprecated.*:UserWarning")
@pytest.mark.parametrize("net", ["alex", "squeeze", pytest.param("vgg", marks=pytest.mark.slow)])
def test_lpips_equals_the_package(net: str) -> None:
    ours, theirs = LPIPS(net, pnet_rand=True), lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    theirs.net.load_state_dict(ours.trunk.state_dict())
    image, target = pictures(3, 80), pictures(3, 80, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(ours(image, target), theirs(image, target).flatten(), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_stlpips_equals_its_package(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, unused in (
        ("torchsummary", {"summary": None}),
        ("IPython", {"embed": None}),
    ):  # imported and never called
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**unused))
    package = importlib.import_module("stlpips_pytorch.stlpips")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = package.LPIPS(net=net, variant="shift_tolerant", verbose=False)
    image, target = pictures(2, size=64), pictures(2, size=64, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(STLPIPS(net)(image, target), theirs(image, target).flatten(), rtol=1e-4, atol=1e-6)


def test_stlpips_has_the_distances_that_are_known_of_real_pictures() -> None:
    folder = ASSETS / "stlpips_alexnet"
    if not folder.is_dir():
        pytest.skip("needs assets/stlpips_alexnet")
    known = load_file(folder / "io.safetensors")
    loss = STLPIPS(checkpoint=str(folder / "weights.safetensors"))
    for name in ("p0", "p1"):
        found = loss(known["ref"], known[name])
        torch.testing.assert_close(found, known[f"distance_ref_{name}"], rtol=0, atol=1e-4)


def test_stlpips_says_how_to_get_its_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("zstar.losses.stlpips.PACKAGE", "no_such_package")
    with pytest.raises(ImportError, match=r"pip install 'zstar\[stlpips\]'"):
        STLPIPS()
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    for checkpoint in (tmp_path / "a.safetensors", tmp_path / "none.safetensors"):
        with pytest.raises(ValueError, match=r"loss.stlpips.checkpoint: .*alex_shift_tolerant.pth"):
            STLPIPS(checkpoint=str(checkpoint))


def test_lpips_backbone_from_a_file_and_small_grey_images(tmp_path: Path) -> None:
    random = LPIPS("alex", pnet_rand=True)
    # torchvision's file: features.<i>.* of all slices, and a classifier that is of no use here
    state = {"features." + name.split(".", 1)[1]: value + 0.01 for name, value in random.trunk.state_dict().items()}
    torch.save({**state, "classifier.1.weight": torch.zeros(2, 2)}, tmp_path / "alex.pth")
    loss = LPIPS("alex", backbone=str(tmp_path / "alex.pth"))
    torch.testing.assert_close(loss.trunk.slice2[1].weight, random.trunk.slice2[1].weight + 0.01)
    image = pictures(2, 28)[:, :1]
    large = F.interpolate(image, size=64, mode="bilinear").expand(-1, 3, -1, -1)
    torch.testing.assert_close(loss(image, -image), loss(large, -large))
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    for path in (tmp_path / "none.pth", tmp_path / "wrong.pth", Path(__file__)):
        with pytest.raises(ValueError, match="loss.lpips.backbone"):
            LPIPS("alex", backbone=str(path))


def test_lpips_says_where_its_backbone_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError) as error:
        LPIPS("vgg")
    path = tmp_path / "checkpoints" / "vgg16-397923af.pth"
    assert all(part in str(error.value) for part in (str(path), "loss.lpips.backbone=<path>", "https://", "stlpips"))
    assert "\n" not in str(error.value)


def test_lpips_random_backbone_is_one_and_leaves_the_seed_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = LPIPS("squeeze", pnet_rand=True)
    assert torch.rand(1) == expected
    image, target = pictures(1), pictures(1, seed=1)
    assert torch.equal(first(image, target), LPIPS("squeeze", pnet_rand=True)(image, target))


def test_perceptual_layers_by_position_and_by_name() -> None:
    network, image, target = Tiny(), pictures(2), pictures(2, seed=1)
    per_layer = [Perceptual(network, [i])(image, target) for i in (0, 1)]
    torch.testing.assert_close(Perceptual(network)(image, target), torch.stack(per_layer).mean(dim=0))
    torch.testing.assert_close(Perceptual(network, ["second"])(image, target), per_layer[1])
    torch.testing.assert_close(Perceptual(network, [1, 0])(image, target), Perceptual(network)(image, target))
    assert all((value <= 4).all() for value in per_layer)
    for layers in (["third"], []):
        with pytest.raises(ValueError, match="loss.perceptual.layers"):
            Perceptual(network, layers)
    with pytest.raises(ValueError, match="loss.perceptual.layers"):
        Perceptual(network, [2])(image, target)


def test_networks_from_files_say_which_file_is_missing() -> None:
    for name in ["vgg19", "squeezenet11", "identity", "moco"]:
        cfg = yaml.safe_load((ROOT / "conf" / "loss" / f"{name}.yaml").read_text())[name]
        with pytest.raises(Exception, match=f"loss.{name}.network.checkpoint=<path>"):
            build(cfg)


def test_vgg19_is_the_real_one() -> None:
    """These weights are scaled to a mean activation of 1 on photos, in every layer."""
    photos = ASSETS / "celeba-5k" / "images_89x109.tar"
    if not FILES["vgg19"].is_file() or not photos.is_file():
        pytest.skip("needs assets/vgg19-conv3 and assets/celeba-5k")
    network, images = VGG19Conv3(str(FILES["vgg19"])), []
    with tarfile.open(photos) as tar:
        for member in tar:
            if member.isfile() and len(images) < 8:
                picture = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
                images.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 127.5 - 1)
    maps = network(torch.stack(images))
    assert [m.shape[1] for m in maps] == [64, 64, 128, 128, 256]
    assert all(0.5 < m.mean() < 2 for m in maps), [m.mean().item() for m in maps]


def test_mobilefacenet_knows_who_is_who() -> None:
    faces = ASSETS / "celeba-5k" / "images_89x109.tar"
    if not FILES["identity"].is_file() or not faces.is_file():
        pytest.skip("needs assets/mobilefacenet and assets/celeba-5k")
    network = MobileFaceNet(str(FILES["identity"]))
    images = Folder(str(faces), resolution=109, fit="resize", count=16).read(range(16)).images
    loss, whole = Embedding(network, [112, 96], [0.25, 0.82, 0.2, 0.8]), Embedding(network, [112, 96])
    with torch.no_grad():
        known, uncut = loss.features(images), whole.features(images)
        flipped, dimmed = loss(images.flip(3), images), loss((images + 1) * 0.6 - 1, images)
    strangers, around = loss.compare(known, [known[0].roll(1, 0)]), loss.compare(uncut, [uncut[0].roll(1, 0)])
    assert flipped.mean() < 0.1 and flipped.max() < 0.25 and dimmed.mean() < 0.1, (flipped, dimmed)
    assert 0.9 < strangers.mean() < 1.1 and strangers.min() > flipped.max(), strangers
    assert around.mean() < 0.8  # with hair and background, strangers look alike: the crop matters
    with pytest.raises(ValueError, match=r"loss\.\*\.size: MobileFaceNet sees 112×96 pixels, not 109×109; set size to"):
        network(images)


def test_moco_is_a_resnet50_without_its_head(moco_checkpoint: Path, tmp_path: Path) -> None:
    network = MoCoResNet50(str(moco_checkpoint))
    state = torch.load(moco_checkpoint, weights_only=True)["state_dict"]
    theirs = resnet50().eval()
    prefix = "module.encoder_q."
    missing = theirs.load_state_dict(
        {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix) and ".fc." not in name},
        strict=False,
    )
    assert missing.missing_keys == ["fc.weight", "fc.bias"] and not missing.unexpected_keys
    theirs.fc = nn.Identity()
    image = pictures(2, 64)
    unit = [image[:, i] / 2 + 0.5 for i in range(3)]  # ImageNet's colours: RGB in [0, 1], minus mean, by deviation
    colours = zip(unit, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    with torch.no_grad():
        found = network(image)
        torch.testing.assert_close(found, theirs(torch.stack([(c - m) / s for c, m, s in colours], dim=1)))
    assert found.shape == (2, 2048) and not any(p.requires_grad for p in network.parameters())
    torch.save({"state_dict": {"module.encoder_q.conv1.weight": torch.zeros(1)}}, tmp_path / "wrong.pth")
    for path in (tmp_path / "none.pth", tmp_path / "wrong.pth", Path(__file__)):
        with pytest.raises(ValueError, match="loss.moco.network.checkpoint") as error:
            MoCoResNet50(str(path))
        assert "\n" not in str(error.value)


class Means(nn.Module):
    """Mean colour of the left and the right half."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([half.mean(dim=(2, 3)) for half in image.chunk(2, dim=3)], dim=1)


def test_embedding_is_the_cosine_distance_of_a_part() -> None:
    image, target = pictures(3), pictures(3, seed=1)
    left, right = Means()(image), Means()(target)
    loss = Embedding(Means())
    torch.testing.assert_close(loss(image, target), 1 - F.cosine_similarity(left, right))
    torch.testing.assert_close(loss(image, 0.5 * image), torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(loss(image, -image), torch.full((3,), 2.0))
    grey = image[:, :1]
    torch.testing.assert_close(loss(grey, -target[:, :1]), loss(grey.expand(-1, 3, -1, -1), -target[:, [0, 0, 0]]))
    part, spoilt = Embedding(Means(), crop=[0.25, 1.0, 0.0, 0.5]), image.clone()
    spoilt[:, :, :12], spoilt[..., 24:] = 1.0, -1.0
    assert torch.equal(part(image, target), part(spoilt, target))
    torch.testing.assert_close(part(image, target), loss(image[:, :, 12:, :24], target[:, :, 12:, :24]))
    # fine stripes are averaged away, not sampled
    stripes = torch.ones(1, 3, 64, 64)
    stripes[..., ::2] = -1
    mean = Embedding(nn.Flatten(), [4, 4]).features(0.5 + stripes)[0]
    torch.testing.assert_close(mean, torch.full_like(mean, 48**-0.5), rtol=0.1, atol=0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": [64]}, r"loss\.\*\.size: \[64\] is no height and width in pixels; set it to"),
        ({"size": [0, 64]}, r"loss\.\*\.size: \[0, 64\] is no height"),
        ({"crop": [0.5, 0.2, 0.0, 1.0]}, r"loss\.\*\.crop: \[0\.5, 0\.2, 0\.0, 1\.0\] is no part of an image; give"),
        ({"crop": [0.0, 1.0]}, r"loss\.\*\.crop: "),
        ({"crop": [0.0, 1.5, 0.0, 1.0]}, r"loss\.\*\.crop: "),
        (
            {"network": nn.Conv2d(3, 4, 3)},
            r"loss\.\*\.network: Conv2d gives \[1, 4, 46, 46\], not one vector per image; ",
        ),
        ({"network": Tiny()}, r"loss\.\*\.network: Tiny gives list, not one vector per image; "),
    ],
)
def test_embedding_says_what_is_wrong(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        Embedding(**({"network": Means()} | given)).features(pictures(1))


@pytest.mark.parametrize(("size", "count"), [(11, 1), (43, 2), (64, 3), (88, 4), (175, 4), (176, 5), (512, 5)])
def test_ms_ssim_scales(size: int, count: int) -> None:
    assert scales(size, size + 7) == count


@pytest.mark.parametrize("size", [64, 180])
def test_ms_ssim_equals_its_definition(size: int) -> None:
    target = pictures(1, size)
    image = (target + 0.3 * pictures(1, size, seed=1)).clamp(-1, 1)
    x, y = (np.asarray(t[0].double()) / 2 + 0.5 for t in (image, target))
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    betas = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[: scales(size, size)]
    product = 1.0
    for scale, beta in enumerate(betas / betas.sum()):

        def local(v: np.ndarray) -> np.ndarray:
            return np.stack([convolve2d(channel, window, mode="valid") for channel in v])

        a, b, aa, bb, ab = local(x), local(y), local(x * x), local(y * y), local(x * y)
        term = (2 * (ab - a * b) + 9e-4) / (aa - a * a + bb - b * b + 9e-4)
        if scale == len(betas) - 1:
            term = term * (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
        product *= term.mean() ** beta
        half = len(x[0]) // 2
        x, y = (v[:, : 2 * half, : 2 * half].reshape(3, half, 2, half, 2).mean(axis=(2, 4)) for v in (x, y))
    assert MSSSIM()(image, target).item() == pytest.approx(1 - product, abs=1e-5)


def test_ms_ssim_pulls_even_from_the_opposite_and_refuses_tiny_images() -> None:
    target = pictures(1)
    image = (-target).requires_grad_()
    values, loss = [], MSSSIM()
    for _ in range(60):
        value = loss(image, target)
        (gradient,) = torch.autograd.grad(value.sum(), image)
        image = (image - 0.3 * gradient / gradient.square().mean().sqrt().clamp_min(1e-20)).detach()
        image = image.clamp(-1, 1).requires_grad_()
        values.append(value.item())
    assert values[0] > 0.9 and values[-1] < 0.7
    with pytest.raises(ValueError, match="loss.ms_ssim"):
        loss(target[..., :8, :8], target[..., :8, :8])


def test_patch_nce_is_the_cross_entropy_of_finding_each_place_again() -> None:
    loss = PatchNCE(Tiny(), temperature=0.2, patches=100)
    image, target = pictures(2), pictures(2, seed=1)
    for size, most in ((2304, 100), (576, 100), (576, 600), (97, 96)):
        chosen = places(size, most, torch.device("cpu")).tolist()
        assert len(set(chosen)) == min(size, most) and max(chosen) < size
        quarters = np.bincount([4 * place // size for place in chosen], minlength=4)
        assert quarters.max() <= 1.3 * quarters.min(), "all over the map"
    expected = torch.zeros(2)
    for q, k in zip(loss.maps(image), loss.maps(target), strict=True):
        chosen = places(q.shape[2] * q.shape[3], 100, q.device)
        q, k = (F.normalize(each, dim=1).flatten(2)[:, :, chosen].mT for each in (q, k))
        for row in range(2):
            labels = torch.arange(100)
            for sign, one in ((1, q), (-1, k)):
                expected[row] += sign * F.cross_entropy(one[row] @ k[row].T / 0.2, labels) / 2
    torch.testing.assert_close(loss(image, target), expected, rtol=1e-4, atol=1e-5)
    shifted, brighter = target.roll(6, dims=3), (0.5 * target).clamp(-1, 1)
    assert (loss(brighter, target) < 0.5 * loss(shifted, target)).all(), "what a part is counts, not how bright"

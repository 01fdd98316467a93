"""Found directions: against independent computations, on planted ones, and the contract that all of them keep."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from parameters import slowly
from torch import nn

from zstar.annotations.base import AbstractAnnotation, ScoredLatents
from zstar.config.build import build, offer
from zstar.config.check import check
from zstar.directions.attribute import Attribute
from zstar.directions.choose import find_directions
from zstar.directions.file import File
from zstar.directions.ganspace import GANSpace
from zstar.directions.interfacegan import InterFaceGAN, without
from zstar.directions.library import load_directions, save_directions
from zstar.directions.linear import Linear
from zstar.directions.principal import StreamedCovariance
from zstar.directions.published import Published
from zstar.directions.random import Random
from zstar.directions.sefa import SeFa
from zstar.generators.base import AbstractGenerator
from zstar.generators.module import Module
from zstar.generators.stylegan2 import StyleGAN2
from zstar.spaces.base import AbstractSpace
from zstar.spaces.style import Style
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z
from zstar.stats.streams import stream

ROOT = Path(__file__).parents[1]


class Planted(AbstractAnnotation):
    """Scores that are linear in the latent, but for a little noise: attribute i is coordinate i, ``both`` 0 and 1."""

    names = ("first", "second", "both", "same", "unknown")

    def __init__(self, count: int = 600, binary: bool = False, noise: float = 0.1) -> None:
        self.count, self.binary, self.noise = count, binary, noise

    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        rng = torch.Generator().manual_seed(0)
        latents = space.sample(self.count, rng)
        flat = latents.flatten(1)
        scores = torch.stack([flat[:, 0], flat[:, 1], flat[:, 0] + flat[:, 1]], dim=1)
        scores = scores + self.noise * torch.randn(scores.shape, generator=rng)
        same, unknown = torch.ones(self.count, 1), torch.full((self.count, 1), torch.nan)
        scores = (scores > 0).float() if self.binary else scores
        return ScoredLatents(latents, torch.cat([scores, same, unknown], dim=1), self.names, {"annotation": "planted"})


class Given(AbstractAnnotation):
    """One attribute with these scores, of latents drawn from the prior."""

    names = ("smile",)

    def __init__(self, *scores: float) -> None:
        self.scores = torch.tensor(scores)[:, None]

    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        latents = space.sample(len(self.scores), torch.Generator().manual_seed(0))
        return ScoredLatents(latents, self.scores, self.names, {})


class Untouched(AbstractAnnotation):
    """An annotation that nobody may ask for latents."""

    names = ("season", "roof_hue")

    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        raise AssertionError("names are checked first")


@pytest.mark.parametrize(
    ("kinds", "node", "words", "sentence"),
    [
        (
            "ai",
            {"attributes": ["seson"]},
            {},
            "direction.mine.attributes: there is no 'seson'; choose from season, roof",
        ),
        (
            "i",
            {"conditional": {"season": ["hue"]}},
            {},
            "direction.mine.conditional: there is no 'hue'; choose from sea",
        ),
        ("ai", {}, {"only": ["seson"]}, "only: no direction is called 'seson'; choose from season, roof_hue"),
        ("ai", {}, {"strengths": ["seson"]}, "strengths: no direction is called 'seson'; choose from season, roof_hue"),
    ],
)
def test_names_are_checked_before_anything_is_sought(
    kinds: str, node: dict, words: dict, sentence: str, tiny: AbstractGenerator
) -> None:
    targets = {"a": "zstar.directions.attribute.Attribute", "i": "zstar.directions.interfacegan.InterFaceGAN"}
    for kind in kinds:
        nodes = {"mine": {"_target_": targets[kind], **node}}
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
            find_directions(nodes, W(tiny, 10), {"annotation": Untouched()}, **words)


@pytest.mark.parametrize("name", ["ganspace", "sefa", "random", "attribute", "interfacegan"])
def test_what_is_found_is_what_was_announced(name: str, tiny: AbstractGenerator) -> None:
    settings = {"ganspace": {"samples": 50, "components": 2}, "interfacegan": {"least": 4}}.get(name, {})
    node = OmegaConf.to_container(OmegaConf.load(f"{ROOT}/conf/direction/{name}.yaml"))[name] | settings
    finder = offer(node, annotation=Planted(60))
    found = finder.find(W(tiny, 10))
    assert found and [one for one in finder.candidates if one in found] == list(found)


class DCGAN(nn.Module):
    """z [b, 6, 1, 1] → 8×8; the first layer is a transposed convolution, or a convolution in wide padding."""

    def __init__(self, transposed: bool = True, scaled: bool = False) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(6, 5, 4) if transposed else nn.Conv2d(6, 5, 4, padding=3)
        self.last = nn.ConvTranspose2d(5, 3, 2, stride=2)
        self.scaled = scaled

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(2 * z if self.scaled else z).relu()).tanh()


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.cosine_similarity(one.flatten().double(), other.flatten().double(), dim=0))


def angles(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The angle between each pair of lines, in radians; by sine, as the cosine loses small angles."""
    one, other = (torch.nn.functional.normalize(x.double(), dim=1) for x in (one, other))
    return (one - (one * other).sum(dim=1, keepdim=True) * other).norm(dim=1).asin()


def vectors(found: dict[str, Linear]) -> torch.Tensor:
    return torch.stack([direction.vector for direction in found.values()])


@pytest.fixture(scope="module")
def shipped() -> AbstractGenerator:
    return StyleGAN2(checkpoint="cottages64")


@pytest.fixture
def z(tiny: AbstractGenerator) -> Z:
    return Z(tiny)


def test_attribute_finds_what_was_planted(z: Z) -> None:
    for planted in (Planted(4000), Planted(4000, binary=True)):
        found = Attribute(planted).find(z)
        assert list(found) == ["first", "second", "both"]  # what all have alike, and what nobody knows, is passed over
        first, second, both = (found[name].vector for name in found)
        assert cosine(first, torch.eye(16)[0]) > 0.97 and cosine(second, torch.eye(16)[1]) > 0.97
        assert cosine(both, first + second) > 0.97
        torch.testing.assert_close(first.norm(), torch.tensor(1.0), atol=0.05, rtol=0)  # the prior's σ
        assert found["first"].label.scores["auc"] > 0.95 and found["first"].label.found["annotation"] == "planted"
    noise = Attribute(Planted(60, noise=100), ["first"]).find(z)["first"].label.scores["auc"]
    assert 0.2 < noise < 0.8  # held out, so that a small sample does not flatter itself


def test_attribute_is_the_difference_of_the_means(z: Z) -> None:
    scores = (1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, torch.nan)
    found = Attribute(Given(*scores)).find(z)["smile"]
    latents = Given(*scores).annotate(z).latents
    expected = latents[[0, 2, 4]].mean(dim=0) - latents[[1, 3, 5, 6]].mean(dim=0)
    assert cosine(found.vector, expected) > 1 - 1e-6
    assert found.label.found["exemplars"] == [3, 4]


def test_interfacegan_finds_what_was_planted_and_holds_out(z: Z) -> None:
    found = InterFaceGAN(Planted(2000), share=0.1, least=100).find(z)
    assert list(found) == ["first", "second", "both"]
    assert cosine(found["first"].vector, torch.eye(16)[0]) > 0.99
    assert found["first"].label.scores["accuracy"] > 0.97 and 0.9 < found["first"].label.scores["accuracy_all"] < 1
    noise = InterFaceGAN(Planted(400, noise=100), ["first"], share=0.1, least=20).find(z)["first"].label
    assert noise.scores["accuracy"] < 0.85


def test_a_rare_attribute_is_not_overlooked(z: Z) -> None:
    latents = z.sample(600, torch.Generator().manual_seed(0))
    rare = (latents[:, 0] + 0.5 * torch.randn(600) > 1.9).float().tolist()  # a few in a hundred, and not separable
    label = InterFaceGAN(Given(*rare)).find(z)["smile"].label
    assert 0.02 < sum(rare) / 600 < 0.08 and label.scores["accuracy_all"] > 0.8
    blind = InterFaceGAN(Given(*(torch.rand(600) < 0.05).float().tolist())).find(z)["smile"].label
    assert label.scores["accuracy"] > 0.7 and blind.scores["accuracy"] < 0.7


def test_interfacegan_moves_one_without_the_others(z: Z) -> None:
    finder = InterFaceGAN(Planted(2000), ["both"], share=0.1, least=100, conditional={"both": ["first"]})
    found = finder.find(z)
    assert list(found) == ["both"] and found["both"].label.meaning == "more both, the same first"
    assert abs(cosine(found["both"].vector, torch.eye(16)[0])) < 0.06  # the boundary of first is that near to its axis
    assert cosine(found["both"].vector, torch.eye(16)[1]) > 0.97


@pytest.mark.parametrize("count", [1, 3, 5])
def test_the_conditional_projection_is_orthogonal_to_all(count: int) -> None:
    normal, *others = torch.nn.functional.normalize(torch.randn(1 + count, 12, dtype=torch.float64), dim=1)
    others = [*others, others[0] * 0.6 + others[-1] * 0.8]  # one that depends on the rest
    left = without(normal, others)
    assert max(abs(float(left @ other)) for other in others) < 1e-12
    assert left.norm() > 0.1 and torch.allclose(without(left, others), left)
    assert without(others[-1], others).norm() < 1e-12


@pytest.mark.parametrize("kind", [Attribute, InterFaceGAN])
@pytest.mark.parametrize(
    ("scores", "settings", "reason"),
    [
        ((1, 1, 1, 1), {"attributes": ["smile"]}, "'smile' is 1 for all 4 images, so there are no two groups"),
        ((torch.nan,) * 4, {"attributes": ["smile"]}, "'smile' is known for no image"),
        ((1, 1, 0, 0, 0, 0), {"attributes": ["smile"]}, "'smile' has 2 exemplars with it and 4 without"),
        ((0.1, 0.2, 0.3, 0.4), {"attributes": ["smile"]}, "'smile' has 2 exemplars with it and 2 without"),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0.1, 1), {"attributes": ["smile"], "share": 0.5}, None),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 0.1, 1, 0), {"attributes": ["smile"], "share": 0.4}, None),
        ((1, 1, 1, 1), {}, "no attribute has exemplars with and without it"),
        ((1, 0), {"attributes": ["grin"]}, "there is no 'grin'; choose from smile"),
        ((1, 0), {"attributes": []}, "the list is empty"),
        ((1, 0), {"share": 0.6}, "0.6 is not possible"),
    ],
)
def test_bad_groups_get_one_sentence(z: Z, kind: type, scores: tuple, settings: dict, reason: str | None) -> None:
    key = kind.__name__.lower()
    with pytest.raises(ValueError, match=rf"^direction\.{key}\.(attributes|share): " + (reason or "")) as error:
        kind(Given(*map(float, scores)), **settings).find(z)
    assert "\n" not in str(error.value)


def test_bad_conditions_get_one_sentence(z: Z) -> None:
    with pytest.raises(ValueError, match=r"conditional\.a: \[\] is no list of other attributes"):
        InterFaceGAN(Planted(), conditional={"a": []})
    with pytest.raises(ValueError, match=r"conditional: 'both' is not in direction\.interfacegan\.attributes"):
        InterFaceGAN(Planted(), ["first"], conditional={"both": ["first"]})
    with pytest.raises(ValueError, match=r"conditional: there is no 'grin'"):
        InterFaceGAN(Planted(), conditional={"both": ["grin"]}).find(z)
    with pytest.raises(ValueError, match=r"attributes: 'same' is 1 for all"):
        InterFaceGAN(Planted(), ["both"], least=50, conditional={"both": ["same"]}).find(z)


def test_streamed_covariance_is_that_of_the_whole() -> None:
    x, y = torch.randn(500, 7, dtype=torch.float64) * 3 + 1e4, torch.randn(500, 4, dtype=torch.float64)
    y = y + x[:, :4]
    moments = StreamedCovariance()
    for a, b in zip(x.split(33), y.split(33), strict=True):
        moments.add(a, b)
    torch.testing.assert_close(moments.mean, x.mean(dim=0))
    torch.testing.assert_close(moments.covariance, torch.cov(x.T))
    torch.testing.assert_close(moments.cross, torch.cov(torch.cat([y, x], dim=1).T)[:4, 4:])


@pytest.mark.parametrize("samples", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_ganspace_is_the_covariance_of_w(shipped: AbstractGenerator, samples: int) -> None:
    found = GANSpace(components=8, samples=samples, seed=3).find(W(shipped))
    rng = stream("samples of ganspace", 3)
    w = torch.cat([shipped.sample(10_000, rng, space="w") for _ in range(samples // 10_000)]).double().numpy()
    values, axes = np.linalg.eigh(np.cov(w.T))
    expected = torch.from_numpy(axes[:, ::-1][:, :8].T.copy())
    assert angles(vectors(found), expected).max() < 1e-3
    torch.testing.assert_close(vectors(found).norm(dim=1).double(), torch.from_numpy(values[::-1][:8].copy()).sqrt())
    explained = [direction.label.scores["explained"] for direction in found.values()]
    assert np.allclose(explained, values[::-1][:8] / values.sum())
    largest = vectors(found).abs().argmax(dim=1, keepdim=True)
    assert (vectors(found).gather(1, largest) > 0).all()


def test_ganspace_in_rows_of_w_plus(tiny: AbstractGenerator) -> None:
    w = vectors(GANSpace(components=3, samples=3000).find(W(tiny)))
    for space in (W(tiny), WPlus(tiny)):
        rows = GANSpace(components=3, samples=3000, rows=[1, 2]).find(space)
        assert {direction.space for direction in rows.values()} == {"w_plus"}
        expected = torch.zeros(3, 6, 16)
        expected[:, 1:3] = w[:, None]
        torch.testing.assert_close(vectors(rows), expected)
    torch.testing.assert_close(
        vectors(GANSpace(components=3, samples=3000).find(WPlus(tiny))), w[:, None].expand(3, 6, -1)
    )


def test_ganspace_of_a_layer_is_least_squares(tiny: AbstractGenerator) -> None:
    found = GANSpace(components=4, samples=64, layer="b4", seed=1).find(Z(tiny))
    rng, latents, maps = stream("samples of ganspace", 1), [], []
    for _ in range(2):
        latents.append(tiny.sample(32, rng))
        with tiny.reading("b4") as seen:
            tiny.synthesize(latents[-1], "z")
        maps.append(seen["b4"].flatten(1))
    z, y = torch.cat(latents).double().numpy(), torch.cat(maps).double().numpy()
    centred = y - y.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:4]
    solution = np.linalg.lstsq(centred @ axes.T, z - z.mean(axis=0), rcond=None)[0]
    assert angles(vectors(found), torch.from_numpy(solution)).max() < 1e-3
    assert ((vectors(found).norm(dim=1) - 1).abs() < 0.1).all()
    assert GANSpace(2, 64, "b8").find(WPlus(tiny))["ganspace_0"].vector.shape == (6, 16)
    assert GANSpace(2, 64, "b8", rows=[0, 0]).find(W(tiny))["ganspace_0"].vector[1:].abs().max() == 0


def test_what_ganspace_can_not_do_is_said(tiny: AbstractGenerator) -> None:
    for space, settings, reason in (
        (Z(tiny), {}, r"layer: the prior of z is alike in all directions.*set .*layer to one of b4, b8.*space=w"),
        (W(tiny), {"layer": "b5"}, "layer: StyleGAN2 has no layer 'b5'"),
        (W(tiny), {"rows": [2, 9]}, r"direction\.ganspace\.rows: \[2, 9\] are no rows of w; set it to two of 0 to 5"),
        (Style(tiny), {"rows": [0, 1]}, r"direction\.ganspace\.rows: \[0, 1\] are no rows of style; set it to null"),
        (W(tiny), {"components": 17, "samples": 100}, r"components: there are \d+ of them and not 17"),
    ):
        with pytest.raises(ValueError, match=reason):
            GANSpace(**settings).find(space)


def test_sefa_is_the_svd_of_the_stacked_weights(shipped: AbstractGenerator) -> None:
    synthesis, styles = shipped.synthesis, ["b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0"]
    stacked = np.concatenate([synthesis.get_submodule(f"{name}.affine").weight.double().numpy() for name in styles])
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True)
    _, sizes, axes = np.linalg.svd(stacked, full_matrices=False)
    found = SeFa(count=6, layers=["0-3"]).find(WPlus(shipped))
    assert found["sefa_0"].label.found["layers"] == styles and found["sefa_0"].label.found["rows"] == [0, 1, 2, 3]
    for row in range(4):
        assert angles(vectors(found)[:, row], torch.from_numpy(axes[:6])).max() < 1e-3
    assert vectors(found)[:, 4:].abs().max() == 0
    shares = [direction.label.scores["eigenvalue"] for direction in found.values()]
    assert np.allclose(shares, sizes[:6] ** 2 / (sizes**2).sum()) and shares == sorted(shares, reverse=True)
    plain = SeFa(count=128, normalize=False).find(W(shipped))
    everything = [name for name in synthesis.style_rows if not name.endswith("torgb") or name == "b64.torgb"]
    weights = [synthesis.get_submodule(f"{name}.affine").weight.double().numpy() for name in everything]
    axes = np.linalg.svd(np.concatenate(weights), full_matrices=False)[2]
    assert angles(vectors(plain), torch.from_numpy(axes)).max() < 1e-3


def test_sefa_chooses_layers(tiny: AbstractGenerator) -> None:
    def moved(*layers: str | int) -> tuple[list[str], list[int]]:
        (found,) = SeFa(count=1, layers=layers).find(W(tiny)).values()
        assert found.space == "w_plus"
        assert found.vector.abs().sum(dim=1).nonzero()[:, 0].tolist() == found.label.found["rows"]
        return found.label.found["layers"], found.label.found["rows"]

    assert moved("b8") == (["b8.conv0", "b8.conv1"], [1, 2])
    assert moved("b8.torgb", "b4.conv1") == (["b4.conv1", "b8.torgb"], [0, 3])
    assert moved(5) == (["b16.torgb"], [5])
    for wrong in ("b5", "4-2", "0-6", "x"):
        with pytest.raises(ValueError, match=rf"direction\.sefa\.layers: '{wrong}' is no layer; give rows .* 0 to 5"):
            SeFa(layers=[wrong]).find(W(tiny))
    with pytest.raises(ValueError, match="affine maps of w, not of z; choose space=w"):
        SeFa().find(Z(tiny))


@pytest.mark.parametrize("transposed", [True, False])
def test_sefa_of_a_generator_without_styles_takes_its_first_layer(transposed: bool) -> None:
    network = DCGAN(transposed)
    space = Z(Module(network, [6, 1, 1]))
    found = SeFa(count=6).find(space)
    weight = network.first.weight.detach().double()
    weight = weight.flatten(1).T if transposed else weight.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2)
    axes = np.linalg.svd(torch.nn.functional.normalize(weight, dim=1).numpy(), full_matrices=False)[2]
    assert angles(vectors(found).flatten(1), torch.from_numpy(axes)).max() < 1e-3
    with pytest.raises(ValueError, match=r"layers: Module has no styles to choose \[0\] from"):
        SeFa(layers=[0]).find(space)
    with pytest.raises(
        ValueError, match="in Module no linear or convolutional layer takes the latents of z as they are"
    ):
        SeFa().find(Z(Module(DCGAN(scaled=True), [6, 1, 1])))
    with pytest.raises(ValueError, match=r"direction\.sefa\.count: 7 directions are more than the 6 dimensions"):
        SeFa(count=7).find(space)


def test_random_directions_depend_on_the_seed_alone(tiny: AbstractGenerator) -> None:
    for kind in ("prior", "isotropic"):
        one, same, other = (vectors(Random(3, kind, seed).find(WPlus(tiny))) for seed in (0, 0, 1))
        assert torch.equal(one, same) and not torch.allclose(one, other)
        assert (one[:, 0] == one[:, 1]).all() == (kind == "prior")
    along = vectors(Random(20).find(Z(tiny))).norm(dim=1)
    assert ((along - 1).abs() < 0.1).all()


def test_published_files_are_read(shared: Path, tmp_path: Path) -> None:
    folder = shared / "assets" / "stylegan-w-stats"
    faces = StyleGAN2(resolution=8, z_dim=512, w_dim=512, num_mapping_layers=1, channel_max=8)
    smile = Published(str(folder / "stylegan_ffhq_smile_w_boundary.npy")).find(W(faces))
    (vector,) = vectors(smile)
    assert list(smile) == ["stylegan_ffhq_smile_w_boundary"] and vector.norm() == pytest.approx(1)
    age = Published(str(folder / "e4e_stylegan2_age.pt"), "e4e", names=["age"]).find(WPlus(faces))["age"]
    assert age.space == "w_plus" and (age.vector == age.vector[0]).all() and age.label.found["method"] == "e4e"
    parts = Published(str(folder / "ganspace_ffhq_pca.pt")).find(W(faces))
    content = torch.load(folder / "ganspace_ffhq_pca.pt", map_location="cpu", weights_only=True)
    assert len(parts) == 80 and parts["ganspace_ffhq_pca_0"].label.unit == "σ"
    torch.testing.assert_close(vectors(parts), content["comp"][:, 0] * content["std"][:, None])
    whole = np.load(folder / "ffhq_PCA.npz")
    two = Published(str(folder / "ffhq_PCA.npz"), names=["a", "b"]).find(W(faces))
    assert list(two) == ["a", "b"] and np.allclose(two["b"].vector, whole["X_comp"][1] * whole["X_stdev"][1])
    pose = str(folder / "e4e_stylegan2_pose.pt")
    rows = torch.load(pose, map_location="cpu", weights_only=True)  # of a generator of 1024 pixels, and all are equal
    (turned,) = Published(pose).find(WPlus(faces)).values()
    assert rows.shape == (1, 18, 512) and turned.space == "w" and torch.equal(turned.vector, rows[0, 7])
    with pytest.raises(ValueError, match="pulse_gaussian_fit.pt holds mean, std, and no components"):
        Published(str(folder / "pulse_gaussian_fit.pt")).find(W(faces))
    written = Published(pose.replace("pose", "age"), names=["age"]).find(W(faces))
    save_directions(tmp_path / "age.safetensors", written, faces)
    read = load_directions(tmp_path / "age.safetensors", faces)
    assert torch.equal(read["age"].vector, written["age"].vector) and read["age"].label == written["age"].label


def test_what_is_no_published_direction_is_said(tiny: AbstractGenerator, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (print, ("run",))

    np.save(tmp_path / "short.npy", np.ones((1, 7)))
    np.save(tmp_path / "many.npy", np.ones((2, 16)))
    np.save(tmp_path / "nan.npy", np.full((1, 16), np.nan))
    np.save(tmp_path / "text.npy", np.array([["a"] * 16]))
    np.save(tmp_path / "evil.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    torch.save({"v": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "torn.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:90])
    np.save(tmp_path / "right.npy", np.ones(16))
    for name, settings, reason in (
        ("none.npy", {}, r"direction\.published\.path: there is no file"),
        ("short.npy", {}, r"the vectors in .* are \(7,\), and latents of w are \(16,\)"),
        ("many.npy", {}, r"holds \(2, 16\), and one direction is"),
        ("nan.npy", {}, "not finite"),
        ("text.npy", {}, "holds a ndarray where a direction's numbers are expected"),
        ("evil.npy", {}, "is not read"),
        ("evil.pt", {}, "is not read, because it asks for"),
        ("torn.npy", {}, "is not read"),
        (
            "right.npy",
            {"format": "e4e"},
            r"format: .* is by its content of interfacegan and not of e4e; set it to null",
        ),
        ("right.npy", {"names": ["a", "b"]}, r"names: \['a', 'b'\] is no list of 1 to 1 different names"),
        ("right.npy", {"space": "v"}, "has no space 'v'"),
    ):
        with pytest.raises(ValueError, match=reason) as error:
            Published(str(tmp_path / name), **settings).find(W(tiny))
        assert "\n" not in str(error.value)
    assert Published(str(tmp_path / "right.npy"), space="z").find(W(tiny))["right"].space == "z"


def test_a_file_gives_the_directions_that_are_asked_for(tiny: AbstractGenerator, tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    save_directions(path, Random(3).find(W(tiny)), tiny)
    assert list(File(str(path)).find(W(tiny))) == ["random_0", "random_1", "random_2"]
    assert list(File(str(path), ["random_2", "random_0"]).find(Z(tiny))) == ["random_2", "random_0"]
    with pytest.raises(ValueError, match=r"direction\.file\.names: there is no 'r' in .*; choose from random_0"):
        File(str(path), ["r"]).find(W(tiny))


TINY = {
    "attribute": {"attributes": ["season", "area/roof"]},
    "interfacegan": {"attributes": ["season"], "conditional": {"season": ["time_of_day"]}, "least": 30},
    "ganspace": {"components": 2, "samples": 2000},
    "sefa": {"count": 2},
    "random": {"count": 2},
    "local": {"regions": ["roof"], "samples": 32},
}


@pytest.fixture(scope="module")
def settings(shipped: AbstractGenerator, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict]:
    folder = tmp_path_factory.mktemp("directions")
    save_directions(folder / "found.safetensors", Random(1).find(W(shipped)), shipped)
    np.save(folder / "published.npy", shipped.sample(1, torch.Generator().manual_seed(0)).numpy())
    files = {"file": {"path": str(folder / "found.safetensors")}, "published": {"path": str(folder / "published.npy")}}
    return lambda name: (TINY | files).get(name, {})


@pytest.fixture(scope="module")
def annotation() -> AbstractAnnotation:
    return build(OmegaConf.load(Path(__file__).parents[1] / "conf" / "annotation" / "annotator.yaml"), count=200)


FINDERS = sorted(path.stem for path in (Path(__file__).parents[1] / "conf" / "direction").glob("*.yaml"))


@pytest.mark.parametrize("name", [slowly(name, "attribute") for name in FINDERS])
def test_the_contract(
    name: str,
    root: Path,
    shipped: AbstractGenerator,
    settings: Callable,
    annotation: AbstractAnnotation,
    tmp_path: Path,
) -> None:
    cfg = OmegaConf.load(root / "conf" / "direction" / f"{name}.yaml")
    assert list(cfg) == [name]
    node = OmegaConf.merge(cfg[name], settings(name))
    check({"direction": {name: node}})
    found = offer(node, annotation=annotation).find(W(shipped))
    assert found
    save_directions(tmp_path / "found.safetensors", found, shipped)
    read = load_directions(tmp_path / "found.safetensors", shipped)
    assert list(read) == list(found)
    for key, direction in found.items():
        space = direction.space or "w"
        v = {"latent": shipped.sample(3, torch.Generator().manual_seed(5), space=space)}
        before = shipped.render(v, space)
        still, there = direction.carry(shipped, v, space, torch.zeros(3))
        assert torch.equal(still["latent"], v["latent"]) and torch.equal(shipped.render(still, there), before)
        alpha = torch.tensor([direction.label.low, 0.0, direction.label.high]).clamp(-2, 2)
        moved, there = direction.carry(shipped, v, space, alpha)
        assert direction.space is None or torch.equal(moved["latent"][1], v["latent"][1])
        again, _ = read[key].carry(shipped, v, space, alpha)
        assert all(torch.equal(again[name], moved[name]) for name in moved) and read[key].label == direction.label
        images = shipped.render(moved, there)
        changed = (images - before).abs().mean(dim=(1, 2, 3))
        assert all(float(change) > 0.003 for change, a in zip(changed, alpha, strict=True) if a != 0), (key, changed)
        assert torch.equal(images[1], before[1])
        assert images.isfinite().all() and math.isfinite(sum(direction.label.scores.values()))

"""Trained encoders: read from a file of anybody's, checked against the generator, and used by invert.py."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from zstar.checkpoints import io
from zstar.checkpoints.io import save_weights
from zstar.data.cottages import Cottages
from zstar.encoders import trained
from zstar.encoders.base import EncoderSpec
from zstar.encoders.psp import PSP
from zstar.encoders.resnet import ResNet
from zstar.encoders.restyle import ReStyle
from zstar.encoders.trained import TrainedEncoder, find_encoder, load_encoder
from zstar.generators.base import AbstractGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.projection.job import make_job
from zstar.projection.run import run
from zstar.spaces.base import AbstractSpace
from zstar.spaces.style import Style
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z

FOLDER = Path(tempfile.mkdtemp(prefix="zstar-"))
SIZES = {"width": 8, "width_max": 16, "blocks": 1}
PART = {"_target_": "zstar.encoders.psp.PSP", "_partial_": True, **SIZES, "pyramid": 8}
NODES = {
    "resnet": {"_target_": "zstar.encoders.resnet.ResNet", "_partial_": True, **SIZES, "hidden": 16},
    "psp": PART,
    "restyle": {"_target_": "zstar.encoders.restyle.ReStyle", "_partial_": True, "passes": 3, "encoder": PART},
}


def build_network(name: str, space: AbstractSpace) -> torch.nn.Module:
    """The network of a node, with weights as if it were trained."""
    spec = EncoderSpec.of(space)
    if name == "restyle":
        made = ReStyle(spec, partial(PSP, **SIZES, pyramid=8), passes=3)
    else:
        made = ResNet(spec, **SIZES, hidden=16) if name == "resnet" else PSP(spec, **SIZES, pyramid=8)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    return made.eval()


def card_for(name: str, space: AbstractSpace) -> dict[str, Any]:
    generator = space.generator
    sizes = {"resolution": generator.resolution, "channels": generator.channels, "space": space.name}
    return {"kind": "encoder", "network": NODES[name], **sizes, "generator": generator.fingerprint()}


def write(name: str, space: AbstractSpace, path: Path) -> torch.nn.Module:
    network = build_network(name, space)
    save_weights(path, network.state_dict(), card_for(name, space))
    return network


@pytest.fixture(scope="module")
def other() -> AbstractGenerator:
    """Another generator of the same sizes."""
    torch.manual_seed(5)
    return StyleGAN2(resolution=16, z_dim=16, w_dim=16, num_mapping_layers=2, channel_max=16)


@pytest.fixture
def images() -> torch.Tensor:
    return Cottages(4, resolution=16).read(range(4)).images


@pytest.mark.parametrize(("name", "kind"), [("resnet", W), ("resnet", Z), ("psp", WPlus), ("restyle", WPlus)])
def test_what_is_written_is_read(
    name: str, kind: type[AbstractSpace], tiny: AbstractGenerator, images: torch.Tensor, tmp_path: Path
) -> None:
    space = kind(tiny, prior_samples=200)
    network = write(name, space, tmp_path / "mine.safetensors")
    read = load_encoder(tmp_path / "mine.safetensors", space=space)
    assert (read.space, read.generator, read.name) == (space.name, tiny.fingerprint(), "mine")
    assert not read.network.training and not any(weight.requires_grad for weight in read.network.parameters())
    latents = read(space, images)
    assert len(latents) == network.passes
    expected = TrainedEncoder(network, space.name)(space, images)
    assert all(map(torch.equal, latents, expected)) and read.fingerprint() == TrainedEncoder(network, "").fingerprint()
    assert (latents[-1][0] - latents[-1][1]).abs().max() > 1e-4


def test_passes_refine_and_only_where_the_network_looks_back(tiny: AbstractGenerator, images: torch.Tensor) -> None:
    space = WPlus(tiny, prior_samples=200)
    twice = TrainedEncoder(build_network("restyle", space), "w_plus")
    found = twice(space, images, passes=2)
    by_hand = twice.network(images, found[0], space.decode(found[0]))
    torch.testing.assert_close(found[1], by_hand)
    start = space.mean.expand(4, *space.shape)
    torch.testing.assert_close(found[0], twice.network(images, start, space.decode(start)))
    with pytest.raises(ValueError, match=r"projector\.encoder\.passes: PSP finds in 2 passes what it finds in 1"):
        TrainedEncoder(build_network("psp", space), "w_plus")(space, images, passes=2)


def test_gradients_reach_the_images(tiny: AbstractGenerator, images: torch.Tensor) -> None:
    space = WPlus(tiny, prior_samples=200)
    images.requires_grad_(True)
    TrainedEncoder(build_network("restyle", space).requires_grad_(False), "w_plus")(space, images)[-1].sum().backward()
    assert images.grad.abs().amax(dim=(1, 2, 3)).min() > 0


def test_a_poorer_space_is_lifted(tiny: AbstractGenerator, images: torch.Tensor) -> None:
    w = W(tiny, prior_samples=200)
    encoder = TrainedEncoder(build_network("resnet", w), "w", tiny.fingerprint(), "mine")
    (code,) = encoder(w, images)
    for kind in (WPlus, Style):
        space = kind(tiny, prior_samples=200)
        (latent,) = encoder.require_compatible(space)(space, images)
        assert latent.shape == (4, *space.shape)
        torch.testing.assert_close(space.decode(latent), w.decode(code), atol=1e-4, rtol=1e-4)
    z = Z(tiny, prior_samples=200)
    assert encoder.incompatibility(z) == "mine gives latents of w, which are no latents of z"
    with pytest.raises(ValueError, match="train one for this generator with python train.py task=encoder space=z"):
        encoder.require_compatible(z)


def test_another_generator_is_refused_by_name(
    tiny: AbstractGenerator, other: AbstractGenerator, tmp_path: Path
) -> None:
    write("resnet", W(tiny, prior_samples=200), tmp_path / "mine.safetensors")
    with pytest.raises(ValueError) as error:
        load_encoder(tmp_path / "mine.safetensors", space=W(other, prior_samples=200))
    assert str(error.value) == (
        "encoder: mine was trained for another generator; train one for this generator with python train.py "
        "task=encoder space=w, or choose projector=[mean,optimization]"
    )
    larger = StyleGAN2(resolution=32, z_dim=16, w_dim=16, num_mapping_layers=1, channel_max=8)
    own = TrainedEncoder(build_network("resnet", W(tiny, prior_samples=200)), "w", None, "mine")
    assert own.incompatibility(W(other, prior_samples=200)) is None  # a network of one's own belongs to whom one says
    assert own.incompatibility(W(larger, prior_samples=200)) == "mine sees 3×16×16 images"
    narrow = StyleGAN2(resolution=16, z_dim=8, w_dim=8, num_mapping_layers=1, channel_max=8)
    assert own.incompatibility(W(narrow, prior_samples=200)) == "mine gives latents of shape (16,)"


def test_the_shipped_one_is_found_by_its_generator(
    tiny: AbstractGenerator, other: AbstractGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("resnet", W(tiny, prior_samples=200), tmp_path / "small.safetensors")
    write("psp", WPlus(tiny, prior_samples=200), tmp_path / "tall.safetensors")
    save_weights(tmp_path / "thing.safetensors", {"a": torch.zeros(1)}, {"kind": "annotator"})
    monkeypatch.setattr(io, "all_shipped", lambda: sorted(tmp_path.glob("*.safetensors")))
    assert find_encoder(Style(tiny, prior_samples=200)).name == "tall"
    assert find_encoder(WPlus(tiny, prior_samples=200)).name == "tall"
    assert find_encoder(W(tiny, prior_samples=200)).name == "small"
    assert find_encoder(Z(tiny, prior_samples=200)) is None
    assert find_encoder(W(other, prior_samples=200)) is None


WRITE = {"_target_": "pathlib.Path.write_text", "self": {"_target_": "pathlib.Path", "_args_": ["@"]}, "data": "x"}
OBJECT = "a card can only name one of the classes in zstar.encoders"
NETWORK = NODES["resnet"]
ITERATED = NODES["restyle"]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (NETWORK | {"width": WRITE}, "network.width holds a dict"),
        (NETWORK | {"width": [8, WRITE]}, "network.width holds a dict"),
        (NETWORK | {"width": {"a": 1}}, "network.width holds a dict"),
        (NETWORK | {"_args_": [WRITE]}, "network._args_ is no setting"),
        (NETWORK | {"_recursive_": True}, "network._recursive_ is no setting"),
        (NETWORK | {"spec": [0.0]}, "network.spec is no setting"),
        (NETWORK | {"shape": [4]}, "network.shape is no setting"),
        (NETWORK | {"colour": 3}, "network.colour is no setting of ResNet"),
        (NETWORK | {"width": "abc"}, "network.width is 'abc'"),
        (NETWORK | {"width": 9}, "must be multiples of 8"),
        (NETWORK | {"blocks": 10**9}, "cannot be used"),
        (NETWORK | {"hidden": 10**30}, "cannot be used"),
        (NETWORK | {"hidden": -1}, "cannot be used"),
        (ITERATED | {"encoder": WRITE}, OBJECT),
        (ITERATED | {"encoder": ITERATED}, "can't iterate itself"),
        (ITERATED | {"encoder": "zstar.encoders.psp.PSP"}, "network.encoder is 'zstar.encoders.psp.PSP'"),
        (ITERATED | {"encoder": PART | {"resolution": 8}}, "network.resolution is no setting of PSP"),
        (ITERATED | {"passes": 10**9}, "encoder.passes: 1000000000 is not possible"),
        (WRITE, OBJECT),
        (NETWORK | {"_target_": "os.system"}, OBJECT),
        (NETWORK | {"_target_": "zstar.encoders.trained.load_encoder"}, OBJECT),
        (NETWORK | {"_target_": "zstar.encoders.base.AbstractEncoder"}, OBJECT),
        (NETWORK | {"_target_": "zstar.encoders.trunk.Trunk"}, OBJECT),
        (NETWORK | {"_target_": "zstar.encoders...annotators.resnet.ResNet"}, OBJECT),
        (NETWORK | {"_target_": "zstar.encoders.absent.ResNet"}, OBJECT),
        (NETWORK | {"_target_": WRITE}, OBJECT),
        ("zstar.encoders.resnet.ResNet", "network is a str"),
        (None, "network is a NoneType"),
    ],
)
def test_a_card_runs_nothing(network: object, reason: str, tiny: AbstractGenerator, tmp_path: Path) -> None:
    write("resnet", W(tiny, prior_samples=200), path := tmp_path / "mine.safetensors")
    victim, card = tmp_path / "victim.txt", tmp_path / "mine.json"
    victim.write_text("precious")
    content = card_for("resnet", W(tiny, prior_samples=200)) | {"network": network}
    card.write_text(json.dumps(content).replace('"@"', json.dumps(str(victim))))
    with pytest.raises(ValueError) as caught:
        load_encoder(path)
    assert reason in str(caught.value) and "\n" not in str(caught.value) and str(card) in str(caught.value)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "annotator"}, "is no encoder by its card"),
        ({"kind": None}, "is no encoder by its card"),
        ({"resolution": "16"}, "resolution is '16' and must be a whole number"),
        ({"resolution": True}, "resolution is True and must be a whole number"),
        ({"resolution": 10**9}, "encoder.resolution: 1000000000 is not possible"),
        ({"channels": None}, "channels is None and must be a whole number"),
        ({"channels": 0}, "encoder.channels: 0 is not possible"),
        ({"space": 3}, "space and generator must be names"),
        ({"generator": None}, "space and generator must be names"),
        ({"channels": 1}, "mine.safetensors"),  # the weights are for three
    ],
)
def test_a_card_that_says_too_little_is_named(
    change: dict[str, Any], reason: str, tiny: AbstractGenerator, tmp_path: Path
) -> None:
    write("resnet", W(tiny, prior_samples=200), path := tmp_path / "mine.safetensors")
    content = {k: v for k, v in (card_for("resnet", W(tiny, prior_samples=200)) | change).items() if v is not None}
    (tmp_path / "mine.json").write_text(json.dumps(content))
    with pytest.raises(ValueError) as caught:
        load_encoder(path)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": None}, {"spread": None}, {"spread": torch.zeros(3)}, {"mean": torch.zeros(2, 3, 4, 5)},
        {"mean": torch.zeros(100_000, 1)}, {"mean": torch.zeros(0)}, {"mean": torch.zeros(())},
        {"extra": torch.zeros(1)},
    ],
    ids=lambda change: str({name: None if value is None else tuple(value.shape) for name, value in change.items()}),
)  # fmt: skip
def test_weights_that_do_not_go_with_the_card_are_named(
    change: dict[str, Any], tiny: AbstractGenerator, tmp_path: Path
) -> None:
    space = W(tiny, prior_samples=200)
    state = build_network("psp", space).state_dict() | change
    path = tmp_path / "mine.safetensors"
    save_weights(path, {name: value for name, value in state.items() if value is not None}, card_for("psp", space))
    with pytest.raises(ValueError) as caught:
        load_encoder(path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_a_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file and no shipped weights are called 'missing'"):
        load_encoder("missing")
    save_weights(tmp_path / "a.safetensors", {"a": torch.zeros(1)}, {})
    (tmp_path / "a.json").unlink()
    with pytest.raises(ValueError, match="is no encoder by its card"):
        load_encoder(tmp_path / "a.safetensors")


# The main job.

TINY = [
    "generator=stylegan2", f"generator.checkpoint={FOLDER}/tiny.safetensors", "data.resolution=16", "data.count=3",
    "space=w", "space.prior_samples=200", "loss=[pixel]", "metric=[mse]", "logger=none", "steps=3",
]  # fmt: skip
TRAINED = ["encoder=trained", f"encoder.checkpoint={FOLDER}/encoder.safetensors"]


@pytest.fixture(scope="module", autouse=True)
def files(tiny: StyleGAN2, store_generator: Callable[..., None]) -> Iterator[None]:
    """A generator and an encoder for it."""
    store_generator(FOLDER / "tiny.safetensors", tiny)
    write("resnet", W(tiny, prior_samples=200), FOLDER / "encoder.safetensors")
    yield
    shutil.rmtree(FOLDER)


def test_projector_encoder_is_the_network_alone(
    composed: Callable[..., Any], tmp_path: Path, tiny: AbstractGenerator
) -> None:
    result = run(composed("invert", *TINY, *TRAINED, "projector=[encoder]", f"output={tmp_path}"))
    assert result["method"] == "encoder"
    latents = io.load_weights(Path(result["folder"]) / "latents.safetensors")
    space = W(tiny, prior_samples=200)
    images = Cottages(3, resolution=16).read(range(3)).images
    (expected,) = load_encoder(FOLDER / "encoder.safetensors")(space, images)
    torch.testing.assert_close(latents["latent"], expected, atol=1e-5, rtol=1e-5)
    assert latents["evaluations"].tolist() == [1] * 3


def test_the_default_chain_is_the_hybrid_method(composed: Callable[..., Any], tmp_path: Path) -> None:
    result = run(composed("invert", *TINY, *TRAINED, f"output={tmp_path}"))
    assert result["method"] == "encoder+optimization"
    assert result["summary"]["mse"]["start"] is not None


def test_without_an_encoder_the_default_starts_at_the_mean_and_says_so(
    composed: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    result = run(composed("invert", *TINY, f"output={tmp_path}"))
    said = "".join(capsys.readouterr())
    assert "encoder: none ships for this generator in w, so the projection starts at the prior's mean" in said
    assert "python train.py task=encoder space=w" in said and result["method"] == "mean+optimization"
    named = run(composed("invert", *TINY, "projector=[mean,optimization]", f"output={tmp_path}/named"))
    one, two = (io.load_weights(Path(r["folder"]) / "latents.safetensors")["latent"] for r in (result, named))
    assert torch.equal(one, two)


@pytest.mark.parametrize(
    "words",
    [
        ["projector=[encoder]"],
        ["projector=[encoder,optimization]"],
        ["projector=[mean,encoder,optimization]"],
        ["method=igan_hybrid"],
        ["method=psp"],
        ["method=idinvert"],
    ],
)
def test_a_method_that_is_about_an_encoder_is_an_error_without_one(
    words: list[str], composed: Callable[..., Any]
) -> None:
    kept = TINY if "method" not in words[0] else [word for word in TINY if not word.startswith("space=")]
    with pytest.raises(ValueError) as error:
        make_job(composed("invert", *kept, *words))
    reason = r"encoder: \w+ needs one, and none is chosen or none ships for this generator and space; train"
    assert re.match(reason, str(error.value))
    assert [type(p).__name__ for p in make_job(composed("invert", *TINY, "projector=[mean]")).pipeline.projectors] == [
        "Mean"
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["encoder=psp"], "encoder: this is a network without weights, for train.py task=encoder"),
        ([*TRAINED, "space=z"], "encoder: encoder gives latents of w, which are no latents of z"),
        (
            [*TRAINED, "projector=[encoder]", "projector.encoder.passes=2"],
            "projector.encoder.passes: ResNet finds in 2 passes",
        ),
        (
            [*TRAINED, "projector=[encoder]", "projector.encoder.passes=0"],
            "projector.encoder.passes: 0 is not possible",
        ),
        (["encoder=trained"], "encoder.checkpoint: has no value; set encoder.checkpoint="),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, composed: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError) as error:
        run(composed("invert", *TINY, *words, f"output={tmp_path}"))
    assert str(error.value).startswith(sentence)


def test_a_lifted_encoder_serves_a_richer_space(composed: Callable[..., Any]) -> None:
    for space in ("w_plus", "style"):
        job = make_job(composed("invert", *TINY, *TRAINED, f"space={space}"))
        assert [type(p).__name__ for p in job.pipeline.projectors] == ["Encoder", "Optimization"] and not job.notices


def test_other_weights_are_another_run(composed: Callable[..., Any], tiny: AbstractGenerator) -> None:
    key = make_job(composed("invert", *TINY, *TRAINED)).key
    again = make_job(composed("invert", *TINY, *TRAINED)).key
    weights, path = FOLDER / "encoder.safetensors", FOLDER / "encoder.bak"
    shutil.copy(weights, path)
    state = io.load_weights(weights)
    save_weights(weights, state | {"spread": state["spread"] * 2}, io.read_card(weights))
    changed = make_job(composed("invert", *TINY, *TRAINED)).key
    shutil.move(path, weights)
    assert key == again != changed


def test_every_finished_encoder_has_a_file(root: Path) -> None:
    nodes = {path.stem: OmegaConf.load(path) for path in (root / "conf" / "encoder").glob("*.yaml")}
    finished = {name for name, node in nodes.items() if not node.get("_partial_")}
    assert {"shipped", "trained"} <= finished
    assert all(hasattr(trained, nodes[name]._target_.rpartition(".")[2]) for name in finished)

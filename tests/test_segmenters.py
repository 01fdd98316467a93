"""Segmenters: every choice of conf/segmenter keeps the protocol, and what does not fit is one sentence."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from torch import nn

from zstar.checkpoints.identity import identify
from zstar.checkpoints.io import save_weights
from zstar.config.build import build
from zstar.generators.stylegan2 import StyleGAN2
from zstar.segmenters.base import KINDS, AbstractSegmenter, make_kinds

CONF = Path(__file__).parents[1] / "conf" / "segmenter"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))


class Bright(nn.Module):
    """Two classes, dark and bright, at half the size of images in [0, 1]; a dict, as some networks give."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        grey = nn.functional.avg_pool2d(images.mean(dim=1, keepdim=True), 2)
        return {"scores": torch.cat([0.5 - grey, grey - 0.5 + self.bias], dim=1)}


def write_torchvision(folder: Path) -> Path:
    torch.manual_seed(0)
    network = torchvision.models.get_model(
        "lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=3
    )
    save_weights(folder / "lraspp.safetensors", network.state_dict(), {})
    return folder / "lraspp.safetensors"


def write_transformers(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_sizes": [8, 8, 8, 8], "num_attention_heads": [1, 1, 1, 1], "depths": [1, 1, 1, 1]}
    names = {0: "sky", 1: "tree", 2: "door"}
    config = transformers.SegformerConfig(
        **sizes, decoder_hidden_size=8, id2label=names, label2id={name: i for i, name in names.items()}
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder / "segformer")
    return folder / "segformer"


def settings(name: str, folder: Path) -> dict[str, Any]:
    """What a user adds to the file of a choice."""
    if name == "module":
        network = {"_target_": f"{__name__}.Bright"}
        return {"network": network, "names": ["dark", "bright"], "input_range": [0, 1], "output": "scores"}
    if name == "torchvision":
        file = write_torchvision(folder)
        own = {"model": "lraspp_mobilenet_v3_large", "checkpoint": str(file), "size": 64}
        return {**own, "names": ["sky", "tree", "door"]}
    if name == "transformers":
        return {"path": str(write_transformers(folder)), "size": 64}
    return {}


def node(name: str, folder: Path, **more: Any) -> dict[str, Any]:
    return yaml.safe_load((CONF / f"{name}.yaml").read_text()) | settings(name, folder) | more


@pytest.fixture
def size32() -> StyleGAN2:
    torch.manual_seed(1)
    return StyleGAN2(resolution=32, z_dim=8, w_dim=8, num_mapping_layers=1, channel_max=8)


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_keeps_the_protocol(name: str, tmp_path: Path, size32: StyleGAN2) -> None:
    segmenter = build(node(name, tmp_path), at="segmenter")
    assert isinstance(segmenter, AbstractSegmenter) and not segmenter.training
    assert not any(one.requires_grad for one in segmenter.parameters())
    segmenter.require_images(size32)
    assert set(segmenter.kinds) == set(segmenter.classes) and set(segmenter.kinds.values()) <= set(KINDS)
    images = (2 * torch.rand(3, 3, 32, 32) - 1).requires_grad_()
    logits = segmenter.logits(images)
    assert tuple(logits.shape) == (3, len(segmenter.classes), 32, 32)
    logits.square().sum().backward()
    assert images.grad is not None and images.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    with torch.no_grad():
        labels = segmenter(images)
        alone = torch.cat([segmenter(one[None]) for one in images])
        assert labels.dtype == torch.int64 and (labels == alone).float().mean() > 0.999
        assert torch.equal(segmenter(3 * images), segmenter((3 * images).clamp(-1, 1)))
    assert segmenter.column(segmenter.classes[-1], "analysis") == len(segmenter.classes) - 1
    with pytest.raises(ValueError, match="analysis: the segmenter has no class 'moon'"):
        segmenter.column("moon", "analysis")


def test_scores_of_half_the_size_are_interpolated(tmp_path: Path) -> None:
    segmenter = build(node("module", tmp_path), at="segmenter")
    images = torch.full((1, 3, 16, 16), -1.0)
    images[..., :8] = 1.0
    labels = segmenter(images)
    assert labels[0, :, :7].eq(1).all() and labels[0, :, 9:].eq(0).all()


def test_weights_come_from_a_file_and_are_part_of_the_identity(tmp_path: Path) -> None:
    for bias in (0.0, 5.0):
        save_weights(tmp_path / f"{bias}.safetensors", Bright(bias).state_dict(), {})
    nodes = [node("module", tmp_path, checkpoint=str(tmp_path / f"{bias}.safetensors")) for bias in (0.0, 5.0)]
    assert build(nodes[1], at="segmenter")(torch.full((1, 3, 8, 8), -1.0)).eq(1).all()
    assert identify(nodes[0]) != identify(nodes[1])
    (tmp_path / "other").mkdir()
    copy = tmp_path / "other" / "0.safetensors"
    save_weights(copy, Bright(0.0).state_dict(), {})
    assert identify(nodes[0]) == identify(nodes[0] | {"checkpoint": str(copy)})


def test_a_folder_counts_by_its_content(tmp_path: Path) -> None:
    one = node("transformers", tmp_path)
    before = identify(one)
    config = json.loads((Path(one["path"]) / "config.json").read_text())
    (Path(one["path"]) / "config.json").write_text(json.dumps({**config, "id2label": {"0": "a", "1": "b", "2": "c"}}))
    assert identify(one) != before


MISTAKES: list[tuple[str, Callable[[Path], dict[str, Any]], str]] = [
    ("module", lambda _: {"names": ["dark"]}, "segmenter.names: there are 1, and the network scores 2 classes"),
    ("module", lambda _: {"names": ["dark", "dark"]}, "segmenter.names: 'dark' is there twice"),
    ("module", lambda _: {"names": []}, "segmenter.names: there is no class"),
    ("module", lambda _: {"output": None}, "segmenter.network: this module does not take images"),
    ("module", lambda _: {"parts": ["moon"]}, "segmenter.parts: there is no class 'moon'"),
    ("module", lambda _: {"input_range": [1, 0]}, "segmenter.input_range: [1, 0] is no range"),
    ("torchvision", lambda _: {"model": "deeplab"}, "segmenter.model: there is no 'deeplab'"),
    ("torchvision", lambda _: {"names": None}, "checkpoint: 'classifier.low_classifier.weight' is (3, 40, 1, 1)"),
    ("torchvision", lambda _: {"std": [0, 1, 1]}, "segmenter.std: [0, 1, 1] says nothing of three colours"),
    ("transformers", lambda path: {"path": str(path)}, "is no folder with a config.json"),
    ("transformers", lambda _: {"size": 0}, "segmenter.size: 0 is not possible"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "sentence"), MISTAKES)
def test_mistakes_are_one_sentence(
    name: str, change: Callable[[Path], dict[str, Any]], sentence: str, tmp_path: Path, size32: StyleGAN2
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        build(node(name, tmp_path, **change(tmp_path)), at="segmenter").require_images(size32)
    assert "\n" not in str(caught.value)


def test_kinds_are_objects_unless_named() -> None:
    assert make_kinds(["a", "b", "c"], ["b"], ["c"]) == {"a": "object", "b": "part", "c": "material"}

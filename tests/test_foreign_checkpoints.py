"""Files that others wrote: what they say of themselves is heeded, and what they can't be is named."""

import argparse
import json
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_checkpoints import rosinality_image, rosinality_weights
from torch import nn

from zstar.checkpoints.io import load_weights, save_weights
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.stylegan2_layers import EqualLinear, StyledConv, ToRGB

# --- memory -----------------------------------------------------------------------------------------------------------


def compressed(path: Path) -> None:
    """What ``torch.save`` wrote, packed again with compression."""
    torch.save({"g_ema": {"a": torch.zeros(2**20)}}, path.with_suffix(".whole"))
    with zipfile.ZipFile(path.with_suffix(".whole")) as whole, zipfile.ZipFile(path, "w") as small:
        for entry in whole.infolist():
            small.writestr(entry.filename, whole.read(entry), compress_type=zipfile.ZIP_DEFLATED)


def repeated(path: Path) -> None:
    """One pickled tensor under so many names that copies of them would take gigabytes."""
    buffer = path.with_suffix(".storage")
    torch.save(torch.zeros(2**20)._typed_storage(), buffer, _use_new_zipfile_serialization=False)
    stored = buffer.read_bytes()
    load = b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(stored)) + stored + b"\x85Rp0\n0"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(g0\nK\x00J" + struct.pack("<i", 2**20) + b"\x85K\x01\x85\x89)tR"
    path.write_bytes(b"\x80\x04" + load + b"](" + tensor * 1000 + b"e.")


BOMBS = {
    "compressed": compressed,
    "larger than the file by far": lambda path: torch.save({"a": torch.zeros(1).expand(10, 10**9)}, path),
    "larger than the file by far ": lambda path: torch.save(
        {"a": torch.zeros(1).expand(10, 10**9)}, path, _use_new_zipfile_serialization=False
    ),
    "larger than the file by far  ": lambda path: torch.save(
        {str(i): whole for i, whole in enumerate([torch.zeros(2**20)] * 1000)}, path
    ),
    "larger than the file by far   ": repeated,
    "bytes that are not in the file": lambda path: path.write_bytes(calling("builtins", "bytearray", 10**10)),
    "makes numbers that are not in the file": lambda path: path.write_bytes(calling("torch", "FloatTensor", 10**10)),
    "of a kind that no weights are of": lambda path: torch.save({"a": torch.eye(3).to_sparse()}, path),
}


def calling(module: str, name: str, argument: int) -> bytes:
    """A file in torch's older format that calls a function which its reader allows."""
    buffer = pickle.dumps(argument, protocol=2)[2:-1]
    head = b"".join(pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, {}))
    return head + b"\x80\x02c" + f"{module}\n{name}\n".encode() + buffer + b"\x85R."


@pytest.mark.parametrize("reason", BOMBS)
def test_a_small_file_cannot_fill_the_memory(reason: str, tmp_path: Path) -> None:
    path = tmp_path / "small.pt"
    BOMBS[reason](path)
    with pytest.raises(ValueError, match=reason.strip()) as caught:
        load_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_tensors_that_share_their_numbers_are_read(tmp_path: Path) -> None:
    tied = torch.randn(2**18)
    content = {"a": tied, "b": tied, "c": tied.view(2, -1).T, "d": torch.ones(1).expand(1000)}
    for zipped in (True, False):
        torch.save(content, tmp_path / "tied.pt", _use_new_zipfile_serialization=zipped)
        back = load_weights(tmp_path / "tied.pt")
        assert all(torch.equal(back[name], value) for name, value in content.items())


# --- StyleGAN2 by the code bases of StyleGAN2-ADA and StyleGAN3 -------------------------------------------------------


@pytest.fixture
def official_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``official_pickle(network, arguments, told)``: a network as NVIDIA's code bases pickle it.

    ``arguments`` are those of its constructor, ``told`` is whether its layers hold their settings, as they do.
    """
    persistence = types.ModuleType("torch_utils.persistence")

    def reconstruct(meta: dict[str, Any]) -> None:
        raise AssertionError("nothing in a file is called")

    reconstruct.__module__, reconstruct.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = reconstruct  # ty: ignore[unresolved-attribute]
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", persistence)

    class Persistent:
        def __init__(self, module: nn.Module, name: str, arguments: dict[str, Any], told: bool) -> None:
            self.meta = {"type": "class", "version": 6, "module_src": "", "class_name": name}
            inner = {
                child: Persistent(part, type(part).__name__, {}, told)
                for child, part in module.named_children()
                if child != "features"
            }
            hidden = {"label"}
            self.state = {"_parameters": dict(module._parameters), "_modules": inner, "_init_kwargs": arguments}
            self.state |= {"_buffers": {k: v for k, v in module._buffers.items() if k not in hidden}}
            if told and isinstance(module, StyledConv | ToRGB):
                self.state |= {"conv_clamp": module.conv_clamp}
            if told and isinstance(module, StyledConv):
                self.state |= {"activation": "lrelu"}
            if told and isinstance(module, EqualLinear):
                self.state |= {"bias_gain": module.bias_gain, "activation": "lrelu" if module.activate else "linear"}

        def __reduce__(self) -> tuple[Any, ...]:
            return reconstruct, ({**self.meta, "state": self.state},)

    def write(network: StyleGAN2, arguments: dict[str, Any], told: bool = True) -> str:
        path = tmp_path / "network.pkl"
        path.write_bytes(pickle.dumps({"G_ema": Persistent(network, "Generator", arguments, told)}, protocol=4))
        return str(path)

    return write


def small(**arguments: Any) -> StyleGAN2:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return StyleGAN2(resolution=8, z_dim=4, w_dim=4, num_mapping_layers=2, channel_max=4, **arguments)


ADA = {"mapping_kwargs": {"num_layers": 2}, "synthesis_kwargs": {"channel_base": 2048}}
NEWER = {"mapping_kwargs": {"num_layers": 2}, "channel_base": 2048, "num_fp16_res": 4}


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("arguments", "clamp"),
    [(ADA, None), (NEWER, 256), (NEWER | {"conv_clamp": 0.5}, 0.5), (NEWER | {"conv_clamp": None}, None)],
)
def test_the_clamp_of_either_code_base_is_found(
    arguments: dict[str, Any], clamp: float | None, told: bool, official_pickle: Callable[..., str]
) -> None:
    network = small(conv_clamp=clamp)
    again = StyleGAN2(checkpoint=official_pickle(network, arguments, told))
    assert again.settings == network.settings
    z = 300 * torch.randn(2, 4)
    assert torch.equal(again.synthesize(z, "w"), network.synthesize(z, "w"))


@pytest.mark.parametrize("told", [True, False])
def test_the_multiplier_of_a_pickle_is_found(told: bool, official_pickle: Callable[..., str]) -> None:
    network, mapped = small(mapping_lr_multiplier=0.1), {"mapping_kwargs": {"lr_multiplier": 0.1}}
    assert StyleGAN2(checkpoint=official_pickle(network, NEWER | mapped, told)).settings["mapping_lr_multiplier"] == 0.1
    if told:  # where the arguments do not say it, the layers do
        assert StyleGAN2(checkpoint=official_pickle(network, NEWER)).settings["mapping_lr_multiplier"] == 0.1


def test_pickles_that_contradict_themselves_or_another_activation_are_refused(
    official_pickle: Callable[..., str],
) -> None:
    with pytest.raises(ValueError, match="conv_clamp is 1 in one place of its network and None in another"):
        StyleGAN2(checkpoint=official_pickle(small(), NEWER | {"conv_clamp": 1}))
    for told in (True, False):
        with pytest.raises(ValueError, match="activation 'relu' is unknown"):
            StyleGAN2(checkpoint=official_pickle(small(), NEWER | {"activation": "relu"}, told))


# --- rosinality -------------------------------------------------------------------------------------------------------


def test_a_blur_kernel_of_ones_own_goes_to_the_convolutions_alone(tmp_path: Path) -> None:
    # rosinality's generator hands it to them and not to ToRGB; an uneven one shows that none is flipped.
    weights = rosinality_weights()
    own = torch.tensor([1.0, 2.0, 4.0, 1.0])
    for name in weights:
        if name.endswith("blur.kernel"):
            weights[name] = 4 * torch.outer(own, own) / own.sum() ** 2
    torch.save({"g_ema": weights}, tmp_path / "g.pt")
    z = torch.randn(2, 6)
    expected = rosinality_image(weights, z)
    drawn = StyleGAN2(checkpoint=str(tmp_path / "g.pt")).synthesize(z, "z")
    assert (drawn - expected).abs().max() < 1e-4 * expected.abs().max()
    weights["convs.0.conv.blur.kernel"] = torch.ones(6, 6) / 9
    torch.save({"g_ema": weights}, tmp_path / "g.pt")
    with pytest.raises(ValueError, match="g.pt .*blur kernels have 4 and 6 taps"):
        StyleGAN2(checkpoint=str(tmp_path / "g.pt"))


def test_another_multiplier_of_the_mapping_is_noticed_and_can_be_told(tmp_path: Path) -> None:
    weights = {n: v / 10 if n.startswith("style.") else v for n, v in rosinality_weights().items()}
    path = tmp_path / "g.pt"
    torch.save({"g_ema": weights}, path)
    with pytest.raises(ValueError, match=r"g\.pt .*lr_mlp\) near 0\.1, where 0\.01 is assumed; a card"):
        StyleGAN2(checkpoint=str(path))
    torch.save({"g_ema": weights, "args": argparse.Namespace(lr_mlp=0.1)}, path)
    by_options = StyleGAN2(checkpoint=str(path))
    torch.save({"g_ema": weights}, path)
    path.with_suffix(".json").write_text(json.dumps({"settings": {"mapping_lr_multiplier": 0.1}}), encoding="utf-8")
    by_card = StyleGAN2(checkpoint=str(path))
    mean = by_card.lift(torch.randn(20_000, 6), "z", "w").mean(0)
    for network in (by_options, by_card):
        assert network.settings["mapping_lr_multiplier"] == 0.1
        assert (network.w_avg - mean).abs().max() < 0.05  # the mean of w is that of this multiplier too


def test_official_names_without_a_card_are_held_to_the_same(tmp_path: Path) -> None:
    network = small(mapping_lr_multiplier=0.5)
    save_weights(tmp_path / "g.safetensors", network.state_dict(), {})
    with pytest.raises(ValueError, match="where 0.01 is assumed"):
        StyleGAN2(checkpoint=str(tmp_path / "g.safetensors"))

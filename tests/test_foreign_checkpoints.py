"""Files that others wrote: what they say of themselves is heeded, and what they can't be is named."""

import argparse
import gzip
import json
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_checkpoints import rosinality_image, rosinality_weights
from torch import nn

from zstar.checkpoints.io import load_generator_checkpoint, load_weights, save_weights
from zstar.config.signatures import UnknownTarget, resolve
from zstar.generators.module import Module
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.stylegan2_layers import EqualLinear, StyledConv, ToRGB
from zstar.generators.stylegan3 import StyleGAN3

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

    def write(network: nn.Module, arguments: dict[str, Any], told: bool = True) -> str:
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


def test_a_pickle_of_stylegan3_is_read(official_pickle: Callable[..., str]) -> None:
    network = StyleGAN3(resolution=16, z_dim=4, w_dim=4, num_layers=4, channel_base=64, channel_max=4)
    again = StyleGAN3(checkpoint=official_pickle(network, {"magnitude_ema_beta": 0.999}, told=False))
    assert again.fingerprint() == network.fingerprint() and again.spaces == network.spaces
    with pytest.raises(ValueError, match="it is a StyleGAN2; choose generator=stylegan2"):
        StyleGAN3(checkpoint=official_pickle(small(), ADA))


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


# --- pSp, e4e, and weights with something before their names ----------------------------------------------------------


@pytest.mark.parametrize("rows", [None, 6])
def test_the_decoder_of_psp_and_its_average_are_read(rows: int | None, tmp_path: Path) -> None:
    weights, average = rosinality_weights(), torch.arange(6.0)
    state = {f"decoder.{name}": value for name, value in weights.items()}
    state |= {"encoder.input_layer.0.weight": torch.ones(4, 3, 3, 3), "encoder.body.0.bias": torch.ones(4)}
    options = argparse.Namespace(encoder_type="GradualStyleEncoder", exp_dir=Path("experiments/psp"), n_styles=6)
    for opts in (options, vars(options)):
        latent_avg = average if rows is None else average.repeat(rows, 1)
        torch.save({"state_dict": state, "latent_avg": latent_avg, "opts": opts}, tmp_path / "psp.pt")
        network = StyleGAN2(checkpoint=str(tmp_path / "psp.pt"))
        z, w = torch.randn(2, 6), network.w_avg
        assert torch.equal(w, average)
        expected = rosinality_image(weights, z)
        assert (network.synthesize(z, "z") - expected).abs().max() < 1e-4 * expected.abs().max()
    encoder = load_weights(tmp_path / "psp.pt", "encoder")
    assert set(encoder) == {"input_layer.0.weight", "body.0.bias"}


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "generator.", "module.G_ema."]
)
def test_what_wrappers_put_before_names_is_no_hindrance(prefix: str, tmp_path: Path) -> None:
    network = small()
    state = {prefix + name: value for name, value in network.state_dict().items()}
    if prefix == "generator.":  # as Lightning saves a task with both networks
        state |= {"discriminator.b4.conv.weight": torch.ones(3)}
    torch.save({"state_dict": state}, tmp_path / "g.pt")
    assert StyleGAN2(checkpoint=str(tmp_path / "g.pt")).fingerprint() == network.fingerprint()


def test_a_key_may_be_how_names_begin(tmp_path: Path) -> None:
    first, second = small(), small(conv_clamp=None)
    second.mapping.w_avg += 1
    state = {f"mine.first.{name}": value for name, value in first.state_dict().items()}
    state |= {f"mine.second.{name}": value for name, value in second.state_dict().items()}
    torch.save({"weights": state, "other": {"a": torch.ones(1)}}, tmp_path / "g.pt")
    for key, network in {"mine.first": first, "mine.second.": second, "weights.mine.second": second}.items():
        read = StyleGAN2(checkpoint=str(tmp_path / "g.pt"), checkpoint_key=key)
        assert read.fingerprint() == network.fingerprint()
    with pytest.raises(ValueError, match=r"no state dict 'theirs'; there are: weights, other, mine"):
        StyleGAN2(checkpoint=str(tmp_path / "g.pt"), checkpoint_key="theirs")
    linear = nn.Linear(2, 3)
    torch.save({f"body.{name}": value for name, value in linear.state_dict().items()}, tmp_path / "l.pt")
    assert set(load_weights(tmp_path / "l.pt", "body")) == {"weight", "bias"}


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_numbers_of_numpy_and_paths_beside_weights_do_not_matter(how: str, tmp_path: Path) -> None:
    beside = {"loss": np.float64(0.5), "step": np.int64(3), "best": np.bool_(True), "path": tmp_path, "lr": 1e-3}
    beside |= {"history": np.arange(6.0).reshape(2, 3), "hydra": {"run": Path("outputs") / "x"}}
    weights = {"a": torch.arange(4.0)}
    path = tmp_path / "w.pt"
    for content in (
        {"g_ema": weights, **beside},
        {**weights, **beside},
    ):  # beside a state dict, and between its tensors
        if how == "pickle":
            path.write_bytes(pickle.dumps(content, protocol=4))
        else:
            torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
        assert load_weights(path).keys() == {"a"} and torch.equal(load_weights(path)["a"], weights["a"])


# --- wrong files, by what they are ------------------------------------------------------------------------------------


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def zipped(*names: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "x")

    return make


WRONG = {
    "HDF5 file, as Keras": write(b"\x89HDF\r\n\x1a\n" + bytes(100)),
    "git-LFS pointer": write(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 381673535\n"),
    "a web page": write(b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>"),
    "a web page ": write(b"\n<html>"),
    "one array of numpy": lambda path: np.save(path.open("wb"), np.zeros(3)),
    "numpy arrays": lambda path: np.savez(path.open("wb"), a=np.zeros(3)),
    "compressed by gzip": write(gzip.compress(b"weights")),
    "TorchScript": lambda path: torch.jit.save(torch.jit.script(nn.Linear(2, 3)), str(path)),
    "zip archive of other files": zipped("photos/a.png"),
    "zip archive of other files ": zipped("config.json", "metadata.json", "model.weights.h5"),
    "whole pickled module": lambda path: torch.save(nn.Linear(2, 3), path),
    "whole pickled module ": lambda path: torch.save(nn.Linear(2, 3), path, _use_new_zipfile_serialization=False),
    "whole pickled module  ": lambda path: torch.save({"model": nn.Sequential(nn.Linear(2, 3))}, path),
    "whole pickled module   ": write(pickle.dumps(nn.Linear(2, 3), protocol=4)),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_named_by_what_it_is(what: str, tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    WRONG[what](path)
    for read in (load_weights, load_generator_checkpoint):
        with pytest.raises(ValueError, match=what.strip()) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "words"),
    [("stylegan3t_64", "StyleGAN3; choose generator=stylegan3"),
     ("pggan_gandissect_64", "PGGAN; choose generator=pggan"),
     ("pggan_genforce_64", "PGGAN; choose generator=pggan"),
     ("stylegan1_64", r"StyleGAN of 2018; choose generator=stylegan\)"),
     ("dcgan_64", "DCGAN; choose generator=dcgan"), ("dcgan_64_discriminator", "discriminator of DCGAN, which makes")],
)  # fmt: skip
def test_another_generator_is_named_and_sent_where_it_belongs(folder: str, words: str, shared: Path) -> None:
    with pytest.raises(ValueError, match=f"it is a {words}"):
        StyleGAN2(checkpoint=str(shared / "golden" / folder / "weights.safetensors"))


def test_a_module_that_cannot_be_imported_is_said_to_be_one() -> None:
    with pytest.raises(UnknownTarget, match="the module 'qwxz_models' of 'qwxz_models.G' can't be .* on PYTHONPATH"):
        resolve("qwxz_models.G")
    with pytest.raises(UnknownTarget, match=r"did you mean 'zstar'"):
        resolve("zstarr.losses.pixel.Pixel")


class Drawer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Linear(2, channels * 64)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z).view(len(z), -1, 8, 8)


@pytest.mark.parametrize("channels", [2, 4])
def test_generators_of_other_than_one_or_three_channels_are_refused_at_once(channels: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"generator.network: its images have {channels} channels.*wrap"):
        Module(Drawer(channels), [2])
    state = small().state_dict()
    state |= {name: value[:1].repeat(channels, *[1] * (value.dim() - 1)) for name, value in state.items()
              if name.endswith(("torgb.weight", "torgb.bias"))}  # fmt: skip
    save_weights(tmp_path / "g.safetensors", state, {})
    with pytest.raises(ValueError, match=rf"generator.checkpoint: its images have {channels} channels.*wrap"):
        StyleGAN2(checkpoint=str(tmp_path / "g.safetensors"))

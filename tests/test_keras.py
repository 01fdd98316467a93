"""Weights of Keras in a network of one's own: layers by order and shape, and nothing that lies outside of the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zstar.checkpoints.io import load_weights
from zstar.generators.module import Module

h5py = pytest.importorskip("h5py", reason="needs h5py, of the extra keras")


class Drawer(nn.Module):
    """z [b, 5] → colours of 8×8, as a Keras model of Dense, BatchNormalization, Conv2DTranspose and Conv2D has it."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(5, 2 * 2 * 6)
        self.norm = nn.BatchNorm1d(24, eps=1e-3)
        self.up = nn.ConvTranspose2d(6, 4, 4, 2, 1)
        self.again = nn.ConvTranspose2d(4, 4, 4, 2, 1, bias=False)
        self.colours = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.start(z)).relu().view(-1, 2, 2, 6).permute(0, 3, 1, 2)  # Keras has the channels last
        return self.colours(self.again(self.up(x).relu()).relu()).tanh()


def keras_layers() -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    shapes = {
        "dense": {"kernel": (5, 24), "bias": (24,)},
        "batch_normalization": {"gamma": (24,), "beta": (24,), "moving_mean": (24,), "moving_variance": (24,)},
        "conv2d_transpose": {"kernel": (4, 4, 4, 6), "bias": (4,)},
        "conv2d_transpose_1": {"kernel": (4, 4, 4, 4)},
        "conv2d": {"kernel": (3, 3, 4, 3), "bias": (3,)},
    }
    return {
        layer: {
            name: rng.uniform(-0.3 if name == "kernel" else 0.1, 0.3, shape).astype("float32")
            for name, shape in tensors.items()
        }
        for layer, tensors in shapes.items()
    }


def write(path: Path, layout: str, layers: dict[str, dict[str, np.ndarray]]) -> str:
    with h5py.File(path, "w") as file:
        if layout == "keras3":
            for layer in sorted(layers):  # groups have no order of their own
                for place, value in enumerate(layers[layer].values()):
                    file[f"layers/{layer}/vars/{place}"] = value
                file.require_group(f"layers/{layer}/vars")
            file["optimizer/vars/0"] = np.ones(3)
            return str(path)
        root = file.create_group("model_weights") if layout == "whole" else file
        root.attrs["layer_names"] = [layer.encode() for layer in [*layers, "re_lu"]]
        root.create_group("re_lu").attrs["weight_names"] = []
        for layer, tensors in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in tensors]
            for name, value in tensors.items():
                group[f"{layer}/{name}:0"] = value
        if layout == "whole":
            file.attrs["model_config"] = "{}"
            file["optimizer_weights/x"] = np.ones(3)
    return str(path)


def keras_image(layers: dict[str, dict[str, np.ndarray]], z: np.ndarray) -> np.ndarray:
    """What Keras computes, pixel by pixel: a transposed convolution is the gradient of a convolution."""
    dense, norm, *ups, last = layers.values()
    x = z @ dense["kernel"] + dense["bias"]
    x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 1e-3) * norm["gamma"] + norm["beta"]
    x = np.maximum(x, 0).reshape(-1, 2, 2, 6)
    for up in ups:
        b, h, w, _ = x.shape
        y = np.zeros((b, 2 * h + 2, 2 * w + 2, 4))
        for i in range(h):
            for j in range(w):
                y[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum("bi,hwoi->bhwo", x[:, i, j], up["kernel"])
        x = np.maximum(y[:, 1:-1, 1:-1] + up.get("bias", 0), 0)
    wide, y = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 0
    for i in range(3):
        for j in range(3):
            y = y + wide[:, i : i + 8, j : j + 8] @ last["kernel"][i, j]
    return np.tanh(y + last["bias"]).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("layout", ["weights", "whole", "keras3"])
def test_a_network_draws_what_keras_draws(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    layers = keras_layers()
    path = write(tmp_path / "g.h5", layout, layers)
    generator = Module(Drawer(), [5], path)
    z = torch.randn(3, 5)
    image = generator.synthesize(z, "z")
    assert image.std() > 0.02 and image.abs().max() < 1
    assert np.abs(image.numpy() - keras_image(layers, z.numpy())).max() < 1e-5
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}, layer by layer:" and len(lines) == 6
    assert "dense (5, 24), (24,) → start (Linear)" in lines[1]
    assert lines[4].endswith("conv2d_transpose_1 (4, 4, 4, 4) → again (ConvTranspose2d)")


def test_a_norm_without_scale_has_scale_one(tmp_path: Path) -> None:
    layers = keras_layers()
    del layers["batch_normalization"]["gamma"]
    norm = Module(Drawer(), [5], write(tmp_path / "g.h5", "weights", layers)).network.norm
    assert torch.equal(norm.weight, torch.ones(24))
    for ours, theirs in (("bias", "beta"), ("running_mean", "moving_mean"), ("running_var", "moving_variance")):
        assert np.array_equal(getattr(norm, ours).detach(), layers["batch_normalization"][theirs])


def test_a_key_chooses_a_model_in_the_model(tmp_path: Path) -> None:
    layers = keras_layers()
    with h5py.File(tmp_path / "gan.h5", "w") as file:
        file.attrs["layer_names"] = [b"generator", b"discriminator"]
        for model in ("discriminator", "generator"):
            group = file.create_group(model)
            names = [f"{layer}/{name}:0" for layer, tensors in layers.items() for name in tensors]
            group.attrs["weight_names0"] = names[:4]  # long lists are cut
            group.attrs["weight_names1"] = names[4:]
            for layer, tensors in layers.items():
                for name, value in tensors.items():
                    group[f"{layer}/{name}:0"] = value + (model == "discriminator")
    path = str(tmp_path / "gan.h5")
    network = Module(Drawer(), [5], path, "generator").network
    assert np.array_equal(network.start.weight.detach(), layers["dense"]["kernel"].T)
    with pytest.raises(ValueError, match=r"gan.h5 has 'discriminator/dense' \(5, 24\), \(24,\), which no layer"):
        Module(Drawer(), [5], path)
    with pytest.raises(ValueError, match="no layers of Keras whose paths begin with ema"):
        Module(Drawer(), [5], path, "ema")


def changed(change: Any) -> dict[str, dict[str, np.ndarray]]:
    layers = keras_layers()
    change(layers)
    return layers


def test_what_does_not_fit_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "g.h5"
    for change, message in [
        (
            lambda layers: layers.pop("conv2d"),
            r"no layer that is left is 'colours' \(3, 4, 3, 3\), .*: none",
        ),
        (
            lambda layers: layers.update(extra={"kernel": np.ones((2, 2))}),
            r"has 'extra/extra' \(2, 2\), which no",
        ),
        (lambda layers: layers["dense"].update(kernel=np.full((5, 24), np.nan)), "start.weight' in .* not finite"),
        (
            lambda layers: layers["dense"].update(kernel=np.ones((5, 24), int)),
            "dense/kernel:0' holds no floating",
        ),
    ]:
        write(path, "weights", changed(change))
        with pytest.raises(ValueError, match=message) as caught:
            Module(Drawer(), [5], str(path))
        assert "g.h5" in str(caught.value) and "\n" not in str(caught.value)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match="g.h5 is damaged or no file of Keras"):
        Module(Drawer(), [5], str(path))
    with pytest.raises(ValueError, match="HDF5 file, as Keras writes them; generator=module"):
        load_weights(path)


def test_nothing_is_read_that_lies_outside_of_the_file_or_fills_the_memory(tmp_path: Path) -> None:
    write(tmp_path / "other.h5", "weights", keras_layers())
    path = tmp_path / "g.h5"

    def link(file: Any) -> None:
        del file["dense"]
        file["dense"] = h5py.ExternalLink("other.h5", "/dense")

    def soft(file: Any) -> None:
        del file["dense/dense/kernel:0"]
        file["dense/dense/kernel:0"] = h5py.SoftLink("/dense/dense/bias:0")

    def outside(file: Any) -> None:
        del file["dense/dense/bias:0"]
        (tmp_path / "raw").write_bytes(bytes(96))
        file.create_dataset("dense/dense/bias:0", (24,), "f4", external=str(tmp_path / "raw"))

    def bomb(file: Any) -> None:
        del file["dense/dense/bias:0"]
        file.create_dataset("dense/dense/bias:0", (10**10,), "f4", chunks=True, compression="gzip")

    for spoil, message in [
        (link, "is a link"),
        (soft, "is a link"),
        (outside, "outside"),
        (bomb, "larger than the file"),
    ]:
        write(path, "weights", keras_layers())
        with h5py.File(path, "a") as file:
            spoil(file)
        with pytest.raises(ValueError, match=message):
            Module(Drawer(), [5], str(path))

"""The autoencoders of Hugging Face's diffusers."""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.config.constraints import FilePath, Within, require
from zstar.config.paths import place, read_text
from zstar.config.reasons import Unfit, reason
from zstar.generators.autoencoder import Autoencoder
from zstar.generators.base import Noise
from zstar.generators.one_space import AbstractOneSpace

KINDS = ("AutoencoderKL", "AutoencoderTiny")


class Diffusers(AbstractOneSpace, Autoencoder):
    """The decoder of a latent diffusion model (Rombach et al. 2022, https://arxiv.org/abs/2112.10752), with its encoder
    (``encoder=own``), from a local folder that the library diffusers reads (``pip install 'zstar[diffusers]'``).

    It reconstructs photos of any kind closely, and knows little of which are likely: that is what the diffusion model
    is for, which plays no part here. Nothing is downloaded and no code of the folder is run.

    The one space, ``z`` [latent_channels, h, w], of an eighth of the image's height in most, is in the units that
    diffusion models see, scaled by ``scaling_factor`` so that the latents of photos deviate by about one. Its prior is
    said to be normal for the sake of its scale; samples of it are noise to the decoder. Feature layers: ``mid_block``,
    ``up_blocks.0``, …, of an ``AutoencoderKL``.

    Arguments:
        checkpoint: The folder, with ``config.json`` and ``diffusion_pytorch_model.safetensors``, of an
            ``AutoencoderKL`` or an ``AutoencoderTiny``; often called ``vae`` within that of a model.
        resolution: Height and width of the images; None is the ``sample_size`` of its config, else 512.

    Raises:
        ValueError: The library is not installed, there is no such folder, or it holds another kind of network.
    """

    encoded = "z"

    def __init__(self, checkpoint: FilePath, resolution: int | None = None) -> None:
        super().__init__()
        folder = place(checkpoint)
        self.network = _load(folder, _kind(folder)).to(memory_format=torch.channels_last)
        settings: Any = self.network.config
        size = getattr(settings, "sample_size", None) or 512
        self.resolution = int(size if resolution is None else resolution)
        require("generator", Within(1), resolution=self.resolution)
        self.channels = int(settings.out_channels)
        self.require_colours("generator.checkpoint", self.channels)
        depth, factor = self._measure()
        if self.resolution % factor:
            raise ValueError(f"generator.resolution: {self.resolution} is not possible; choose a multiple of {factor}")
        side = self.resolution // factor
        self.spaces, self.noise_shapes = {"z": (depth, side, side)}, {}
        for name, usual in (("mean", 0.0), ("deviation", 1.0)):
            value = getattr(settings, {"mean": "latents_mean", "deviation": "latents_std"}[name], None)
            value = getattr(settings, "shift_factor", None) if value is None and name == "mean" else value
            plain = torch.tensor(usual if value is None else value, dtype=torch.float32).reshape(-1, 1, 1)
            self.register_buffer(name, plain, persistent=False)
        self.scale = float(settings.scaling_factor)
        layout = {key: value for key, value in dict(settings).items() if not key.startswith("_")}
        self.traits = {"resolution": self.resolution, "config": json.dumps(layout, sort_keys=True, default=str)}
        names = [name for name, _ in self.network.decoder.named_modules()]
        self.layers = tuple(n for n in names if n == "mid_block" or n.startswith("up_blocks.") and n.count(".") == 1)
        self.layers = tuple(sorted(self.layers))
        self.freeze()

    @torch.no_grad()
    def _measure(self) -> tuple[int, int]:
        """Channels of its latents, and pixels of an image for one of theirs."""
        self.network.eval()
        side = 64
        found = self._latents(torch.zeros(1, self.channels, side, side))
        return found.shape[1], side // found.shape[2]

    def _latents(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z _ _"]:
        found = self.network.encode(image)
        return found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents

    def forward(self, latent: Float[Tensor, "b ..."], space: str, noise: Noise) -> Float[Tensor, "b c h w"]:
        """Images, nominally in [−1, 1]; there is no noise to choose."""
        return self.network.decode(latent * self.deviation / self.scale + self.mean).sample

    def encode(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z _ _"]:
        """The mean of the latents that may stand for an image."""
        self.require_size(image)
        return (self._latents(image) - self.mean) * self.scale / self.deviation

    def layer(self, name: str) -> nn.Module:
        if name not in self.layers:
            choice = f"choose one of {', '.join(self.layers)}" if self.layers else "this kind of network offers none"
            raise ValueError(f"layer: Diffusers has no layer '{name}'; {choice}")
        return self.network.decoder.get_submodule(name)


def _kind(folder: Path) -> str:
    """The class that a folder's config names."""
    try:
        config = json.loads(read_text(folder / "config.json"))
        kind = config["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"generator.checkpoint: {folder} is no folder with a config.json of diffusers; name one that holds an "
            "autoencoder, often called vae"
        ) from None
    if kind not in KINDS:
        raise ValueError(f"generator.checkpoint: {folder} holds {str(kind)[:40]}; choose one of {' or '.join(KINDS)}")
    return kind


def _load(folder: Path, kind: str) -> nn.Module:
    try:
        import diffusers  # ty: ignore[import-not-found]  # takes seconds, and few have it
    except ImportError:
        raise Unfit("generator: diffusers is not installed; install it with pip install 'zstar[diffusers]'") from None
    try:
        network = getattr(diffusers, kind).from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
    except Exception as error:  # a folder of somebody else can fail in any way
        raise ValueError(f"generator.checkpoint: {folder} can't be read as {kind} ({reason(error)})") from None
    for name, value in network.named_parameters():
        if not value.isfinite().all():
            raise ValueError(f"generator.checkpoint: '{name}' in {folder} holds numbers that are not finite")
    return network.float()

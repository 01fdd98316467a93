"""The table of generators in README.md: which spaces each family has, and what works with it.

python docs/families.py

Each file of conf/generator is built as it is, without a checkpoint but for what ships, and asked.
"""

from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from zstar.config.build import build
from zstar.config.signatures import resolve
from zstar.generators.autoencoder import Autoencoder
from zstar.generators.base import AbstractGenerator
from zstar.generators.invertible import Invertible
from zstar.generators.own_weights import APART
from zstar.stats.streams import stream

CONF = Path(__file__).parents[1] / "conf"
YOURS = {  # which need a file or a class that is not here
    "module": "| `module` | a network of your own | `z` | – | yes | by `vmap` | `encoder=module` | – |",
    "diffusers": "| `diffusers` | a folder of diffusers' AutoencoderKL or AutoencoderTiny | `z` | – | yes | "
    "by `vmap` | `encoder=own` | – |",
}
FIRST = ("cottages", "stylegan2")
COLUMNS = ("`generator=`", "network", "spaces", "noise maps", "feature maps", "weights of each image",
           "its own encoder or inverse", "classes")  # fmt: skip


def main() -> None:
    """Print the table."""
    print(table())


def table() -> str:
    """The table in Markdown, with the generator that ships first."""
    names = sorted(path.stem for path in (CONF / "generator").glob("*.yaml"))
    names = [*FIRST, *(name for name in names if name not in FIRST)]
    rows = [YOURS.get(name) or row(name) for name in names]
    return "\n".join([f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *rows])


def row(name: str) -> str:
    """What a generator of this choice says of itself."""
    with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
        node = compose("invert", [f"generator={name}"]).generator
    generator: AbstractGenerator = build(OmegaConf.to_container(node))
    kind = type(generator)
    title = (kind.__doc__ or "").partition(".")[0].partition(":")[0].partition(" (")[0].strip().replace("\n    ", " ")
    own = "`encoder=own`" if isinstance(generator, Autoencoder) else "–"
    own = "`projector=[exact]`, likelihood" if isinstance(generator, Invertible) else own
    cells = [
        f"`{name}`", title, ", ".join(f"`{space}`" for space in spaces(generator)),
        "yes" if generator.noise_shapes else "–", str(len({*generator.layers, *generator.convolutions}) or "–"),
        weights(generator), own, "yes" if {"label", "c_dim"} & set(node) else "–",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


@torch.no_grad()
def weights(generator: AbstractGenerator) -> str:
    """How images are drawn that have weights of their own: asked of two."""
    if generator.batched_weights or not (free := generator.free_weights(generator.drawn)):
        return "in one batch" if generator.batched_weights else "–"
    latent = generator.sample(2, stream("latents of the table of generators", 0), space=generator.drawn)
    own = {name: value.new_zeros(2, *value.shape) for name, value in free.items()}
    generator.synthesize(latent, generator.drawn, weights=own)
    return "one after the other" if generator in APART else "by `vmap`"


def spaces(generator: AbstractGenerator) -> list[str]:
    """The choices of ``space=`` whose latents the generator has, in its own order."""
    found: dict[str, list[str]] = {}
    for path in sorted((CONF / "space").glob("*.yaml")):
        kind = resolve(OmegaConf.load(path)["_target_"])
        found.setdefault(kind.name, []).append(path.stem)
    return [choice for own in generator.spaces for choice in sorted(found.get(own, []), key=lambda name: name != own)]


if __name__ == "__main__":
    main()

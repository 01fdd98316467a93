"""Pictures of what strokes have led to: the strokes, the alternatives, handles, and the way from z₀ to z₁."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from zstar.directions.apply import slerp
from zstar.generators.base import AbstractGenerator
from zstar.generators.variables import drawn
from zstar.images import for_strips, to_uint8, write_pixels
from zstar.inversion import Inversion
from zstar.projection.dragged import with_handles
from zstar.reports.captions import labelled
from zstar.reports.video import there_and_back, write_gif
from zstar.runs.folder import safe_name

FRAMES, STRIP = 16, 8  # of a way, and those of them in its strip
DIM = 0.5  # of what may not move
TOGETHER = 4  # images that are drawn at once
LINE = (1.0, -0.6, 0.6)  # colour of drawn edges, in [−1, 1]


@torch.no_grad()
def write_alternatives(
    generator: AbstractGenerator,
    inversion: Inversion,
    targets: Mapping[str, Tensor],
    folder: Path,
    write: Callable[..., None],
) -> None:
    """Write for each image ``strokes/``, ``alternatives/``, ``dragged/`` and ``morphs/``, as far as there are such.

    Arguments:
        inversion: What was found, with ``origin``, and ``alternatives/latent`` or ``handles/at``, in v where a
            projector has kept them.
        targets: The named targets, among which may be those of strokes.
        write: Takes a function that writes a file, and its arguments.
    """
    marked = mark(targets) if "color_mask" in targets else None
    for row, name in enumerate(inversion.ids):
        file = f"{safe_name(name)}.png"
        if marked is not None:
            shown = marked[row]
            if targets["points"][row].isfinite().any():
                shown = with_handles(shown, *targets["points"][row].unbind(dim=1))
            write(write_pixels, folder / "strokes" / file, to_uint8(shown[None])[0].cpu())
        if "alternatives/latent" in inversion.v:
            shown = [inversion.v["origin"][row : row + 1], inversion.v["alternatives/latent"][row]]
            cells = for_strips(draw(generator, inversion, row, torch.cat(shown)))
            values = [f"{place}: {value:.3g}" for place, value in enumerate(_values(inversion, row), start=1)]
            strip = labelled(cells, ["before", *values], len(cells), f"{name}: the value of the equation at each")
            write(write_pixels, folder / "alternatives" / file, to_uint8(strip[None])[0])
        elif "handles/at" in inversion.v:
            strip = drag_strip(generator, inversion, row)
            write(write_pixels, folder / "dragged" / file, to_uint8(strip[None])[0])
        else:
            continue
        ends = inversion.v["origin"][row : row + 1], inversion.latent[row : row + 1]
        frames = for_strips(draw(generator, inversion, row, way(generator, inversion.space, *ends, FRAMES)))
        chosen = [round(place * (FRAMES - 1) / (STRIP - 1)) for place in range(STRIP)]
        labels = [f"{place / (FRAMES - 1):.2g}" for place in chosen]
        strip = labelled(frames[chosen], labels, STRIP, f"{name}: from before (0) to the best (1)")
        write(write_pixels, folder / "morphs" / file, to_uint8(strip[None])[0])
        write(write_gif, folder / "morphs" / f"{safe_name(name)}.gif", there_and_back(list(frames)))


def drag_strip(generator: AbstractGenerator, inversion: Inversion, row: int) -> Float[Tensor, "c h w"]:
    """The picture before and after its handles were dragged, with the handles."""
    start, at, to = (inversion.v[f"handles/{name}"][row] for name in ("from", "at", "to"))
    ends = torch.stack([inversion.v["origin"][row], inversion.latent[row]])
    pairs = zip(draw(generator, inversion, row, ends), (start, at), strict=True)
    cells = torch.stack([with_handles(image, places, to) for image, places in pairs])
    left = (at - to).norm(dim=1).nanmean().item()
    return labelled(cells, ["before", f"after, {left:.1f} px left"], 2, inversion.ids[row])


def draw(
    generator: AbstractGenerator, inversion: Inversion, row: int, latent: Float[Tensor, "n ..."]
) -> Float[Tensor, "n c h w"]:
    """Images of other latents in the place of an image's own, with all else that belongs to it, on the CPU and clamped
    to [−1, 1]."""
    own, images = {name: value[row : row + 1] for name, value in drawn(inversion.v).items()}, []
    for part in latent.split(TOGETHER):
        many = {name: value.expand(len(part), *value.shape[1:]) for name, value in own.items()}
        images.append(generator.render({**many, "latent": part}, inversion.space, inversion.noise_mode).clamp(-1, 1))
    return torch.cat([image.cpu() for image in images])


def way(
    generator: AbstractGenerator, space: str, first: Float[Tensor, "1 ..."], last: Float[Tensor, "1 ..."], count: int
) -> Float[Tensor, "{count} ..."]:
    """Latents in equal steps between two: on the arc in a space with a normal prior, whose latents are all about as
    far from 0, else straight."""
    arc = generator.prior == "normal" and space == next(iter(generator.spaces))
    between = slerp if arc else torch.lerp
    return torch.cat([between(first, last, share) for share in torch.linspace(0, 1, count).tolist()])


def mark(targets: Mapping[str, Tensor]) -> Float[Tensor, "b c h w"]:
    """The images with what was drawn on them: colours as they are, dragged patches at their new places, edges as
    coloured lines, and what may not move darker."""
    image = targets["image"]
    image = torch.lerp(image, torch.full_like(image, -1), DIM * (1 - targets["movable_mask"]).expand_as(image))
    channels = image.shape[1]
    line = image.new_tensor(LINE[:channels]).view(1, -1, 1, 1)
    for kind in ("warp", "color_strokes"):
        mask = targets["color_mask" if kind == "color_strokes" else "warp_mask"]
        image = torch.lerp(image, targets[kind], mask.expand_as(image))
    return torch.lerp(image, line.expand_as(image), targets["sketch_mask"].expand_as(image))


def _values(inversion: Inversion, row: int) -> list[float]:
    return inversion.v["alternatives/value"][row].tolist()

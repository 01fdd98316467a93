"""The edits of the study: photos, the frames from G(v) to G(v′), and the picture that the world itself draws."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from hydra import compose, initialize_config_module
from torch import Tensor
from torch.nn import functional as F

from zstar.annotations.annotator import Annotator
from zstar.config.build import to_plain
from zstar.data.cottages import FACTORS, Cottages, render
from zstar.directions.apply import apply
from zstar.edits.brightness import Brightness
from zstar.edits.factor import moved
from zstar.edits.zoom import Zoom
from zstar.inversion import Inversion
from zstar.losses.targets import Targets
from zstar.postprocess.base import Change
from zstar.projection.pipeline import Pipeline
from zstar.projectors.base import project
from zstar.runs.folder import config_hash

FOLDER = Path("outputs/edit_transfer")
LARGER = 4  # times the generator's resolution: photos
FACTOR, OFFSET = 0.4, 0.2  # strengths: of a factor's range, towards its further end; of brightness, in turns
OCTAVES = 0.4  # of the zoom
EDITS = ("season", "season, matched", "time_of_day", "time_of_day, matched", "brightness",
         "house_x", "house_x, matched", "house_x, true frames", "zoom, true frames")  # fmt: skip
TRIED = torch.arange(5, 21) / 10  # multiples of a direction's strength, where its effect is matched


@dataclass(frozen=True)
class Case:
    """An edit of some photos.

    Attributes:
        name: Of the edit.
        change: What post-processing gets.
        truth: What it is to come to, at the photos' resolution.
        alpha: How far each photo is edited.
    """

    name: str
    change: Change
    truth: Tensor
    alpha: Tensor


class World:
    """Cottages as photos, projected as ``edit.py`` does it, and the shipped directions.

    Arguments:
        split, first, count: Which cottages.
        words: For ``edit.py``.
    """

    def __init__(self, split: str, first: int, count: int, words: list[str]) -> None:
        with initialize_config_module("zstar.conf", version_base="1.3"):
            plain = to_plain(compose("edit", ["logger=none", *words]))
        self.pipeline = Pipeline(plain, "there is nothing to edit")
        self.generator = self.pipeline.generator
        self.size, self.annotator = self.generator.resolution, Annotator()
        batch = Cottages(count, split, self.size, first=first).read(range(count))
        self.factors = batch.extras["factors"]
        self.photos = render(self.factors, LARGER * self.size)[0]
        self.targets, self.words = Targets({"image": batch.images}, batch.ids), words

    @cached_property
    def inversion(self) -> Inversion:
        """The projections, which are kept."""
        path = FOLDER / f"{config_hash({'ids': self.targets.ids, 'words': self.words})}.safetensors"
        if not path.is_file():
            project(self.pipeline.problem, self.pipeline.projectors, self.targets, []).save(path)
        return Inversion.load(path)

    def case_of(self, name: str) -> Case:
        """An edit by its name."""
        factor, _, way = name.partition(", ")
        make = self.zoomed if factor == "zoom" else self.drawn if way == "true frames" else self.generated
        return make(name, factor)

    def generated(self, name: str, factor: str) -> Case:
        """Frames of the generator, along a shipped direction."""
        alpha = self.strengths(factor)
        far = alpha * self.matched(factor, alpha) if name.endswith("matched") else alpha
        frame = lambda share: self.edited(factor, share * far)  # noqa: E731

        if factor == "brightness":
            truth = Brightness()(self.photos, alpha)[0].clamp(-1, 1)
        else:
            truth = render(moved(self.factors, factor, alpha), self.photos.shape[-1])[0]
        return self.case(name, frame, truth, alpha)

    @torch.no_grad()
    def edited(self, factor: str, strength: Tensor) -> Tensor:
        """G(v′) along a shipped direction."""
        steps = [(self.pipeline.directions[factor], strength)]
        v, space = apply(self.generator, self.inversion.v, self.inversion.space, steps)
        return self.generator.render(v, space, self.inversion.noise_mode).clamp(-1, 1)

    def matched(self, factor: str, alpha: Tensor) -> Tensor:
        """What the strength of each photo is multiplied by, so that the annotator that ships sees the factor move as
        far as it should: what a user can do, who doesn't know the truth either."""
        place = self.annotator.names.index(factor)
        read = lambda scale: self.annotator.score(self.edited(factor, scale * alpha))[:, place]  # noqa: E731
        with torch.no_grad():
            wanted = read(0.0) + alpha
            misses = torch.stack([(read(scale) - wanted).abs() for scale in TRIED])
        return TRIED[misses.nan_to_num(torch.inf).argmin(dim=0)]

    def drawn(self, name: str, factor: str) -> Case:
        """Frames of the world itself: what transfer comes to where nothing is lost in a projection."""
        alpha = self.strengths(factor)
        truth = render(moved(self.factors, factor, alpha), self.photos.shape[-1])[0]
        frame = lambda share: render(moved(self.factors, factor, share * alpha), self.size)[0]  # noqa: E731
        return self.case(name, frame, truth, alpha)

    def zoomed(self, name: str, factor: str) -> Case:
        """Frames that are the photo enlarged, made small."""
        alpha = torch.full((len(self.photos),), OCTAVES)
        frame = lambda share: F.interpolate(  # noqa: E731
            Zoom()(self.photos, share * alpha)[0], size=(self.size, self.size), mode="area"
        )
        return self.case(name, frame, Zoom()(self.photos, alpha)[0], alpha)

    def case(self, name: str, frame: Callable[[float], Tensor], truth: Tensor, alpha: Tensor) -> Case:
        """An edit from its frames."""
        return Case(name, Change(self.photos, frame(0.0), frame(1.0), None, frame), truth, alpha)

    def strengths(self, factor: str) -> Tensor:
        """How far each photo is edited."""
        if factor == "brightness":
            return OFFSET * (1.0 - 2.0 * (torch.arange(len(self.photos)) % 2))
        low, high = FACTORS[factor].low, FACTORS[factor].high
        place = (self.factors[:, list(FACTORS).index(factor)] - low) / (high - low)
        return torch.where(place < 0.5, FACTOR, -FACTOR)

"""Random numbers: every purpose has a stream of its own, and no latents are a network's initial weights."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from zstar.generators.base import AbstractGenerator
from zstar.generators.module import Module
from zstar.generators.stylegan2 import StyleGAN2
from zstar.spaces.w import W
from zstar.stats.streams import numpy_stream, seed_global, stream

SOURCE = Path(__file__).parents[1] / "src" / "zstar"
EXPERIMENTS = SOURCE.parents[1] / "experiments"
HOME = SOURCE / "stats" / "streams.py"
PLACES = {"stream": 0, "stream_seed": 0, "seed_global": 0, "numpy_stream": 0, "rngs": 1}  # where these take the purpose
SEEDED = {"manual_seed", "seed", "seed_everything", "default_rng", "RandomState", "set_rng_state"}


@cache  # reads all modules
def calls(folder: Path = SOURCE) -> list[tuple[Path, str, ast.Call]]:
    """The calls of all modules but the home of streams: file, last part of the name of what is called, and the call."""
    found = []
    for path in sorted(set(folder.rglob("*.py")) - {HOME}):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                found.append((path.relative_to(folder), name, node))
    return found


@cache
def purposes() -> list[str]:
    """The purpose of each place that draws; what is no word in the code must be one of a few that are known."""
    found = ["samples", "held out"]  # the streams of data=samples, which a configuration may name
    for path, name, call in calls():
        if name in PLACES and len(call.args) > PLACES[name]:
            purpose = call.args[PLACES[name]]
            if isinstance(purpose, ast.Constant):
                found.append(purpose.value)
            else:
                assert ast.unparse(purpose) in ("self.stream", "purpose"), f"{path}: {ast.unparse(call)}"
    return found


def test_nothing_is_seeded_but_by_a_stream() -> None:
    wild = {
        f"{path}: {ast.unparse(call)}"
        for path, name, call in [*calls(), *calls(EXPERIMENTS)]
        if path.name != "projector_as_published.py"  # which draws as the official program does
        if name in SEEDED or (isinstance(call.func, ast.Attribute) and "np.random" in ast.unparse(call.func))
    }
    assert not wild
    for path in (*SOURCE.rglob("*.py"), *EXPERIMENTS.rglob("*.py")):
        assert not re.search(r"^\s*(from|import) random\b", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_no_two_purposes_share_a_stream() -> None:
    assert len(purposes()) > 30
    assert not [purpose for purpose, count in Counter(purposes()).items() if count > 1]
    seeds = [stream(purpose, seed).initial_seed() for purpose in purposes() for seed in range(4)]
    assert len(set(seeds)) == len(seeds) and min(seeds) > 1000


def test_a_stream_is_told_by_all_its_words() -> None:
    def first(*words: object, index: int = 0) -> float:
        return torch.randn(1, generator=stream(*words, index=index)).item()

    words = [("a", 0), ("b", 0), ("a", 1), ("a", 0, "x"), ("a", 0, "y"), ("a", 0, 1)]
    drawn = {first(*word) for word in words} | {first("a", 0, index=i) for i in range(100)}
    assert len(drawn) == len(words) + 99, "index 0 is the stream itself"
    assert first("a", 0, "x") == first("a", 0, "x")
    torch.manual_seed(5)
    kept = [stream("a", 0), torch.randn(1).item()][1]
    torch.manual_seed(5)
    assert torch.randn(1).item() == kept, "streams leave the global numbers as they are"
    seed_global("a", 0)
    assert torch.randn(1).item() == first("a", 0)
    assert numpy_stream("a", 0).random() == numpy_stream("a", 0).random() != numpy_stream("b", 0).random()


class Own(nn.Module):
    """A network of a user's own, with weights as torch draws them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 64), nn.Linear(64, 48)
        nn.init.normal_(self.first.weight)

    def forward(self, z: Tensor) -> Tensor:
        return self.last(self.first(z).relu()).view(-1, 3, 4, 4)


def fresh() -> StyleGAN2:
    return StyleGAN2(resolution=16, z_dim=16, w_dim=16, num_mapping_layers=2, channel_max=16)


def generators() -> Iterator[AbstractGenerator]:
    yield StyleGAN2(checkpoint="cottages64")
    for seed in (0, 1):
        torch.manual_seed(seed)  # what a user's script may do
        yield Module(Own(), [16])
        torch.manual_seed(seed)
        yield fresh()
        seed_global("initial weights", seed)  # what a training does
        yield fresh()


def likeness(draws: Tensor, weights: Tensor) -> Tensor:
    """For each row, the largest |cosine| with as many weights that follow one another, wherever they begin."""
    draws, weights, count = draws.double(), weights.double(), draws.shape[1]
    size = 2 ** (len(weights) + count).bit_length()
    product = torch.fft.irfft(torch.fft.rfft(weights, size) * torch.fft.rfft(draws, size).conj(), size)
    ends = nn.functional.pad(weights.square().cumsum(0), (1, 0))
    lengths = (ends[count:] - ends[:-count]).clamp_min(1e-12).sqrt()
    return (product[:, : len(lengths)] / lengths).abs().amax(dim=1) / draws.norm(dim=1)


def numbers(generator: AbstractGenerator) -> Tensor:
    """The first of a generator's weights."""
    return torch.cat([weight.detach().flatten() for weight in generator.parameters()])[: 2**14]


def test_no_latents_are_like_the_weights_of_the_generator_that_draws_them() -> None:
    drawing = [purpose for purpose in purposes() if purpose != "initial weights"]
    for generator in generators():
        rows = [generator.sample(32, stream(purpose, 0)).flatten()[:256] for purpose in drawing]
        worst = likeness(torch.stack(rows), numbers(generator))
        alike = {purpose: value for purpose, value in zip(drawing, worst.tolist(), strict=True) if value > 0.4}
        assert not alike, type(generator).__name__
    torch.manual_seed(0)  # the measure itself: with one seed for both, the first draws are the first weights
    weights = numbers(fresh())
    assert likeness(torch.randn(1, 256, generator=torch.Generator().manual_seed(0)), weights) > 0.99


@pytest.mark.parametrize("seed", [0, 1])
def test_statistics_of_the_shipped_prior_are_those_of_other_samples(seed: int) -> None:
    space = W(StyleGAN2(checkpoint="cottages64"))
    draws = space.sample(20_000, stream("an independent sample", seed))
    spread = (draws - draws.mean(dim=0)).square().mean().sqrt().item()
    assert space.spread == pytest.approx(spread, rel=0.005)
    assert ((space.mean - draws.mean(dim=0)).norm() / draws.std(dim=0).norm()).item() < 0.03

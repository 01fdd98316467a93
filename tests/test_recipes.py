"""What the comments of recipes and methods say can be typed: every command composes and fits the code."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from zstar.config.check import check
from zstar.config.schema import Invert, Train

CONF = Path(__file__).parents[1] / "conf"
RECIPES = sorted([*CONF.glob("experiment/*.yaml"), *CONF.glob("method/*.yaml"), *CONF.glob("protocol/*.yaml")])
SETTINGS = {"train": Train, "invert": Invert}
STANDS_FOR = {"generator=<yours>": "generator=stylegan2"}


def _comment(path: Path) -> str:
    lines = path.read_text().splitlines()
    return " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))


def _words(text: str) -> list[str]:
    """The words ``key=value`` that a text begins with, with something in the place of ``<file>``."""
    found = []
    for word in text.split():
        word = STANDS_FOR.get(word, word)
        if "=" not in word:
            break
        found.append(re.sub(r"<[^>]*>", "x", word.rstrip(".,;:")))
        if word[-1] in ".,;:":
            break
    return found


def _home(path: Path) -> str:
    """The program that a recipe is for."""
    values = yaml.safe_load(path.read_text())
    chosen = [group for entry in values["defaults"] for group in entry]
    return "train" if "override /task" in chosen else "invert"


def _commands() -> Iterator[Any]:
    """Whole commands, and words that change what the recipe itself chooses."""
    for path in RECIPES:
        text = _comment(path)
        for match in re.finditer(r"python (train|invert)\.py (?!-m)", text):
            yield pytest.param(match[1], _words(text[match.end() :]), id=f"{path.stem}-{match.start()}")
        for match in re.finditer(r"(?<= )(?:loss=\[|space\.constraint=)", text):
            if "=" not in text[: match.start()].split()[-1]:
                own = f"{path.parent.name}={path.stem}"
                yield pytest.param(
                    _home(path), [own, *_words(text[match.start() :])], id=f"{path.stem}-{match.start()}"
                )


@pytest.mark.parametrize(("primary", "words"), list(_commands()))
def test_what_a_comment_says_composes_and_checks(composed: Any, primary: str, words: list[str]) -> None:
    assert words and all(shlex.split(word) == [word] for word in words)
    check(composed(primary, *words), SETTINGS[primary])


@pytest.mark.parametrize("path", [p for p in RECIPES if _home(p) == "train"], ids=lambda path: path.stem)
def test_the_command_line_wins_over_a_recipe(composed: Any, path: Path) -> None:
    words = ["generator=stylegan2", "generator.checkpoint=x", "task.batch=3", "space.prior_samples=7"]
    cfg = composed("train", f"experiment={path.stem}", *words)
    assert cfg.generator.checkpoint == "x" and cfg.task.batch == 3 and cfg.space.prior_samples == 7


def test_recipes_of_encoders_hold_the_published_weights(composed: Any) -> None:
    cfg = composed("train", "experiment=e4e")
    spread, rows, width = 0.7524, 10, 128  # of the cottages
    assert cfg.regularizer.delta_norm.weight == pytest.approx(2e-4 * (rows - 1) * width**0.5 * spread, rel=0.05)
    assert cfg.adversary.latent.discriminator.r1_gamma == pytest.approx(10 / spread**2, rel=0.05)
    assert (cfg.adversary.latent.weight, cfg.adversary.latent.lr, cfg.adversary.latent.pool) == (0.1, 2e-5, 50)
    assert (cfg.task.widen_after, cfg.task.widen_every, cfg.encoder.around) == (20000, 2000, "first")
    words = ["loss=[pixel,lpips,identity]", "loss.lpips.weight=0.8", "loss.identity.network.checkpoint=x"]
    losses = composed("train", "experiment=psp", *words).loss
    assert [losses[name].weight for name in ("pixel", "lpips", "identity")] == [1.0, 0.8, 0.1]
    assert composed("train", "experiment=idinvert_encoder").adversary.image.weight == 0.08
    method = composed("invert", "method=idinvert")
    assert method.regularizer.in_domain.weight == pytest.approx(2 * spread**2, rel=0.05)
    assert (method.steps, method.optimizer.lr, list(method.projector)) == (100, 0.01, ["encoder", "optimization"])

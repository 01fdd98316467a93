"""A generator and its directions, trained together: what learns, what is shown, what is kept."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from zstar.checkpoints.io import load_weights
from zstar.data.cottages import Cottages
from zstar.directions.library import load_directions
from zstar.generators.base import AbstractGenerator
from zstar.generators.stylegan2 import StyleGAN2
from zstar.tasks.fit import fit
from zstar.tasks.generator import GeneratorTask
from zstar.tasks.steerable import SteeringBatch

RUN = [
    "logger=none", "trainer.accelerator=cpu", "data.resolution=16", "data.count=64", "callbacks.checkpoint_minutes=0",
    "callbacks.samples_every=2", "callbacks.scores_every=0", "callbacks.snapshot_every=0", "generator=stylegan2",
    "generator.resolution=16", "generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8",
    "discriminator=stylegan2", "discriminator.channel_max=8", "discriminator.r1_every=2", "validation.count=4",
    "space.prior_samples=100", "loss=[pixel]", "task.steps=4", "task.batch=4",
]  # fmt: skip
STEERED = ["task=steerable", *RUN, "edit=[shift_x,brightness]", "task.head_start=0", "task.path_weight=1.0"]


@pytest.fixture
def steered(composed: Callable[..., DictConfig]) -> Callable[..., GeneratorTask]:
    """A task of two edits, ready for steps without a trainer."""

    def make(*words: str) -> GeneratorTask:
        torch.manual_seed(0)
        task = GeneratorTask.compose(composed("train", *STEERED, *words))
        task.manual_backward = lambda loss: loss.backward()
        return task

    return make


def step(task: GeneratorTask) -> dict[str, torch.Tensor]:
    first = task.done * task.batch
    logs = task.update({"images": Cottages(1000, "train", 16).read(range(first, first + task.batch)).images})
    task.done += 1
    return logs


def shown(task: GeneratorTask, at: int = 0) -> tuple[torch.Tensor, SteeringBatch]:
    images = Cottages(8, "train", 16).read(range(8)).images
    return images, task.steering.show(images, torch.Generator().manual_seed(0), at)


def changed(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(value, before[name]) for name, value in module.named_parameters())


def test_a_step_teaches_all_three(steered: Callable[..., GeneratorTask]) -> None:
    task = steered()
    learners = [task.generator, task.discriminator, *task.steering.walks.values()]
    before = [{name: value.detach().clone() for name, value in part.named_parameters()} for part in learners]
    logs = step(task)
    assert all(changed(*pair) for pair in zip(learners, before, strict=True))
    assert {"train/shift_x", "train/brightness", "train/generator"} <= set(logs)
    (_, walk), (_, mean) = list(task.steering.walks.items())[0], list(task.steering.mean.items())[0]
    assert 0 < mean.vector.norm() < walk.vector.norm()  # the mean walk follows, as the mean of G does


def test_in_the_head_start_the_generator_stays(steered: Callable[..., GeneratorTask]) -> None:
    task = steered("task.head_start=1")
    parts = [task.generator, task.discriminator, task.steering.walks["shift_x"]]
    before = [{name: value.detach().clone() for name, value in part.named_parameters()} for part in parts]
    step(task)
    assert [changed(*pair) for pair in zip(parts, before, strict=True)] == [False, True, True]
    step(task)
    assert changed(parts[0], before[0])


def test_nothing_invented_is_shown(steered: Callable[..., GeneratorTask]) -> None:
    task = steered("edit=[shift_x]", "task.steering.share=0.5")
    images, (real, fake, penalty, _) = shown(task)
    hidden = (real == 0).all(dim=1) & (fake == 0).all(dim=1)
    assert torch.equal(real[4:], images[4:]) and not hidden[4:].any()  # half of the batch is shown as it is
    assert hidden[:4].any() and not torch.equal(real[:4], images[:4])
    assert (hidden.all(dim=1) == hidden.any(dim=1)).all()  # a shift hides whole columns, the same in real and fake
    assert penalty.requires_grad and penalty > 0
    torch.nn.init.constant_(task.steering.walks["shift_x"].vector, 2.0)
    other = shown(task)[1].fake
    seen = ~hidden[:4, None]
    assert torch.equal(other[4:], fake[4:]) and ((other - fake)[:4] * seen).abs().amax(dim=(1, 2, 3)).min() > 1e-4


def test_edits_take_turns(steered: Callable[..., GeneratorTask]) -> None:
    task = steered("task.steering.share=0.25")
    images, first = shown(task, 0)
    second = shown(task, 1)[1]
    assert set(first.logs) == {"train/shift_x", "train/brightness"}
    for at, row in ((first, 0), (second, 1)):  # brightness moves no pixel out of the picture
        assert (at.real[row] == 0).all(dim=0).any() and not (at.real[1 - row] == 0).all(dim=0).any()
        assert not torch.equal(at.real[1 - row], images[1 - row])
    assert set(shown(steered("task.steering.share=0.1"), 0)[1].logs) == {"train/shift_x"}


@pytest.mark.slow
@pytest.mark.parametrize("space", ["z", "w", "w_plus"])
def test_the_generator_comes_to_do_what_the_edit_does(steered: Callable[..., GeneratorTask], space: str) -> None:
    words = ["edit=[brightness]", f"space={space}", "task.steps=40", "task.batch=8", "task.decay=0"]
    task = steered(*words, "task.path_weight=0", "task.lr=2e-3", "task.steering.lr=0.1")
    before = shown(task)[1].penalty  # of the same latents and strengths as afterwards
    for _ in range(40):
        step(task)
    assert shown(task)[1].penalty < 0.7 * before
    assert task.steering.evaluate(task.generator.eval())["brightness/slope"] > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("walk", ["linear", "nonlinear"])
def test_resumes_exactly_and_writes_what_belongs_together(
    tmp_path: Path,
    composed: Callable[..., DictConfig],
    monkeypatch: pytest.MonkeyPatch,
    tiny: AbstractGenerator,
    walk: str,
) -> None:
    cfg, update = composed("train", *STEERED, f"walk={walk}"), GeneratorTask.update
    result = fit(cfg, tmp_path / "whole")

    def dying(self: GeneratorTask, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.done == 3:
            raise RuntimeError("killed")
        return update(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(GeneratorTask, "update", dying)
        with pytest.raises(RuntimeError, match="killed"):
            fit(cfg, tmp_path / "halves")
    fit(cfg, tmp_path / "halves")
    for name in ("weights", "directions"):
        whole, halves = (load_weights(tmp_path / run / f"{name}.safetensors") for run in ("whole", "halves"))
        assert whole and all(torch.equal(whole[key], halves[key]) for key in whole)
    generator = StyleGAN2(checkpoint=str(tmp_path / "whole" / "weights.safetensors"))
    path = tmp_path / "whole" / "directions.safetensors"
    found = load_directions(path, generator)
    assert set(found) == {"shift_x", "brightness"} and found["shift_x"].label.unit == "widths"
    latent = generator.sample(2, torch.Generator().manual_seed(0), space="w")
    assert not torch.equal(found["shift_x"].move(latent, torch.tensor([0.1, -0.1])), latent)
    with pytest.raises(ValueError, match="is for the generator"):
        load_directions(path, tiny)
    card = json.loads(path.with_suffix(".json").read_text())
    assert len(card["curves"]["shift_x"]) == 13 and card["steps"] == 4
    assert card["directions"]["brightness"]["scores"]["slope"] == result["scores"]["brightness/slope"]
    assert (tmp_path / "whole" / "samples" / "0000004.png").is_file()


def test_an_ordinary_training_knows_nothing_of_it(tmp_path: Path, composed: Callable[..., DictConfig]) -> None:
    plain = ["task=generator", *RUN, "task.steps=1", "callbacks.samples_every=0"]
    card = fit(composed("train", *plain), tmp_path)["card"]
    assert not {"space", "edit", "walk", "loss"} & set(card["config"])
    assert not (tmp_path / "directions.safetensors").exists()
    assert fit(composed("train", *plain, "edit=[rotate]"), tmp_path)["status"] == "finished"  # the same training
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert set(state["parts"]) == {"generator", "mean", "discriminator", "adam", "adam_discriminator"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["edit=[]"], "edit: the list is empty and there is nothing to learn from; choose edit=[zoom]"),
        (["loss=[]"], "loss: the list is empty and there is nothing to learn from; choose loss=[pixel]"),
        (["~space"], "space: nothing is chosen and this task needs it"),
        (
            ["+task.style_mixing=0.5"],
            "task.style_mixing: 0.5 mixes latents and task.steering moves",
        ),
        (["task.head_start=-1"], "task.head_start: -1 is not possible; set it to 0 or more"),
        (["task.steering.share=0"], "task.steering.share: 0 is not possible; set it to a number above 0"),
        (["task.steering.share=2"], "task.steering.share: 2 is not possible; set it to 0 to 1"),
        (["task.steering.weight=0"], "task.steering.weight: 0 is not possible; set it to a number above 0"),
        (
            ["+task.steering.weigth=1"],
            "task.steering.weigth: Steering has no argument 'weigth'; did you mean 'weight'?",
        ),
    ],
)
def test_settings_that_make_no_sense(
    tmp_path: Path, composed: Callable[..., DictConfig], words: list[str], sentence: str
) -> None:
    kept = [o for o in STEERED if not any(o.startswith(f"{w.split('=')[0].strip('~')}") for w in words)]
    kept = [o for o in kept if "~space" not in words or not o.startswith("space.")]
    with pytest.raises(ValueError) as error:
        fit(composed("train", *kept, *words), tmp_path)
    assert sentence in str(error.value)

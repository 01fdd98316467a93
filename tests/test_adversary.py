"""Adversaries of encoders: what D learns, who pays for it, what is kept of old fakes, and exact resumption."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from zstar.checkpoints.io import load_weights, save_weights
from zstar.discriminators.latent import Latent
from zstar.discriminators.stylegan2 import StyleGAN2 as ImageDiscriminator
from zstar.encoders.base import EncoderSpec
from zstar.encoders.psp import PSP
from zstar.encoders.restyle import ReStyle
from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.pixel import Pixel
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z
from zstar.stats.streams import stream
from zstar.tasks.adversary import ImageAdversary, LatentAdversary
from zstar.tasks.encoder import EncoderTask
from zstar.tasks.fit import fit
from zstar.tasks.pool import Pool, Share
from zstar.tasks.reconstruction import reconstruct

TINY = [
    "task=encoder", "logger=none", "trainer.accelerator=cpu", "data.resolution=16", "data.count=64",
    "validation.count=4", "callbacks.checkpoint_minutes=0", "callbacks.samples_every=0", "callbacks.scores_every=0",
    "callbacks.snapshot_every=0", "task.steps=6", "task.batch=4", "task.log_every=2", "task.samples=0.5",
    "task.flip=0.5", "task.widen_after=1", "task.widen_every=1", "generator=stylegan2", "space.prior_samples=100",
    "encoder=psp", "encoder.around=first", "encoder.width=8", "encoder.width_max=8", "encoder.pyramid=8",
    "loss=[pixel]", "metric=[mse]", "adversary=[latent,image]", "adversary.latent.pool=6", "adversary.latent.lr=0.01",
    "adversary.image.pool=3", "adversary.image.discriminator.channel_max=8",
    "adversary.image.discriminator.r1_every=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, tiny: StyleGAN2) -> list[str]:
    """A training of seconds with everything in it that has a schedule or draws random numbers."""
    path = tmp_path_factory.mktemp("generator") / "weights.safetensors"
    save_weights(path, tiny.state_dict(), {"kind": "generator", "settings": tiny.settings})
    return [*TINY, f"generator.checkpoint={path}"]


def latents(space: W | WPlus, n: int, seed: int = 0) -> Tensor:
    return space.sample(n, torch.Generator().manual_seed(seed))


def far_off(space: WPlus, n: int, seed: int = 0) -> Tensor:
    """Codes around the mean of w, most of them farther from it than any that the mapping network gives."""
    noise = torch.randn(n, *space.shape, generator=torch.Generator().manual_seed(seed))
    return space.mean + 3 * space.spread * noise


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@torch.no_grad()
def logits(adversary: LatentAdversary, codes: Tensor) -> Tensor:
    return adversary.discriminator(adversary.inputs(codes, images(len(codes))))[0]


def trained(space: WPlus, steps: int) -> LatentAdversary:
    adversary = LatentAdversary(space, partial(Latent, hidden=64, r1_gamma=0.1), lr=1e-2)
    for step in range(steps):
        fake = far_off(space, 16, step)
        loss = adversary.learn(fake, images(16), images(16), step, stream("adversary", 0, index=step), Share(16))
        adversary.adam.zero_grad()
        loss.backward()
        adversary.adam.step()
    return adversary


def test_far_off_codes_are_told_from_those_of_the_mapping_network(tiny: StyleGAN2) -> None:
    space = WPlus(tiny, 200)
    adversary = trained(space, 60)
    real, fake = logits(adversary, latents(space, 64, 77)), logits(adversary, far_off(space, 64, 78))
    right = torch.cat([real > 0, fake < 0]).double().mean()
    assert right > 0.95
    assert adversary.penalty(far_off(space, 8), images(8)) > 10 * adversary.penalty(latents(space, 8), images(8))


def test_each_row_is_judged_on_its_own(tiny: StyleGAN2) -> None:
    space = WPlus(tiny, 200)
    adversary = LatentAdversary(space, Latent, weight=2.0)
    latent = far_off(space, 3)
    alone = [F.softplus(-logits(adversary, latent[:, row])) for row in range(space.shape[0])]
    penalty = adversary.penalty(latent, images(3))
    torch.testing.assert_close(penalty, 2.0 * torch.stack(alone).mean())
    torch.testing.assert_close(adversary.penalty(latent.flip(1), images(3)), penalty)


def test_discriminator_works_in_units_of_the_prior(tiny: StyleGAN2) -> None:
    mean, unit = torch.full((5,), 3.0), torch.randn(6, 5)
    torch.manual_seed(1)
    small = Latent(mean, spread=0.01)
    torch.manual_seed(1)
    large = Latent(-mean, spread=100.0)
    said = [judge(judge.mean + judge.spread * unit)[0] for judge in (small, large)]
    torch.testing.assert_close(*said, atol=1e-4, rtol=1e-4)
    rng = torch.Generator()
    slopes = [judge.penalty(judge.mean + judge.spread * unit, 0, rng) for judge in (small, large)]
    torch.testing.assert_close(*slopes, atol=1e-4, rtol=1e-4)


def test_r1_is_exact_and_on_schedule() -> None:
    judge, rng = Latent(torch.zeros(4), layers=1, r1_gamma=10.0, r1_every=16), torch.Generator()
    codes = torch.randn(6, 4)
    expected = 10 / 2 * 16 * judge.body[-1].weight.square().sum()  # the slope of a linear D is its weight
    torch.testing.assert_close(judge.penalty(codes, 32, rng), expected)
    assert [step for step in range(40) if judge.penalty(codes, step, rng) is not None] == [0, 16, 32]
    assert Latent(torch.zeros(4), r1_gamma=0.0).penalty(codes, 0, rng) is None
    deep = Latent(torch.zeros(4), r1_every=1, r1_gamma=2.0)
    x = codes.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(deep(x)[0].sum(), x)
    torch.testing.assert_close(deep.penalty(codes, 3, rng), slope.square().sum(dim=1).mean())


@pytest.mark.parametrize("kind", ["latent", "image"])
def test_the_price_reaches_the_encoder_and_learning_reaches_d(tiny: StyleGAN2, kind: str) -> None:
    space = WPlus(tiny, 200)
    if kind == "latent":
        adversary = LatentAdversary(space, Latent)
    else:
        adversary = ImageAdversary(space, partial(ImageDiscriminator, group=1, channel_max=8))
    weights = list(adversary.discriminator.parameters())
    latent, made = far_off(space, 4).requires_grad_(True), images(4).requires_grad_(True)
    paid = latent if kind == "latent" else made
    adversary.penalty(latent, made).backward()
    assert (paid.grad.flatten(1).abs().sum(dim=1) > 0).all()
    assert all(weight.grad is None and weight.requires_grad for weight in weights)
    latent.grad = made.grad = None
    adversary.learn(latent, made, images(4, 1), 0, stream("adversary", 0), Share(4)).backward()
    assert all(weight.grad is not None for weight in weights) and latent.grad is made.grad is None


def test_images_of_the_data_are_real(tiny: StyleGAN2) -> None:
    adversary = ImageAdversary(WPlus(tiny, 200), partial(ImageDiscriminator, group=1, channel_max=8))
    dark, bright = -torch.rand(8, 3, 16, 16), torch.rand(8, 3, 16, 16)
    adversary.adam.param_groups[0]["lr"] = 3e-3
    for step in range(1, 40):
        loss = adversary.learn(torch.zeros(8, 1), bright, dark, step, stream("adversary", 0, index=step), Share(8))
        adversary.adam.zero_grad()
        loss.backward()
        adversary.adam.step()
    with torch.no_grad():
        assert adversary.discriminator(dark)[0].min() > adversary.discriminator(bright)[0].max()


@pytest.mark.parametrize(("size", "count"), [(6, 4), (4, 6), (5, 5), (0, 3)])
def test_pool_loses_nothing_and_shows_old_fakes_again(size: int, count: int) -> None:
    pool, new, kept, older = Pool(size, (1,)), 0.0, [], 0
    for step in range(40):
        fakes = new + torch.arange(count)[:, None].float()
        new += count
        held = kept
        out = pool.exchange(fakes, step, stream("adversary", 0, index=step)) if size else fakes
        kept = pool.kept.flatten().tolist()[: (step + 1) * count]
        fresh = fakes.flatten().tolist()
        if len(held) < size:  # it fills, and all of the new ones are shown
            assert torch.equal(out, fakes) and kept == (held + fresh)[:size]
            continue
        assert sorted(out.flatten().tolist() + kept) == sorted(held + fresh)
        assert all(a == b or a in held for a, b in zip(out.flatten().tolist(), fresh, strict=True))
        older += sum(value < fresh[0] for value in out.flatten().tolist())
    assert pool.kept.shape == (size, 1)
    assert older == 0 if size == 0 else 0.3 < older / (36 * min(size, count)) < 0.65


def test_old_fakes_reach_the_discriminator(tiny: StyleGAN2) -> None:
    space = W(tiny, 200)
    losses = []
    for kept in (10.0, -10.0):
        torch.manual_seed(0)
        adversary = LatentAdversary(space, Latent, pool=4)
        adversary.pool.kept.fill_(kept)
        losses.append(
            adversary.learn(
                latents(space, 4), images(4), images(4), 1, stream("adversary", 0, index=1), Share(4)
            ).item()
        )
    assert losses[0] != losses[1]


@pytest.mark.parametrize("pool", [0, 3])
def test_processes_that_share_a_step_learn_what_one_would(tiny: StyleGAN2, pool: int) -> None:
    space, step = WPlus(tiny, 200), 16
    torch.manual_seed(0)
    adversary = LatentAdversary(space, Latent, pool=pool)
    adversary.pool.kept.copy_(far_off(space, pool, 5)[:, 0])
    before = adversary.pool.kept.clone()
    latent, rest = far_off(space, 8), (images(8), images(8, 1))
    whole = adversary.learn(latent, *rest, step, stream("adversary", 0, index=step), Share(8))
    after, shares = adversary.pool.kept.clone(), [slice(rank, None, 2) for rank in range(2)]
    found = [
        adversary.fake(latent[rows], rest[0][rows], stream("adversary", 0, index=step), Share(8, rows))
        for rows in shares
    ]
    gathered = torch.stack(found, dim=1).flatten(0, 1)
    parts = []
    for rows in shares:
        adversary.pool.kept.copy_(before)
        share = Share(8, rows, lambda part: gathered)
        part = adversary.learn(latent[rows], *(x[rows] for x in rest), step, stream("adversary", 0, index=step), share)
        parts.append(part)
        assert torch.equal(adversary.pool.kept, after)
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


@pytest.mark.parametrize("kind", [Z, W, WPlus])
def test_latent_adversary_knows_every_space_of_codes(tiny: StyleGAN2, kind: type) -> None:
    space = kind(tiny, 200)
    adversary = LatentAdversary(space, Latent)
    real = adversary.real(images(5), stream("adversary", 0), Share(5))
    assert real.shape == (5, 16) and adversary.inputs(latents(space, 5), images(5)).shape[1] == 16
    expected = latents(space, 5, 0).reshape(5, -1, 16)[:, 0]
    torch.testing.assert_close(adversary.real(images(5), torch.Generator().manual_seed(0), Share(5)), expected)


def killed(task: type, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    update = task.update

    def dying(self: EncoderTask, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.done == step:
            raise RuntimeError("killed")
        return update(self, batch)

    monkeypatch.setattr(task, "update", dying)


def equal(a: object, b: object) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


@pytest.mark.slow
def test_training_against_adversaries_resumes_exactly(
    tmp_path: Path, composed: Callable[..., DictConfig], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = composed("train", *words)
    fit(cfg, tmp_path / "whole")
    with monkeypatch.context() as patch:
        killed(EncoderTask, 3, patch)
        with pytest.raises(RuntimeError, match="killed"):
            fit(cfg, tmp_path / "halves")
    assert fit(cfg, tmp_path / "halves")["steps"] == 6
    whole, halves = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("whole", "halves"))
    names = {"adversary_latent", "adam_latent", "adversary_image", "adam_image"}
    assert set(whole["parts"]) == {"encoder", "mean", "adam"} | names
    assert equal(whole["parts"], halves["parts"])
    latent, image = whole["parts"]["adversary_latent"], whole["parts"]["adversary_image"]
    assert latent["pool.kept"].abs().sum(dim=1).gt(0).all() and latent["pool.kept"].shape == (6, 16)
    assert image["pool.kept"].shape == (3, 3, 16, 16)
    weights = load_weights(tmp_path / "whole" / "weights.safetensors")
    assert not [name for name in weights if "discriminator" in name or "pool" in name]


def test_the_order_of_adversaries_changes_nothing(
    tmp_path: Path, composed: Callable[..., DictConfig], words: list[str]
) -> None:
    for order in ("latent,image", "image,latent"):
        fit(
            composed("train", *words, f"adversary=[{order}]", "task.steps=2", "task.widen_after=null"), tmp_path / order
        )
    a, b = (load_weights(tmp_path / n / "weights.safetensors") for n in ("latent,image", "image,latent"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_an_adversary_changes_the_encoder_and_is_logged(
    tmp_path: Path, composed: Callable[..., DictConfig], words: list[str]
) -> None:
    kept = [word for word in words if not word.startswith("adversary")]
    for name, more in {"none": [], "latent": ["adversary=[latent]"]}.items():
        fit(composed("train", *kept, *more, "logger=csv", "task.steps=4", "task.widen_after=null"), tmp_path / name)
    a, b = (load_weights(tmp_path / name / "weights.safetensors") for name in ("none", "latent"))
    assert not all(torch.equal(a[name], b[name]) for name in a)
    said = {name: (tmp_path / name / "log" / "metrics.csv").read_text() for name in ("none", "latent")}
    assert "adversary" not in said["none"]
    assert "train/adversary_latent" in said["latent"] and "train/discriminator_latent" in said["latent"]


def test_rows_open_on_schedule(tiny: StyleGAN2) -> None:
    space = WPlus(tiny, 200)
    encoder = PSP(EncoderSpec.of(space), width=8, width_max=8, pyramid=8)
    for weight in encoder.heads.parameters():
        torch.nn.init.normal_(weight)
    task = EncoderTask(space, encoder, {"pixel": Pixel()}, widen_after=10, widen_every=5, batch=2)
    opened = {}
    for step in (0, 9, 10, 14, 15, 19, 20, 25, 1000):
        task.done = step
        latent, made = reconstruct(task.trained_encoder(), space, images(2))
        same = (latent == latent[:, :1]).all(dim=2).all(dim=0).tolist()
        rows = same[1:].count(False) + 1
        opened[step] = rows
        assert same == [True, *([False] * (rows - 1)), *([True] * (len(same) - rows))]
        torch.testing.assert_close(made, space.decode(latent))
    assert opened == {0: 1, 9: 1, 10: 2, 14: 2, 15: 3, 19: 3, 20: 4, 25: 5, 1000: space.shape[0]}


def test_rows_are_closed_after_each_pass(tiny: StyleGAN2) -> None:
    space = WPlus(tiny, 200)
    encoder = ReStyle(EncoderSpec.of(space), partial(PSP, width=8, width_max=8, pyramid=8), passes=3)
    for weight in encoder.encoder.heads.parameters():
        torch.nn.init.normal_(weight)
    task = EncoderTask(space, encoder, {"pixel": Pixel()}, widen_after=1, widen_every=5)
    task.done = 3
    latent, network = space.start(2), task.trained_encoder().network
    for _ in range(3):  # as in training
        latent = task.widening.close(network(images(2), latent, space.decode(latent)), 3)
    torch.testing.assert_close(reconstruct(task.trained_encoder(), space, images(2))[0], latent)


@pytest.mark.parametrize(("after", "every", "steps"), [(10, 5, 31), (10, 1, 15), (0, 1, 5), (None, 5, 1)])
def test_a_training_ends_with_all_rows_open(after: int | None, every: int, steps: int, tiny: StyleGAN2) -> None:
    space = WPlus(tiny, 200)
    encoder = PSP(EncoderSpec.of(space), width=8, width_max=8, pyramid=8)
    make = partial(EncoderTask, space, encoder, {"pixel": Pixel()}, widen_after=after, widen_every=every)
    task = make(steps=steps)
    assert task.widening.open(space.start(1), steps - 1).shape == (1, *space.shape)
    if after is None:
        return
    sentence = f"task.widen_after: {after} and task.widen_every={every} open the last of 6 rows after {steps - 1} steps"
    with pytest.raises(ValueError, match=f"^{sentence}, and .*set task.steps={steps} or more"):
        make(steps=steps - 1)


def test_closed_rows_are_judged_once(tiny: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    space, seen = WPlus(tiny, 200), []
    encoder = PSP(EncoderSpec.of(space), width=8, width_max=8, pyramid=8)
    adversary = LatentAdversary(space, Latent)
    task = EncoderTask(
        space, encoder, {"pixel": Pixel()}, adversaries={"latent": adversary}, widen_after=1, widen_every=1, batch=2
    )
    monkeypatch.setattr(task, "manual_backward", lambda loss: loss.backward())
    inputs = adversary.inputs
    monkeypatch.setattr(adversary, "inputs", lambda latent, made: seen.append(latent.shape[1]) or inputs(latent, made))
    for step in range(4):
        task.done = step
        task.update({"images": images(2)})
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["task=generator", "discriminator=latent"],
            "discriminator: Latent judges latents and a generator makes images",
        ),
        (["adversary.image.weight=-1"], r"adversary.*.weight: -1 is not possible"),
        (["adversary.latent.pool=-1"], r"adversary.*.pool: -1 is not possible"),
        (["adversary.latent.lr=0"], r"adversary.*.lr: 0 is not possible"),
        (["adversary.latent.discriminator.layers=0"], "discriminator.layers: 0 is not possible"),
        (
            ["discriminator@adversary.latent.discriminator=projected"],
            "adversary.*.discriminator: Projected judges images, not latents; choose one for latents",
        ),
    ],
)
def test_what_can_not_be_is_one_sentence(
    tmp_path: Path, composed: Callable[..., DictConfig], words: list[str], overrides: list[str], sentence: str
) -> None:
    generator = overrides[0] == "task=generator"
    cfg = composed("train", "logger=none", *overrides) if generator else composed("train", *words, *overrides)
    with pytest.raises(ValueError) as error:
        fit(cfg, tmp_path)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)

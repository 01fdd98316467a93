"""VQ-VAE-2 equals the published network code by code, in both of its spaces, with its encoder and priors over codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import save_weights
from zstar.config.reasons import Unfit
from zstar.encoders.own import own_encoder
from zstar.generators.stylegan2 import StyleGAN2
from zstar.generators.vqvae2 import VQVAE2
from zstar.generators.vqvae2_networks import CodeBook
from zstar.inversion import Inversion
from zstar.projection.run import run
from zstar.spaces.continuous import Continuous
from zstar.spaces.quantised import Quantised

SIZES = {"width": 8, "num_blocks": 1, "inner": 4, "embed_dim": 4, "num_codes": 16}


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def small(resolution: int = 16, **arguments: Any) -> VQVAE2:
    torch.manual_seed(0)
    return VQVAE2(resolution, **SIZES | arguments)


def stored(path: Path, network: VQVAE2) -> str:
    save_weights(path, network.network.state_dict(), {"settings": {"resolution": network.resolution}})
    return str(path)


@pytest.mark.parametrize("converted", [False, True])
def test_it_is_the_published_one_code_by_code(shared: Path, tmp_path: Path, converted: bool) -> None:
    folder = shared / "golden/vqvae2_64"
    path, found = folder / "weights.safetensors", load_file(folder / "io.safetensors")
    if converted:
        torch.save(load_file(path), tmp_path / "vqvae.pt")
        convert([str(tmp_path / "vqvae.pt"), str(tmp_path / "vqvae.safetensors")])
        path = tmp_path / "vqvae.safetensors"
    generator = VQVAE2(checkpoint=str(path))
    assert generator.spaces == dict.fromkeys(("quantised", "continuous"), (16 * (8 * 8 + 16 * 16),))
    latent = generator.encode(found["image"])
    assert difference(generator.split(latent)[0], found["pre_quant_t"]) <= 1e-5
    for codes, known in zip(generator.codes(latent), (found["code_t"], found["code_b"]), strict=True):
        assert torch.equal(codes, known)
    exact = generator.lift(latent, "quantised", "continuous")
    for part, known in zip(generator.split(exact), (found["quant_t"], found["quant_b"]), strict=True):
        assert difference(part, known) <= 1e-5
    for space in ((latent, "quantised"), (exact, "continuous"), (exact, "quantised")):
        assert difference(generator.synthesize(*space), found["reconstruction"]) <= 1e-4
    image, distance = generator.training_pass(found["image"], torch.Generator())
    assert difference(image, found["reconstruction"]) <= 1e-4
    assert distance.mean().item() == pytest.approx(found["diff"].item(), abs=1e-5)
    drawn = generator.embed(found["random_code_t"], found["random_code_b"])
    assert difference(generator.synthesize(drawn, "quantised"), found["image_of_random_codes"]) <= 1e-4


@pytest.mark.parametrize("sizes", [{"channels": 1}, {"width": 6, "num_blocks": 0}, {"num_codes": 9, "embed_dim": 3}])
def test_sizes_are_those_of_the_file(sizes: dict[str, Any], tmp_path: Path) -> None:
    fresh = small(24, **sizes)
    again = VQVAE2(checkpoint=stored(tmp_path / "codes.safetensors", fresh))
    assert (again.resolution, again.channels, again.trained, fresh.trained) == (
        24,
        sizes.get("channels", 3),
        True,
        False,
    )
    latent = fresh.sample(2, torch.Generator().manual_seed(0))
    assert torch.equal(again.synthesize(latent, "quantised"), fresh.synthesize(latent, "quantised"))
    assert again.fingerprint() == fresh.fingerprint()
    other = VQVAE2(16, checkpoint=str(tmp_path / "codes.safetensors"))
    assert other.resolution == 16 and other.fingerprint() != fresh.fingerprint()
    again.network.quantize_b.embed.add_(1)
    assert again.fingerprint() != fresh.fingerprint(), "the codes count"


def test_the_gradient_passes_straight_through_the_codes() -> None:
    generator = small()
    latent = generator.sample(3, torch.Generator().manual_seed(0)) + 0.3
    latent.requires_grad_()
    exact = generator.lift(latent, "quantised", "continuous")
    image = generator.synthesize(latent, "quantised")
    assert difference(image, generator.synthesize(exact.detach(), "continuous")) < 1e-6
    (gradient,) = torch.autograd.grad(image[1].sum(), latent)
    free = exact.detach().requires_grad_()
    (through,) = torch.autograd.grad(generator.synthesize(free, "continuous")[1].sum(), free)
    assert torch.equal(gradient, through) and gradient[1].abs().sum() > 0 and not gradient[[0, 2]].any()
    assert difference(generator.synthesize(latent[1:2], "quantised"), image[1:2]) < 1e-6
    assert difference(generator.synthesize(latent, "continuous"), image) > 1e-3
    with pytest.raises(
        ValueError, match="continuous can't be lifted to quantised; the order is quantised → continuous"
    ):
        generator.lift(latent, "continuous", "quantised")


def test_latents_are_put_onto_codes_where_that_is_asked_for() -> None:
    generator = small()
    latent = generator.sample(2, torch.Generator().manual_seed(0))
    near = latent + 0.05 * torch.randn_like(latent)
    snapped = Quantised(generator, 50, constraint="codes").constrain(near)
    assert torch.equal(snapped, generator.embed(*generator.codes(near)))
    assert difference(snapped, latent) < 1e-6 and torch.equal(Quantised(generator, 50).constrain(near), near)
    assert torch.equal(Continuous(generator, 50).constrain(near), near)


def test_samples_are_drawn_by_how_often_codes_were_used() -> None:
    generator = small()
    usage = torch.zeros(16)
    usage[3], usage[5] = 3.0, 1.0
    generator.network.quantize_t.cluster_size.copy_(usage)
    trained = small()
    trained.counts = {"top": usage[None], "bottom": usage[None].flip(1)}
    for psi, share in ((1.0, 0.75), (0.5, 0.9)):
        latent = trained.sample(500, torch.Generator().manual_seed(1), psi)
        top, bottom = trained.codes(latent)
        assert set(top.unique().tolist()) == {3, 5} and set(bottom.unique().tolist()) == {12, 10}
        assert abs((top == 3).float().mean().item() - share) < 0.03
    fresh = generator.codes(generator.sample(400, torch.Generator().manual_seed(1)))[1]
    assert len(fresh.unique()) == 16, "one that has used none draws all alike"
    with pytest.raises(ValueError, match="truncation: 0 is no power of shares; set it to a number above 0"):
        generator.sample(1, torch.Generator(), 0)
    again = VQVAE2(16, **SIZES)
    again.network.load_state_dict(generator.network.state_dict())
    assert torch.equal(again.network.quantize_t.cluster_size, usage)


def test_samples_like_the_images_of_a_run(tmp_path: Path) -> None:
    path = stored(tmp_path / "codes.safetensors", small())
    generator = VQVAE2(checkpoint=path)
    latent = generator.sample(3, torch.Generator().manual_seed(0))
    numbers = torch.zeros(3)
    kept = Inversion(["a", "b", "c"], "quantised", {"latent": latent}, None, numbers, numbers, numbers, ["done"] * 3)
    kept.save(tmp_path / "run" / "latents.safetensors")
    like = VQVAE2(checkpoint=path, prior_run=str(tmp_path / "run"))
    drawn = like.codes(like.sample(200, torch.Generator().manual_seed(1)))
    for found, known in zip(drawn, generator.codes(latent), strict=True):
        assert (found[:, None] == known).any(dim=1).all(), "each place has a code that some image has there"
        shares = (found[:, None] == known).float().mean(dim=(0, 2, 3))
        assert (shares > 0.25).all(), "of all images alike"
    assert like.fingerprint() != generator.fingerprint()
    wrong = Inversion(["a"], "z", {"latent": torch.zeros(1, 5)}, None, *[numbers[:1]] * 3, ["done"])
    wrong.save(tmp_path / "wrong" / "latents.safetensors")
    with pytest.raises(ValueError, match="generator.prior_run: .* holds no latents of this generator"):
        VQVAE2(checkpoint=path, prior_run=str(tmp_path / "wrong"))


def test_maps_are_those_behind_activations_and_the_encoder_draws_nothing() -> None:
    generator = small()
    with generator.reading(*generator.layers) as seen:
        generator.synthesize(generator.sample(2, torch.Generator().manual_seed(0)), "quantised")
    assert seen["b4"].min() == 0 == seen["b8"].min()
    free = generator.free_weights("quantised")
    assert free and all(name.startswith(("network.upsample_t", "network.dec.")) for name in free)


def test_a_fresh_one_learns_and_its_codes_follow() -> None:
    generator = small()
    images = (torch.rand(16, 3, 1, 1) * 2 - 1).expand(-1, -1, 16, 16)
    before = generator.network.quantize_t.embed.clone()
    generator.train().requires_grad_(True)
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-2)
    errors, rng = [], torch.Generator().manual_seed(0)
    for _ in range(15):
        image, distance = generator.training_pass(images, rng)
        error = (image - images).square().mean()
        optimizer.zero_grad()
        (error + 0.25 * distance.mean()).backward()
        optimizer.step()
        errors.append(error.item())
    book = generator.network.quantize_t
    assert errors[-1] < 0.85 * errors[0] and difference(book.embed, before) > 1e-3
    assert generator.network.enc_t.blocks[0].weight.grad.abs().sum() > 0, "the encoder learns through the codes"
    still = generator.freeze().network.quantize_t.embed.clone()
    generator.training_pass(images, rng)
    assert torch.equal(generator.network.quantize_t.embed, still)
    assert sum(value.numel() for value in VQVAE2().state_dict().values()) < 500_000


def test_codes_are_running_means_and_unused_ones_begin_anew() -> None:
    torch.manual_seed(0)
    book, rng = CodeBook(2, 4), torch.Generator().manual_seed(0)
    book.follow(x := torch.randn(3, 2, 4, 4) * 0.01, rng)  # a fresh network's maps, far from all codes but one
    pixels = x.movedim(1, -1).flatten(0, 2)
    begun = torch.cdist(book.embed.T, pixels).amin(dim=1) < 1e-6
    assert begun.sum() >= 3 and book.cluster_size[begun].eq(12).all()
    used = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]])
    book.embed.copy_(used), book.embed_avg.copy_(12 * used), book.cluster_size.fill_(12)
    book.cluster_size[3], book.embed_avg[:, 3] = 0, 0
    x = torch.full((3, 2, 2, 2), 0.5)  # all of it is the first code's
    book.follow(x, rng)
    shares = book.cluster_size.tolist()
    assert shares == pytest.approx([0.99 * 12 + 0.01 * 12, 0.99 * 12, 0.99 * 12, 3])
    first = (0.99 * 12 * used[:, 0] + 0.01 * 12 * 0.5) / 12
    assert difference(book.embed[:, 0], first) < 1e-6 and difference(book.embed[:, 1:3], used[:, 1:3]) < 1e-6
    assert difference(book.embed[:, 3], torch.full((2,), 0.5)) < 1e-6
    again = [CodeBook(2, 4) for _ in range(2)]
    again[1].load_state_dict(again[0].state_dict())
    for one in again:
        one.follow(
            torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1)), torch.Generator().manual_seed(2)
        )
    assert torch.equal(again[0].embed, again[1].embed), "what is drawn is the step's own"


def test_samples_know_what_a_training_has_used() -> None:
    generator = small()
    generator.train().training_pass(torch.rand(4, 3, 16, 16) * 2 - 1, torch.Generator().manual_seed(0))
    for book in generator.books.values():
        book.cluster_size.zero_()[2] = 5
    drawn = generator.codes(generator.sample(3, torch.Generator().manual_seed(0)))
    assert all(part.eq(2).all() for part in drawn)


def test_its_own_encoder(tmp_path: Path) -> None:
    generator = VQVAE2(checkpoint=stored(tmp_path / "codes.safetensors", small()))
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    for space in (Quantised(generator, 50), Continuous(generator, 50)):
        latent = own_encoder(space)(space, images)[0]
        made = generator.training_pass(images, torch.Generator())[0]
        assert difference(generator.synthesize(latent, space.name), made) < 1e-5


def test_what_does_not_fit_gets_one_sentence(tmp_path: Path, tiny: StyleGAN2) -> None:
    state, path = small().network.state_dict(), tmp_path / "broken.safetensors"
    for change, message in [
        ({"dec.blocks.0.bias": None}, r"broken.safetensors lacks 'dec.blocks.0.bias' \(8,\)"),
        ({"upsample_t.bias": torch.zeros(3)}, r"'upsample_t.bias' is \(3,\) in .*broken.safetensors, but \(4,\)"),
        ({"upsample_t.bias": torch.full((4,), torch.nan)}, "'upsample_t.bias' in .* holds numbers that are not finite"),
        ({"quantize_b.embed": torch.full((4, 16), torch.inf)}, "'quantize_b.embed' in .* that are not finite"),
        (
            {"enc_t.blocks.2.weight": None},
            "broken.safetensors holds no whole VQ-VAE-2: it lacks 'enc_t.blocks.2.weight'",
        ),
    ]:
        save_weights(path, {n: value for n, value in {**state, **change}.items() if value is not None}, {})
        with pytest.raises(ValueError, match=message) as error:
            VQVAE2(16, checkpoint=str(path))
        assert "\n" not in str(error.value) and "broken.safetensors" in str(error.value)
    save_weights(path, state, {})
    with pytest.raises(ValueError, match="holds no StyleGAN2 .*it is a VQ-VAE-2; choose generator=vqvae2"):
        StyleGAN2(checkpoint=str(path))
    with pytest.raises(ValueError, match="generator.resolution: 20 can't be halved 3 times; choose a multiple of 8"):
        small(20)
    with pytest.raises(ValueError, match="generator.num_codes: 0 is not possible"):
        small(num_codes=0)
    with pytest.raises(Unfit, match="StyleGAN2 has no space 'quantised'; choose one of z, w, w_plus, style"):
        Quantised(tiny)


def test_projections_by_the_program(composed: Callable[..., Any], tmp_path: Path) -> None:
    path = stored(tmp_path / "codes.safetensors", small())
    words = [
        "generator=vqvae2", f"generator.checkpoint={path}", "data=samples", "data.count=3", "loss=[pixel]",
        "space.prior_samples=50", "logger=none", f"output={tmp_path}/runs", "metric=[mse]", "encoder=own",
    ]  # fmt: skip
    errors, folders = {}, {}
    for space in ("quantised", "continuous"):
        for steps in (0, 2):
            chain = "projector=[encoder,optimization]"
            result = run(composed("invert", *words, f"space={space}", chain, f"steps={steps}"))
            folders[space] = result["folder"]
            rows = pl.read_parquet(Path(result["folder"]) / "results.parquet")
            errors[space, steps] = rows.filter(pl.col("metric") == "mse")["value"].mean()
            assert not result["failed"] and result["space"] == space
    assert errors["continuous", 2] < errors["continuous", 0] == pytest.approx(errors["quantised", 0], rel=1e-4)
    assert errors["quantised", 2] <= errors["quantised", 0]
    like = run(composed("invert", *words, "space=quantised", "projector=[random]",
                        f"generator.prior_run={folders['quantised']}"))  # fmt: skip
    assert like["images"] == 3 and like["generator"] != result["generator"]

"""Everything runs on a second device as on the CPU, and a step of the loop neither waits for it nor copies to it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fake_device
import pytest
import torch
import yaml
from conditional import conditional
from fake_device import FakeDevice, Seen
from omegaconf import DictConfig, OmegaConf
from parameters import slowly
from torch import Tensor

from zstar.callbacks import BestSoFar, EarlyStop
from zstar.config.build import build, offer
from zstar.config.check import STROKES
from zstar.config.signatures import resolve
from zstar.data.base import AbstractData
from zstar.data.cottages import Cottages
from zstar.data.samples import Samples
from zstar.directions.random import Random
from zstar.editability.base import Traversal
from zstar.editing.run import run as edit
from zstar.encoders.trained import TrainedEncoder
from zstar.generators.base import AbstractGenerator
from zstar.generators.glow import Glow
from zstar.generators.pixels import Pixels
from zstar.generators.vqvae2 import VQVAE2
from zstar.inversion import Inversion, minimize
from zstar.losses.pixel import Pixel
from zstar.losses.targets import Targets
from zstar.metrics.base import AbstractModelMetric, AbstractPriorMetric, AbstractSetMetric
from zstar.objective import Objective, Problem
from zstar.optimizers.adam import Adam
from zstar.optimizers.base import AbstractOptimizer
from zstar.optimizers.conjugate_gradient import ConjugateGradient
from zstar.optimizers.lbfgs import LBFGS
from zstar.projection.run import run
from zstar.projectors.base import project
from zstar.projectors.drag import Drag
from zstar.projectors.optimization import Optimization
from zstar.spaces.pixels import Pixels as PixelSpace
from zstar.spaces.w import W
from zstar.spaces.w_plus import WPlus
from zstar.spaces.z import Z

pytestmark = pytest.mark.skipif(not fake_device.available(), reason="needs a torch that can pretend a device")

CONF = Path(__file__).parents[1] / "conf"
SIZE = 16
# Their networks are no part of the project, or big.
FILES = {"identity", "moco", "squeezenet11", "vgg19", "lpips_vgg", "realism", "discriminator"}
PICTURES = {"analogy", "copy", "poisson", "recolour", "multiscale"}  # projectors of generator=pixels


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def node(group: str, name: str) -> dict[str, Any]:
    """A component's file."""
    content = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    return content.get(name, content)


class RealDevice:
    """A GPU, where there is one: what runs on the pretended device has to run there; nothing is counted."""

    name = "cuda:0"

    @contextmanager
    def watching(self) -> Iterator[Seen]:
        yield Seen()


CUDA = [pytest.param("cuda", marks=pytest.mark.gpu)] if fake_device.GPUS else []


@pytest.fixture(params=["pretended", *CUDA])
def device(request: pytest.FixtureRequest) -> Iterator[FakeDevice | RealDevice]:
    if request.param == "cuda":
        yield RealDevice()
        return
    with FakeDevice() as device:
        yield device


@pytest.fixture
def there(device: FakeDevice, tiny: AbstractGenerator) -> AbstractGenerator:
    """The tiny StyleGAN2 on the device."""
    return copy.deepcopy(tiny).to(device.name)


def targets(device: FakeDevice, size: int = SIZE) -> Targets:
    rng = torch.Generator().manual_seed(0)
    mask = torch.ones(2, 1, size, size)
    mask[:, :, : size // 4] = 0
    named = {"image": torch.rand(2, 3, size, size, generator=rng) * 2 - 1, "mask": mask}
    for target, weights in zip(STROKES[::2], STROKES[1::2], strict=True):
        named |= {target: named["image"].flip(0), weights: mask}
    named["points"] = torch.tensor([[2.0, 8.0], [15.0, 9.0]]).expand(2, 1, 2, 2)
    return Targets({name: value.to(device.name) for name, value in named.items()}, ["a", "b"])


def small_codes() -> VQVAE2:
    return VQVAE2(SIZE, width=8, num_blocks=1, inner=4, embed_dim=4, num_codes=16)


def per_step(device: FakeDevice, work: Callable[[int], Any]) -> Seen:
    """What two more steps do, beside the one at whose end the loop looks whether all has ended, which is the tenth."""
    counted = []
    work(1)  # what is done once and kept
    for steps in (1, 3):
        with device.watching() as seen:
            work(steps)
        counted.append(seen)
    few, many = counted
    return Seen(*(getattr(many, kind) - getattr(few, kind) for kind in ("launches", "waits", "copies")))


def require_no_stop(seen: Seen) -> None:
    assert not seen.waits and not seen.copies, f"waits {dict(seen.waits)}, copies {dict(seen.copies)}"


def test_a_device_refuses_what_a_device_refuses() -> None:
    """The instrument itself: numbers as on the CPU, mixtures refused, waits and copies counted."""
    with FakeDevice() as device:
        refuse_what_a_device_refuses(device)


def refuse_what_a_device_refuses(device: FakeDevice) -> None:
    here = torch.linspace(0, 1, 4)
    with device.watching() as seen:
        away = here.to(device.name)
        assert away.device.type == fake_device.NAME and seen.copies.total() == 1
        assert torch.equal((away * 2).sin().cpu(), (here * 2).sin()) and seen.waits.total() == 1
        assert bool(away.any()) and seen.waits.total() == 2
    for mixed in (
        lambda: away + here,
        lambda: torch.where(away > 0, away, here),
        lambda: torch.randn(4, generator=torch.Generator(), device=device.name),
        away.numpy,
    ):
        with pytest.raises((RuntimeError, TypeError)):
            mixed()
    drawn = torch.randn(4, generator=torch.Generator(device.name).manual_seed(1), device=device.name)
    assert torch.equal(drawn.cpu(), torch.randn(4, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(
    "optimizer", [Adam(lr=0.01), LBFGS(), ConjugateGradient()], ids=["adam", "lbfgs", "conjugate_gradient"]
)
@pytest.mark.parametrize("space", names("space"))
def test_a_step_neither_waits_nor_copies(
    space: str, optimizer: AbstractOptimizer, device: FakeDevice, there: AbstractGenerator
) -> None:
    if optimizer.quadratic and space != "pixels":
        pytest.skip("no equation is quadratic there")
    special = {"pixels": lambda: Pixels(SIZE), **dict.fromkeys(("quantised", "continuous"), small_codes)}
    special |= dict.fromkeys(("z_class", "embedding"), lambda: copy.deepcopy(conditional()))
    generator = special[space]().to(device.name) if space in special else there
    kept = {"generator": generator} | ({} if space == "pixels" else {"prior_samples": 20})
    noise = "optimize" if generator.noise_shapes else "none"
    problem = Problem(offer(node("space", space), **kept), {"pixel": Pixel()}, {}, optimizer, noise=noise)
    objective = Objective(problem, targets(device))
    v = problem.start(objective.targets)
    callbacks = [EarlyStop(5, 1e-3)]

    def work(steps: int) -> None:
        best = BestSoFar()
        found = minimize(objective, v, problem.groups(v), steps, callbacks=[*callbacks, best])
        assert str(found.v["latent"].device) == device.name

    seen = per_step(device, work)
    require_no_stop(seen)
    assert seen.launches.total() > 0 or isinstance(device, RealDevice)


@pytest.mark.parametrize("group, name", [(g, n) for g in ("loss", "regularizer", "operator") for n in names(g)])
def test_a_term_of_the_equation_neither_waits_nor_copies(
    group: str, name: str, device: FakeDevice, there: AbstractGenerator, guess: Callable[..., TrainedEncoder]
) -> None:
    if name in FILES:
        pytest.skip("its network is a file of its own; that of another loss stands for it")
    settings = {"pnet_rand": True} if name.startswith("lpips") else {}
    settings |= {"target": "image"} if name in ("gram", "gradient") else {}
    flow = name == "likelihood"
    space = Z(Glow(SIZE, num_flows=1, width=8).to(device.name)) if flow else WPlus(there, prior_samples=50)
    encoder, noise = guess(space), "none" if flow else "optimize"
    encoder.network.to(device.name)
    component = offer(node(group, name) | settings, space=space, encoder=encoder)
    parts: dict[str, dict] = {"loss": {"pixel": Pixel()}, "regularizer": {}, "operator": {}}
    parts[group][name] = component.to(device.name) if group == "loss" else component
    problem = Problem(
        space, parts["loss"], parts["regularizer"], Adam(lr=0.01), noise=noise, operators=parts["operator"]
    )
    objective = Objective(problem, targets(device))
    v = problem.start(objective.targets)
    seen = per_step(device, lambda steps: minimize(objective, v, problem.groups(v), steps))
    require_no_stop(seen)


def test_handles_are_dragged_without_a_wait(device: FakeDevice, there: AbstractGenerator) -> None:
    problem = Problem(W(there, prior_samples=50), {"pixel": Pixel()}, {}, Adam(lr=0.01))
    objective = Objective(problem, targets(device))
    require_no_stop(per_step(device, lambda steps: Drag(problem, steps)(objective)))


def test_exploration_draws_ahead(device: FakeDevice, there: AbstractGenerator) -> None:
    """Random numbers of each image come from the host: many steps of them in one copy."""
    problem = Problem(W(there, prior_samples=50), {"pixel": Pixel()}, {}, Adam(lr=0.01))
    objective = Objective(problem, targets(device))
    require_no_stop(per_step(device, lambda steps: Optimization(problem, steps, explore=0.05)(objective)))


def scaled(images: Tensor, alpha: Tensor) -> Tensor:
    """An edit of one's own."""
    return images * alpha[:, None, None, None]


@pytest.mark.parametrize("name", names("edit"))
def test_an_edit_copies_nothing_to_the_device(name: str, device: FakeDevice) -> None:
    own = {"_target_": "test_other_device.scaled", "_partial_": True}
    settings = {"factor": {"factor": "season"}, "function": {"function": own}}.get(name, {})
    edit = build(node("edit", name) | settings)
    images = targets(device, 64).images
    alpha = torch.full((2,), edit.high / 2).to(device.name)
    edit(images, alpha)  # what is copied once and kept
    with device.watching() as seen:
        edited, valid = edit(images, alpha)
    assert edited.device == valid.device == images.device
    copies = {place for place in seen.copies if not place.startswith("edits/lightness")}  # those are kornia's
    assert not copies


@pytest.mark.parametrize("name", names("metric"))
def test_a_metric_is_measured_there(name: str, device: FakeDevice, there: AbstractGenerator) -> None:
    if name in ("lpips", "identity"):
        pytest.skip("its network is no part of the project; that of stlpips stands for it")
    metric = build(node("metric", name))
    images = targets(device, 64).images
    with device.watching():
        if isinstance(metric, AbstractModelMetric):
            values = metric(Glow(64, num_flows=1, width=8).to(device.name), images, images * 0.9)
            assert values.device == images.device
        elif isinstance(metric, AbstractSetMetric):
            vectors = metric.features(images)
            assert vectors.device == images.device
            metric(vectors.cpu(), vectors.cpu())
        elif isinstance(metric, AbstractPriorMetric):
            metric.samples = 4
            change = torch.full((2, 16), 0.1).to(device.name)
            v = {"latent": torch.zeros(2, 16).to(device.name), "weights/synthesis.b16.conv1.bias": change}
            v |= {f"handles/{key}": change[:, :2][:, None] * far for key, far in (("at", 1.0), ("to", 2.0))}
            values = metric(there, v, "w", "const")
            assert values.device == images.device and (values != 100).all()
        else:
            values = metric(images, images * 0.9)
            assert values is None or values.device == images.device


SHORT = {
    "mean": {}, "random": {}, "encoder": {}, "encoder_or_mean": {}, "best_of": {"candidates": 5, "chunk": 2},
    "optimization": {"steps": 2, "explore": 0.05, "patience": 1}, "features": {"steps": 2, "form": "both"},
    "untrained": {"steps": 2, "window": 2}, "weights": {"steps": 2, "latent_lr": 0.01},
    "exact": {}, "copy": {}, "poisson": {"source": "image"}, "recolour": {}, "multiscale": {"steps": 2, "smallest": 8},
    "analogy": {"style": "image"},
    "saved": {}, "drag": {"steps": 2}, "starts": {"count": 3, "steps": 2}, "classes": {"draws": 2, "chunk": 4},
    "cma": {"generations": 2, "population": 5}, "basin_cma": {"generations": 2, "population": 4, "steps": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", names("projector"))
def test_a_projector_finds_there_what_it_finds_here(
    name: str,
    device: FakeDevice,
    tiny: AbstractGenerator,
    there: AbstractGenerator,
    guess: Callable[..., TrainedEncoder],
    finished: Callable[..., str],
) -> None:
    found: list[Inversion] = []
    tiny, flow = copy.deepcopy(tiny), Glow(SIZE, num_flows=1, width=8)
    for generator, place in ((tiny, "cpu"), (there, device.name)):
        generator.learned = name != "untrained"  # which is for a generator that has learned nothing
        space = PixelSpace(Pixels(SIZE).to(place)) if name in PICTURES else W(generator, prior_samples=20)
        space = Z(flow.to(place)) if name == "exact" else space
        space = Z(copy.deepcopy(conditional()).to(place)) if name == "classes" else space
        encoder = guess(space)
        encoder.network.to(place)
        noise = "optimize" if space.generator.noise_shapes else "none"
        problem = Problem(space, {"pixel": Pixel()}, {}, Adam(lr=0.01), noise=noise)
        own = dict(SHORT[name])
        if name == "saved" and not found:
            images = targets(device).images.cpu()
            run = finished(problem, Targets({"image": images}, ["a", "b"])).partition("=")[2]
        if name == "saved":
            own["run"] = run
        projector = offer(node("projector", name) | own, problem=problem, encoder=encoder)
        named = {key: value.to(place) for key, value in targets(device).named.items()}
        found.append(project(problem, [projector], Targets(named, ["a", "b"])))
    here, away = found
    assert away.status == here.status and all(str(value.device) == device.name for value in away.v.values())
    torch.testing.assert_close(away.loss.cpu(), here.loss, rtol=1e-3, atol=1e-4)
    again = here.render(space.generator)  # one that was saved here
    torch.testing.assert_close(again.cpu(), here.image, rtol=1e-3, atol=1e-3)
    assert away.select([1]).loss.cpu() == away.loss[1].cpu()


def test_candidates_of_many_images_take_as_many_waits_as_those_of_few(
    device: FakeDevice, there: AbstractGenerator
) -> None:
    """A search asks its strategies on the host: once for a generation, not once for an image."""
    from zstar.projectors.cma import CMA

    problem, waits = Problem(Z(there), {"pixel": Pixel()}, {}, Adam()), []
    for count in (1, 2, 6):  # the first finds what is kept
        images = torch.zeros(count, 3, SIZE, SIZE).to(device.name)
        projector = CMA(problem, generations=2, population=4, chunk=2)
        with device.watching() as seen:
            project(problem, [projector], Targets({"image": images}, [f"{i}" for i in range(count)]))
        waits.append(seen.waits.total())
    assert waits[1] == waits[2]


def test_whole_runs_go_on_there(
    device: FakeDevice,
    composed: Callable[..., DictConfig],
    tmp_path: Path,
    tiny: AbstractGenerator,
    store_generator: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A projection with its measures and report, and the edit of its latents, which were saved on the host."""
    monkeypatch.setattr("zstar.projection.pipeline.pick_device", lambda name: torch.device(device.name))
    store_generator(tmp_path / "tiny.safetensors", tiny)
    words = [
        "generator=stylegan2", f"generator.checkpoint={tmp_path}/tiny.safetensors", "data.resolution=16",
        "data.count=3", "batch_size=2", "steps=2", "space.prior_samples=50", "loss=[pixel]", "metric=[mse,ssim,kid]",
        "logger=none", "direction=[random]", "direction.random.count=1", "projector=[mean,optimization]",
    ]  # fmt: skip
    found = run(composed("invert", *words, "editability=[]", f"output={tmp_path}/invert"))
    assert found["images"] == 3 and not found["failed"]
    saved = Inversion.load(f"{found['folder']}/latents.safetensors")
    assert saved.latent.device.type == "cpu"
    edited = edit(
        composed(
            "edit", *words, f"output={tmp_path}/edit", f"inversion={found['folder']}", "editability=[smoothness]",
            "editability.smoothness.steps=2", "frames=2", "strengths=3",
        )
    )  # fmt: skip
    assert len(edited["images"]) == 3


FINDERS = {
    "attribute": {"attributes": ["season"]}, "interfacegan": {"attributes": ["season"], "least": 10},
    "ganspace": {"components": 2, "samples": 100}, "sefa": {"count": 2}, "random": {"count": 2},
    "local": {"regions": ["roof"], "samples": 8},
}  # fmt: skip


@pytest.mark.parametrize("name", [slowly(name, "attribute", "interfacegan") for name in FINDERS])
def test_directions_are_found_and_applied_there(name: str, device: FakeDevice, shipped: AbstractGenerator) -> None:
    annotation = build(OmegaConf.load(CONF / "annotation" / "annotator.yaml"), count=80)
    found = offer(node("direction", name) | FINDERS[name], annotation=annotation).find(W(shipped, prior_samples=50))
    assert found
    for direction in found.values():
        latent = shipped.sample(2, torch.Generator().manual_seed(0), space=direction.space)
        alpha = torch.ones(2).to(device.name)
        direction.move(latent, alpha)
        with device.watching() as seen:
            assert direction.move(latent, alpha).device == latent.device
        assert not seen.copies, dict(seen.copies)


@pytest.fixture
def shipped(device: FakeDevice) -> AbstractGenerator:
    """The generator of the cottages on the device."""
    return build(OmegaConf.load(CONF / "generator" / "cottages.yaml")).to(device.name)


@pytest.mark.parametrize(
    "name", [slowly(name, "leakage", "locality", "realism", "effect") for name in names("editability")]
)
def test_editability_is_measured_there(name: str, device: FakeDevice, shipped: AbstractGenerator) -> None:
    annotation = build(OmegaConf.load(CONF / "annotation" / "annotator.yaml"), count=50)
    settings = {"realism": {"samples": 8}, "cycle": {"samples": 50}, "smoothness": {"steps": 2}}.get(name, {})
    factor = {"factor": "roof_hue" if name == "locality" else "season"} if "factor" in node("editability", name) else {}
    measure = offer(node("editability", name) | settings | factor, annotation=annotation)
    (direction,) = Random(1).find(W(shipped, prior_samples=50)).values()
    latent = shipped.sample(8, torch.Generator().manual_seed(0), space="w")
    alphas = torch.tensor([-1.0, 0.0, 1.0]).to(device.name)
    v = {"latent": latent}
    if name == "edit_drift":  # which is about changes of the generator
        v["weights/synthesis.b64.conv1.bias"] = torch.full((8, 32), 0.1).to(device.name)
    assert measure(Traversal("season", direction, shipped, v, "w", alphas))
    if name == "cycle":
        with device.watching() as seen:
            measure(Traversal("season", direction, shipped, {"latent": latent}, "w", alphas))
        assert seen.waits.total() < 20, "the encoder is looked for again"


TRAININGS = {
    "annotator": ["annotator.widths=[8,8,16]", "data.resolution=16"],
    "autoencoder": ["generator.resolution=16", "generator.widths=[4,4]", "loss=[pixel]", "metric=[mse]"],
    "autoencoder vqvae2": ["generator.width=4", "generator.num_codes=8", "generator.embed_dim=4", "loss=[pixel]",
                           "generator.resolution=16", "metric=[mse]"],
    "direction": ["edit=[brightness,hue]", "space=w", "loss=[pixel]"],
    "encoder": [
        "space=w_plus", "encoder=psp", "encoder.pyramid=8", "encoder.width=8", "encoder.width_max=8", "loss=[pixel]",
        "regularizer=[delta_norm]", "adversary=[latent,image]", "task.samples=0.5", "task.flip=0.5", "metric=[mse]",
    ],
    "flow": ["generator.resolution=16", "generator.num_blocks=2", "generator.num_flows=2", "generator.width=4"],
    "flow realnvp": ["generator.resolution=16", "generator.width=4", "generator.num_blocks=1"],
    "generator": [
        "task.path_weight=1", "task.path_every=1", "task.style_mixing=0.5", "discriminator=stylegan2",
        "discriminator.channel_max=8", "discriminator.r1_every=1", "task.scorer=annotator64",
    ],
    "image_network": [
        "generator.resolution=16", "encoder.width=4", "encoder.blocks=1", "loss=[pixel]", "metric=[mse]",
    ],
    "steerable": [
        "edit=[shift_x,brightness]", "task.head_start=0", "loss=[pixel]", "discriminator=stylegan2",
        "discriminator.channel_max=8",
    ],
}  # fmt: skip
SIDE = {"generator": 32}
SLOW = ("generator", "steerable", "direction", "encoder", "flow realnvp", "autoencoder vqvae2")


def test_every_task_is_tried_there() -> None:
    assert {name.partition(" ")[0] for name in TRAININGS} == set(names("task"))


def of_task(name: str, composed: Callable[..., DictConfig], folder: Path, store: Callable[..., None]) -> Any:
    """A training on the least of everything, without a trainer."""
    task, _, generator = name.partition(" ")
    words = [f"task={task}", "logger=none", "task.batch=4", "task.steps=4", *TRAININGS[name]]
    words += [f"generator={generator}"] if generator else []
    if name in ("direction", "encoder"):
        store(folder / "tiny.safetensors")
        words += ["generator=stylegan2", f"generator.checkpoint={folder}/tiny.safetensors", "space.prior_samples=20"]
    elif task in ("generator", "steerable"):
        words += ["generator=stylegan2", f"generator.resolution={SIDE.get(name, 16)}", "generator.z_dim=8",
                  "generator.w_dim=8", "generator.channel_max=8"]  # fmt: skip
    if name == "steerable":
        words += ["space.prior_samples=20"]
    return composed("train", *words)


@pytest.mark.parametrize("name", [slowly(name, *SLOW) for name in TRAININGS])
def test_a_training_neither_waits_nor_copies_in_a_step(
    name: str,
    device: FakeDevice,
    composed: Callable[..., DictConfig],
    tmp_path: Path,
    store_generator: Callable[..., None],
) -> None:
    cfg = of_task(name, composed, tmp_path, store_generator)
    task = resolve(cfg.task._target_).compose(cfg)
    task.manual_backward = lambda loss: loss.backward()
    side = SIDE.get(name, 16)
    data: AbstractData = (
        Samples(task.space.generator, 8, space=task.space.name) if name == "direction" else Cottages(8, "train", side)
    )
    batch = data.read(range(4))
    task.to(device.name)
    if hasattr(task, "on_fit_start"):
        task.on_fit_start()
    there = {"images": batch.images} | {key: value for key, value in batch.extras.items() if torch.is_tensor(value)}
    there = {key: value.to(device.name) for key, value in there.items()}
    task.update(there)
    task.done += 1
    with device.watching() as seen:
        logs = task.update(there)
        task.done += 1
    assert all(str(value.device) == device.name for value in logs.values())
    require_no_stop(seen)
    assert task.evaluate(data) or name == "steerable"
    tensors, _ = task.export()
    assert tensors
    task.pictures(data)

"""What is compared: tasks, worlds and methods. A row of the table is a command line of invert.py.

A method joins by an entry in METHODS; nothing else has to know of it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FACES, VAE, JUDGE = (os.environ.get(name, "") for name in ("FACES", "VAE", "JUDGE"))


@dataclass(frozen=True)
class Task:
    """A recipe of ``conf/experiment/``.

    Attributes:
        baseline: What its observation, as a picture, is as a method.
        operator: Words that choose its operator alone, for methods that the recipe is not for.
    """

    baseline: str
    operator: Sequence[str]


TASKS = {
    "inpainting": Task("mean fill", ["operator=[mask]", "operator.mask.box=[0.5,0.5,1.0,1.0]"]),
    "super_resolution": Task("bicubic", ["operator=[downscale]"]),
    "colourisation": Task("grey", ["operator=[grey]"]),
    "denoising": Task("noisy", ["operator=[noise]"]),
    "deblurring": Task("blurred", ["operator=[blur,noise]", "operator.noise.sigma=2.55"]),
}


@dataclass(frozen=True)
class World:
    """Images with a generator of them.

    Attributes:
        images: Words that choose the images and what measures them.
        model: Words that choose the generator, for invert.py and train.py.
        encoder: Words that choose the inverting network which hybrid methods begin with.
        only: Task → words that its recipe needs besides.
        training: Words of train.py that choose the images to learn from, which are others.
        needs: Environment variables with the files that it needs.
    """

    images: Sequence[str]
    model: Sequence[str] = ()
    encoder: Sequence[str] = ()
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    training: Sequence[str] = ()
    needs: Sequence[str] = ()


WORLDS = {
    "cottages": World(["metric=[psnr,perceptual]"]),  # of the split test, which nothing was trained on
    "faces": World(
        ["data=folder", f"data.path={FACES}", "data.fit=resize", "metric=[psnr,perceptual]",
         "+metric.perceptual.network._target_=zstar.losses.networks.VGG19Conv3",
         f"+metric.perceptual.network.checkpoint={JUDGE}"],
        ["--config-dir", "examples/celeba_vae/conf", "generator=celeba_vae", f"generator.checkpoint={VAE}", "space=z"],
        ["encoder=celeba_vae", f"encoder.checkpoint={VAE}"],
        {"inpainting": ["~loss.perceptual"]},  # whose network knows cottages
        ["data=folder", f"data.path={FACES}", "data.fit=resize", "data.first=1000", "loss=[pixel]", "metric=[psnr]"],
        ["FACES", "VAE", "JUDGE"],
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A row of the table for each task.

    Attributes:
        title: What the table calls it.
        words: Words of invert.py, whatever the task; they win over the recipe.
        only: Task → further words; the tasks that it is for, if it is not for all.
        recipe: Whether it is a variation of the task's recipe, and not the task's operator alone with ``words``.
        own_model: Whether the words choose the generator; else it is the world's.
        train: Words of train.py that make an inverting network for each task, which takes the place of the usual one.
        most: Of how many images it is tried at the most, the first ones; null is as many as the others.
    """

    title: str
    words: Sequence[str] = ()
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    recipe: bool = True
    own_model: bool = False
    train: Sequence[str] = ()
    most: int | None = None

    def count(self, images: int) -> int:
        """Of how many images it is tried, where others are of so many."""
        return images if self.most is None else min(images, self.most)


def _variation(weight: float) -> list[str]:
    """Weight of the total variation; that of the best PSNR, of several, for four cottages of the split train."""
    return [f"regularizer.total_variation.weight={weight}"]


_endless = ["projector.untrained.window=null"]  # what is hidden, and not wrong, needs no stop

METHODS = {
    "variation": Method(
        "total variation",
        ["generator=pixels", "space=pixels", "projector=[mean,optimization]", "loss=[pixel]",
         "optimizer=lbfgs", "steps=200", "regularizer=[total_variation]"],
        {"inpainting": _variation(0.003), "super_resolution": _variation(0.01), "denoising": _variation(0.15),
         "deblurring": _variation(0.001)},
        recipe=False, own_model=True,
    ),
    "encoder": Method("encoder", ["projector=[encoder]"], recipe=False, train=["task=encoder"]),
    "network": Method(
        "image network",
        ["generator=pixels", "space=pixels", "loss=[pixel]", "projector=[encoder]"],
        recipe=False, own_model=True, train=["task=image_network"],
    ),
    "latent": Method("z*"),
    "weights": Method("z* and θ*", ["projector=[encoder_or_mean,optimization,weights]"]),
    "features": Method("z* and maps", ["projector=[encoder_or_mean,optimization,features]"]),
    "prior": Method(
        "Deep Image Prior",
        ["method=deep_image_prior", "steps=1000"],  # half a minute to a minute an image
        {task: () if task in ("denoising", "deblurring") else _endless for task in TASKS},
        recipe=False, own_model=True, most=8,
    ),
}  # fmt: skip


def inversion(world: str, task: str, method: str, count: int, encoder: str | None) -> list[str]:
    """Words of invert.py for a row.

    Arguments:
        count: Images, the first ones of the world.
        encoder: Weights of the network that was trained for it, if one was.
    """
    place, how = WORLDS[world], METHODS[method]
    model = [] if how.own_model else [*place.model, *(place.encoder if encoder is None else ())]
    recipe = [f"experiment={task}", *place.only.get(task, ())] if how.recipe else TASKS[task].operator
    words = [*model, *recipe, *place.images]  # options, such as --config-dir, come first
    words += [] if encoder is None else ["encoder=trained", f"encoder.checkpoint={encoder}"]
    words += [
        *how.words,
        *how.only.get(task, ()),
        f"data.count={how.count(count)}",
        "logger=none",
        f"name={task}_{method}",
    ]
    return [*words, f"output=outputs/restoration/{world}"]


def training(world: str, task: str, method: str) -> list[str]:
    """Words of train.py for the network of a row."""
    place, how = WORLDS[world], METHODS[method]
    words = [*(() if how.own_model else place.model), *how.train, *TASKS[task].operator, *place.training]
    return [*words, "logger=none", f"name={task}_{method}", f"output=outputs/restoration/{world}_networks"]

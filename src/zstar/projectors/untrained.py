"""Projection by the weights of a network that has learned nothing, stopped before it learns the noise."""

from collections.abc import Sequence

from torch import Tensor

from zstar.callbacks import Average, Callback, Steadiest
from zstar.config.constraints import POSITIVE, Within, require
from zstar.config.reasons import Unfit
from zstar.generators.changes import full
from zstar.generators.variables import Group
from zstar.inversion import Inversion
from zstar.objective import Objective, Problem
from zstar.projectors.base import AbstractDescent
from zstar.projectors.exploration import normals, require_stochastic


class Untrained(AbstractDescent):
    """θ* = argmin L(D(G(z; θ)), D(x)) at a fixed z, where not the value says which θ is best but how steady G is.

    The choice for ``generator=deep_image_prior``, and for an untrained network of one's own (``generator=module``
    without a checkpoint): its weights would in the end explain any damage. All parameters are free. The change of them
    is the result and is kept with it, as many numbers for an image as G has parameters.

    What is returned are the mean weights of the last steps, at the step where the last pictures differ least
    (:class:`zstar.callbacks.Steadiest`). Published is the mean of the last *pictures*, which no v draws; that of the
    weights is one, and draws the same picture whenever it is read again. It costs nothing but its memory.

    Arguments:
        problem: The equation without its targets; its optimizer takes the steps.
        steps: Optimizer steps, at the most.
        lr: Step size of the weights.
        jitter: Standard deviation of the noise added to each number of the latent at each step, in units of the
            prior's: 0 for none. Published is 1/30 on numbers uniform on [0, 0.1], which is 1.155.
        average: Decay of the running mean of the weights, from 0, which is the last ones, to below 1.
        window: Pictures that are compared; null goes on to the last step, and returns the mean there.
        patience: Steps without steadier pictures after which an image stops.
    """

    frees = ("weights",)

    def __init__(
        self,
        problem: Problem,
        steps: int = 2000,
        lr: float = 0.01,
        jitter: float = 1.155,
        average: float = 0.99,
        window: int | None = 100,
        patience: int = 300,
    ) -> None:
        super().__init__(problem, steps, keep_best=True)
        require("projector.untrained", Within(0), steps=steps, jitter=jitter)
        require("projector.untrained", POSITIVE, lr=lr)
        require("projector.untrained", Within(2), window=2 if window is None else window)
        require("projector.untrained", Within(1), patience=patience)
        if not 0 <= average < 1:
            raise ValueError(f"projector.untrained.average: {average} is no decay; set it to 0 or more, below 1")
        if next(problem.generator.parameters(), None) is None:
            name = type(problem.generator).__name__
            raise Unfit(f"projector.untrained: {name} has no weights to fit; choose generator=deep_image_prior")
        if problem.generator.learned:
            name = type(problem.generator).__name__
            raise Unfit(
                f"projector.untrained: {name} has learned its weights, which projector=[mean,weights] fits; choose "
                "generator=deep_image_prior"
            )
        if jitter:
            require_stochastic(problem.optimizer, "projector.untrained.jitter")
        self.lr, self.jitter, self.average = lr, jitter, average
        self.window, self.patience = window, patience

    @property
    def random(self) -> bool:
        return self.jitter > 0

    def __call__(
        self, objective: Objective, inversion: Inversion | None = None, callbacks: Sequence[Callback] = ()
    ) -> Inversion:
        """Fit the weights to each image by itself."""
        problem, ids = self.problem, objective.targets.ids
        v = problem.start(objective.targets) if inversion is None else inversion.v
        free = problem.generator.free_weights(problem.space.name)
        none = {key: zero for name, theta in free.items() for key, zero in full(name, theta, len(ids)).items()}
        mean = Average(self.average)
        chosen = mean if self.window is None else Steadiest(self.window, self.patience, mean)
        numbers, strength = normals(problem.rngs(ids, "jitter"), v["latent"]), self.jitter * problem.space.spread

        def explore(_fraction: float) -> dict[str, Tensor]:
            return {"latent": next(numbers) * strength} if strength else {}

        found = self.descend(
            objective, {**v, **none, **v}, [Group(list(none), rate=self.lr)], callbacks, explore, chosen
        )
        return found.after(inversion)

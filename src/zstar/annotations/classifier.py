"""Scores from a network of your own."""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from zstar.annotations.base import AbstractScorer, ScoredLatents
from zstar.annotations.sampled import ScoredSamples
from zstar.checkpoints import io
from zstar.config.constraints import FilePath, Within, require
from zstar.config.reasons import reason
from zstar.images import require_range, to_range
from zstar.spaces.base import AbstractSpace


class Classifier(AbstractScorer):
    """Samples of the prior, scored by any classifier or regressor of images.

    The choice for a generator whose images the shipped annotator does not know, once somebody has a network that does.
    The higher a score, the more of the attribute; logits and probabilities give the same groups.

    Arguments:
        network: The network: in YAML, a ``_target_`` with a ``torch.nn.Module`` class and its arguments, or a function
            with ``_partial_: true``. It takes ``[b, c, h, h]`` and returns ``[b, k]``, each image by itself.
        names: Name of each of the k attributes.
        checkpoint: A file with the module's state dict; None keeps the weights as they are.
        checkpoint_key: Which of several state dicts in the file; None finds the usual one.
        input_range: Darkest and brightest value that it expects, such as ``[0, 1]``; made from [−1, 1].
        count, seed, batch: Number of samples, which ones, and how many at a time.

    Raises:
        ValueError: The network can't be called, the checkpoint does not fit, or it gives other than k scores.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        names: Sequence[str],
        checkpoint: FilePath | None = None,
        checkpoint_key: str | None = None,
        input_range: Sequence[float] = (-1.0, 1.0),
        count: int = 5000,
        seed: int = 0,
        batch: int = 64,
    ) -> None:
        require("annotation", Within(2), count=count)
        require("annotation", Within(1), batch=batch)
        if not callable(network):
            kind = type(network).__name__
            raise ValueError(f"annotation.network: a {kind} can't be called; name a torch.nn.Module")
        self.range = require_range("annotation.input_range", input_range)
        if not names or len(set(names)) < len(names):
            wrong = f"annotation.names: {list(names)}"
            raise ValueError(f"{wrong} names no attributes, or one twice; give one name for each score")
        if isinstance(network, nn.Module):
            network.float().eval().requires_grad_(False)
        if checkpoint is not None:
            if not isinstance(network, nn.Module):
                wrong = f"annotation.checkpoint: {checkpoint} can't be loaded into a function"
                raise ValueError(f"{wrong}; set it to null, or name a torch.nn.Module")
            path = io.resolve(checkpoint)
            io.load_into(network, io.load_weights(path, checkpoint_key), path)
        self.network, self.names, self.checkpoint = network, tuple(names), checkpoint
        self.samples = ScoredSamples(count, seed, batch)

    def annotate(self, space: AbstractSpace) -> ScoredLatents:
        latents, scores = self.samples(space, self.score)
        kind = getattr(self.network, "__name__", type(self.network).__name__)
        origin = {"annotation": "classifier", "network": kind, "checkpoint": self.checkpoint}
        origin |= {"count": self.samples.count, "seed": self.samples.seed}
        return ScoredLatents(latents, scores, self.names, origin)

    def score(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The scores of images in [−1, 1], in the order of ``names``."""
        if isinstance(self.network, nn.Module):
            self.network.to(images.device)
        images = to_range(images.clamp(-1, 1), *self.range)
        try:
            scores = self.network(images)
        except Exception as error:  # a network of one's own can fail in any way at images that it is not made for
            size = tuple(images.shape[1:])
            raise ValueError(
                f"annotation.network: it does not take images [b, {size}] ({reason(error)}); choose one for "
                "the generator's size, or wrap it in a module that resizes"
            ) from error
        if not isinstance(scores, Tensor) or tuple(scores.shape) != (len(images), len(self.names)):
            size = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(
                f"annotation.names: there are {len(self.names)}, and the network makes {size} of "
                f"{len(images)} images; give one name for each score"
            )
        return scores.float()

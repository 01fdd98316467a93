"""Score of a discriminator."""

from jaxtyping import Float
from torch import Tensor

from zstar.config.constraints import FilePath
from zstar.discriminators.base import AbstractDiscriminator
from zstar.discriminators.saved import doubt, load_judge
from zstar.generators.variables import Variables
from zstar.regularizers.base import AbstractRegularizer
from zstar.spaces.base import AbstractSpace


class Realism(AbstractRegularizer):
    """softplus(−D(G(v))), how little a discriminator takes the picture for a real one: iGAN's term of realism (Zhu et
    al. 2016, https://arxiv.org/abs/1609.03552).

    The mean over D's logits: about 0 for a picture that passes, log 2 = 0.69 where D can't say, −D where it is sure of
    a fake. The choice where strokes ask for what the generator hardly draws and ``origin_norm`` is to let it move far;
    D has to be one that G was trained against, or another of the same images. A discriminator that compares the
    pictures of a batch sees each of them alone.

    Arguments:
        space: The space that the latents live in.
        discriminator: D, a network for images of the generator's size.
        checkpoint: Its weights: ``discriminator.safetensors``, which ``train.py task=generator`` exports.
        weight: μ, the factor of this regularizer in the objective.
    """

    def __init__(
        self,
        space: AbstractSpace,
        discriminator: AbstractDiscriminator,
        checkpoint: FilePath | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(space, weight)
        self.discriminator = load_judge(discriminator, checkpoint, "regularizer.realism").to(space.mean.device)

    def __call__(self, v: Variables, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return doubt(self.discriminator(image))

"""The feature network that a file of weights is of."""

from torch import nn

from zstar.config.constraints import FilePath
from zstar.config.paths import place
from zstar.losses.networks import AnnotatorFeatures, SqueezeNet11, VGG19Conv3, read_state
from zstar.losses.vgg19 import VGG19

WANTED = (
    "VGG-19's vgg_normalised_conv3_1.pth, torchvision's vgg19-dcbb9e9d.pth, SqueezeNet 1.1's Caffe weights, or an "
    "annotator such as annotator64, which ships"
)


def feature_network(checkpoint: FilePath | None = "annotator64", key: str = "loss.*.network.checkpoint") -> nn.Module:
    """A frozen network whose maps losses compare, of the class that its file is of.

    For style and content, where one setting is to choose the network: an annotator
    (:class:`zstar.losses.networks.AnnotatorFeatures`), VGG-19 to conv3_1, torchvision's VGG-19, or SqueezeNet.

    Arguments:
        checkpoint: Path of a file, or the name of a shipped annotator; ``None`` for torchvision's VGG-19 in torch's
            cache.
        key: How the configuration calls ``checkpoint``, for error messages.

    Raises:
        ValueError: There is no such file, or it is of none of these networks; one sentence with the key.
    """
    if checkpoint is None:
        return VGG19(None, key)
    if "." not in checkpoint or checkpoint.endswith(".safetensors"):
        try:
            return AnnotatorFeatures(checkpoint)
        except ValueError as error:
            if not place(checkpoint).is_file():
                reason = str(error).removeprefix("checkpoint: ")
                raise ValueError(f"{key}: {reason}; set it to {WANTED}") from None
    names = read_state(checkpoint, key, WANTED).keys()
    if "features.28.weight" in names:
        return VGG19(checkpoint, key)
    if any("squeeze" in name for name in names):
        return SqueezeNet11(checkpoint, key)
    return VGG19Conv3(checkpoint, key)

"""Networks that read expression, age and gender from faces (face-api.js), as scorers of attributes for ``zstar``.

All scores lie on [0, 1]. Directions are found from the two ends of the order of scores, so that logits would give the
same ones; measures of editability move an attribute by a share of its scale, and logits have none.
"""

import tfjs
import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 112  # pixels that all of these networks see
MEAN = (122.782, 117.001, 104.298)  # of colours from 0 to 255
YEARS = 100.0  # that are an age of 1


def prepared(images: Tensor) -> Tensor:
    """Images [b, 3 or 1, h, h] in [−1, 1] as the networks were trained on them, [b, 3, 112, 112]."""
    images = images.expand(-1, 3, -1, -1)
    if images.shape[-2:] != (SIZE, SIZE):
        images = F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
    return ((images + 1) * 127.5 - images.new_tensor(MEAN).view(1, 3, 1, 1)) / 255


def same(x: Tensor, value: float = 0.0) -> Tensor:
    """TensorFlow's padding for 3×3 windows that go on by two pixels: the surplus is at the bottom and at the right."""
    return F.pad(x, (0, 1, 0, 1), value=value)


class Convolution(nn.Module):
    """An ordinary convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias, self.stride = nn.Parameter(torch.empty(outputs)), stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2 and self.filters.shape[-1] == 3:
            return F.conv2d(same(x), self.filters, self.bias, 2)
        return F.conv2d(x, self.filters, self.bias, self.stride, self.filters.shape[-1] // 2)


class Separable(nn.Module):
    """A filter of 3×3 for each channel, and a 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise_filter = nn.Parameter(torch.empty(inputs, 1, 3, 3))
        self.pointwise_filter = nn.Parameter(torch.empty(outputs, inputs, 1, 1))
        self.bias, self.stride = nn.Parameter(torch.empty(outputs)), stride

    def forward(self, x: Tensor) -> Tensor:
        x, padding = (x, 1) if self.stride == 1 else (same(x), 0)
        x = F.conv2d(x, self.depthwise_filter, None, self.stride, padding, groups=x.shape[1])
        return F.conv2d(x, self.pointwise_filter, self.bias)


class Dense(nn.Module):
    """A matrix of inputs × outputs, as TensorFlow has it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weights, self.bias = nn.Parameter(torch.empty(inputs, outputs)), nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weights + self.bias


class Block(nn.Module):
    """Four convolutions, each of which sees the sum of what all before it have made, at half the size."""

    def __init__(self, inputs: int, outputs: int, first: bool) -> None:
        super().__init__()
        self.conv0 = (Convolution if first else Separable)(inputs, outputs, stride=2)
        self.conv1, self.conv2, self.conv3 = (Separable(outputs, outputs) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = total = self.conv0(x).relu()
        for convolution in (self.conv1, self.conv2, self.conv3):
            total = total + convolution(x)
            x = total.relu()
        return x


class Expression(nn.Module):
    """Faces [b, 3, h, h] in [−1, 1] → probabilities [b, 7]: neutral, happy, sad, angry, fearful, disgusted, surprised.

    Arguments:
        manifest: Path of ``face_expression_model-weights_manifest.json``, with its binary file beside it.
    """

    def __init__(self, manifest: tfjs.Manifest) -> None:
        super().__init__()
        self.dense0, self.dense1 = Block(3, 32, True), Block(32, 64, False)
        self.dense2, self.dense3, self.fc = Block(64, 128, False), Block(128, 256, False), Dense(256, 7)
        tfjs.fill(self, manifest)

    def forward(self, images: Tensor) -> Tensor:
        x = self.dense3(self.dense2(self.dense1(self.dense0(prepared(images)))))
        return self.fc(x.mean(dim=(2, 3))).softmax(dim=1)


class Reduction(nn.Module):
    """Two convolutions to half the size, beside one."""

    def __init__(self, inputs: int, outputs: int, active: bool = True) -> None:
        super().__init__()
        self.separable_conv0, self.separable_conv1 = Separable(inputs, outputs), Separable(outputs, outputs)
        self.expansion_conv, self.active = Convolution(inputs, outputs, 1, 2), active

    def forward(self, x: Tensor) -> Tensor:
        inner = self.separable_conv1(self.separable_conv0(x.relu() if self.active else x).relu())
        return F.max_pool2d(same(inner, -torch.inf), 3, 2) + self.expansion_conv(x)


class Main(nn.Module):
    """Three convolutions, added to what they see."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.separable_conv0, self.separable_conv1, self.separable_conv2 = (
            Separable(channels, channels) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = x
        for convolution in (self.separable_conv0, self.separable_conv1, self.separable_conv2):
            inner = convolution(inner.relu())
        return x + inner


class AgeGender(nn.Module):
    """Faces [b, 3, h, h] in [−1, 1] → [b, 2]: the age in hundreds of years, and the probability of a man.

    Arguments:
        manifest: Path of ``age_gender_model-weights_manifest.json``, with its binary file beside it.
    """

    def __init__(self, manifest: tfjs.Manifest) -> None:
        super().__init__()
        reductions = {"reduction_block_0": Reduction(32, 64, active=False), "reduction_block_1": Reduction(64, 128)}
        self.entry_flow = nn.ModuleDict({"conv_in": Convolution(3, 32, 3, 2), **reductions})
        self.middle_flow = nn.ModuleDict({f"main_block_{i}": Main(128) for i in range(2)})
        self.exit_flow = nn.ModuleDict({"reduction_block": Reduction(128, 256), "separable_conv": Separable(256, 512)})
        self.fc = nn.ModuleDict({"age": Dense(512, 1), "gender": Dense(512, 2)})
        tfjs.fill(self, manifest)

    def forward(self, images: Tensor) -> Tensor:
        x = self.entry_flow["conv_in"](prepared(images)).relu()
        for part in (
            *list(self.entry_flow.values())[1:],
            *self.middle_flow.values(),
            self.exit_flow["reduction_block"],
        ):
            x = part(x)
        x = self.exit_flow["separable_conv"](x).relu().mean(dim=(2, 3))
        male = self.fc["gender"](x).softmax(dim=1)[:, :1]
        return torch.cat([self.fc["age"](x) / YEARS, male], dim=1)


class Together(nn.Module):
    """The scores of both networks side by side, so that each attribute is measured while another one is moved.

    Arguments:
        expression, age_gender: The networks, which give [b, 7] and [b, 2].
    """

    def __init__(self, expression: nn.Module, age_gender: nn.Module) -> None:
        super().__init__()
        self.expression, self.age_gender = expression, age_gender

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.expression(images), self.age_gender(images)], dim=1)

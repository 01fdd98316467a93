"""A U-Net that sees 19 parts of faces (lightweight-unet-face-parsing), as a segmenter for ``zstar``."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 256  # pixels that it was trained on
# Name of each class, in the order of the scores, and the colour that CelebAMask-HQ paints it in.
COLOURS = {
    "background": (0, 0, 0), "upper_lip": (255, 255, 0), "left_brow": (0, 255, 255), "skin": (204, 0, 0),
    "right_ear": (255, 0, 0), "right_eye": (204, 0, 204), "nose": (76, 153, 0), "necklace": (0, 51, 0),
    "left_ear": (102, 51, 0), "glasses": (204, 204, 0), "lower_lip": (0, 0, 153), "right_brow": (255, 204, 204),
    "hat": (255, 51, 153), "hair": (0, 0, 204), "mouth": (102, 204, 0), "neck": (255, 153, 51), "cloth": (0, 204, 0),
    "left_eye": (51, 51, 255), "earring": (0, 204, 204),
}  # fmt: skip


def pair(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions."""
    first, second = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


class UNet(nn.Module):
    """Faces [b, 3, h, h] in [−1, 1] → scores [b, 19, 256, 256] of the classes of ``COLOURS``."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1, self.enc2, self.bottleneck = pair(3, 32), pair(32, 64), pair(64, 128)
        self.up1, self.dec1 = nn.ConvTranspose2d(128, 64, 2, 2), pair(128, 64)
        self.up2, self.dec2 = nn.ConvTranspose2d(64, 32, 2, 2), pair(64, 32)
        self.out = nn.Conv2d(32, len(COLOURS), 1)

    def forward(self, images: Tensor) -> Tensor:
        images = images.expand(-1, 3, -1, -1)
        if images.shape[-2:] != (SIZE, SIZE):
            images = F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        fine = self.enc1(images)
        middle = self.enc2(F.max_pool2d(fine, 2))
        x = self.up1(self.bottleneck(F.max_pool2d(middle, 2)))
        x = self.up2(self.dec1(torch.cat([x, middle], dim=1)))
        return self.out(self.dec2(torch.cat([x, fine], dim=1)))


def painted(labels: Tensor) -> Tensor:
    """Classes [b, h, w] as pictures [b, 3, h, w] in [−1, 1], each in its colour."""
    colours = torch.tensor(list(COLOURS.values()), device=labels.device)
    return colours[labels].movedim(-1, 1) / 127.5 - 1

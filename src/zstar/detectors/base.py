"""The protocol of face detectors."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
"""The five landmarks in their order; left and right are those of the picture, not of the person."""


@dataclass(frozen=True)
class Face:
    """A face in a photo.

    Attributes:
        points: Its landmarks ``[5, 2]``, in the order of :data:`POINTS`, or ``[68, 2]``, in that of iBUG 300-W; x and y
            in pixels, where 0 is the middle of the first one.
        size: About its height in pixels.
        confidence: How sure the detector is, from 0 to 1; 1 for landmarks from a table.
    """

    points: Float[np.ndarray, "k 2"]
    size: float
    confidence: float = 1.0


class AbstractDetector(ABC):
    """What finds faces and their five landmarks."""

    @abstractmethod
    def __call__(self, photo: UInt8[np.ndarray, "h w 3"]) -> list[Face]:
        """The faces of an RGB photo, the largest first; none if there is none."""

    @abstractmethod
    def fingerprint(self) -> str:
        """All that the landmarks depend on."""

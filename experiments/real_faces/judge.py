"""A judge of faces, from labels of photos that no direction is found with and none is tried on.

    PYTHONPATH=examples/faces python experiments/real_faces/judge.py celeba.tar landmarks.csv list_attr_celeba.txt \
      --backbone vgg_normalised_conv3_1.pth --judge judge.safetensors

A logistic regression on VGG-19's features; prints the balanced accuracy on photos that it has not seen.
"""

import argparse

import torch
from face_judge import SIZE, Judge  # of examples/faces
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

from zstar.annotations.tables import match, read_labels
from zstar.checkpoints.io import save_weights
from zstar.config.paths import place
from zstar.data.faces import Faces

EYES = (0.35, 0.46, 0.65, 0.46)  # as examples/faces/conf/data/close_faces.yaml
ATTRIBUTES = ["happy=Smiling", "age=-Young", "male=Male"]  # each with its label, a minus for that which it is not
STRENGTH = 1e-4  # C of the regression
HELD = 5  # every so many photos are kept for the score
BATCH = 100


def main() -> None:
    """Read, fit, score, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("landmarks")
    parser.add_argument("labels")
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--judge", required=True, help="file to write")
    parser.add_argument("--attributes", nargs="+", default=ATTRIBUTES, help="such as glasses=Eyeglasses age=-Young")
    parser.add_argument("--first", type=int, default=0, help="place of the first photo")
    parser.add_argument("--count", type=int, default=4000, help="photos")
    given = parser.parse_args()
    data = Faces(
        given.photos, "eyes", landmarks=given.landmarks, eyes=EYES, resolution=SIZE, channels=3,
        count=given.count, first=given.first,
    )  # fmt: skip
    attributes = dict(word.split("=") for word in given.attributes)
    judge = Judge(given.backbone, len(attributes))
    ids, x = [], []
    for start in range(0, len(data), BATCH):
        batch = data.read(range(start, min(start + BATCH, len(data))))
        ids += batch.ids
        with torch.no_grad():
            x.append(judge.features(batch.images))
    images, names, scores = read_labels(given.labels)
    rows = [row for row in match(ids, images) if row is not None]
    assert len(rows) == len(ids), "a photo has no labels"
    weights, biases, accuracies = [], [], {}
    for name, label in attributes.items():
        truth = (scores[rows][:, names.index(label.removeprefix("-"))] > 0.5) != label.startswith("-")
        weight, bias, accuracies[name] = fit(torch.cat(x).double(), truth)
        weights.append(weight)
        biases.append(bias)
        print(f"{name}: balanced accuracy {accuracies[name]:.3f} on {len(ids[::HELD])} photos", flush=True)
    state = {"linear.weight": torch.stack(weights).float(), "linear.bias": torch.stack(biases).float()}
    place(given.judge).parent.mkdir(parents=True, exist_ok=True)
    save_weights(place(given.judge), state, {"kind": "judge", "names": list(attributes), "accuracy": accuracies})


def fit(x: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, float]:
    """Weights and bias of the regression, and its balanced accuracy on what it was not fitted to."""
    held = torch.arange(len(x)) % HELD == 0
    mean, spread = x[~held].mean(dim=0), x[~held].std(dim=0).clamp_min(1e-6)
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=300)
    model.fit(((x - mean) / spread)[~held].numpy(), truth[~held].numpy())
    accuracy = balanced_accuracy_score(truth[held].numpy(), model.predict(((x - mean) / spread)[held].numpy()))
    weight = torch.from_numpy(model.coef_[0]) / spread
    return weight, torch.from_numpy(model.intercept_)[0] - weight @ mean, float(accuracy)


if __name__ == "__main__":
    main()

"""The network that a metric measures with, where it is an annotator."""

from zstar.annotators.base import AbstractAnnotator
from zstar.annotators.load import load_annotator


def load_metric_network(checkpoint: str, metric: str) -> AbstractAnnotator:
    """The annotator of ``metric.<metric>.checkpoint``; its errors begin with that key."""
    try:
        return load_annotator(checkpoint)[0]
    except ValueError as error:
        raise ValueError(f"metric.{metric}.checkpoint: {error}") from None

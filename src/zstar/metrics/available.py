"""The metrics of a configuration, as far as they can be had on this machine."""

from collections.abc import Mapping
from typing import Any

import torch

from zstar.config.build import build
from zstar.metrics.base import AbstractMetric, AbstractModelMetric, AbstractPriorMetric, AbstractSetMetric

Metrics = dict[str, AbstractMetric | AbstractModelMetric | AbstractSetMetric | AbstractPriorMetric]


def make_metrics(nodes: Mapping[str, Any], device: torch.device) -> tuple[Metrics, dict[str, str]]:
    """The metrics that can be had here, and name → reason for those whose weights are missing."""
    metrics, skipped = {}, {}
    for name, node in nodes.items():
        try:
            metric = build(node, at=f"metric.{name}")
        except (FileNotFoundError, ImportError) as error:
            skipped[name] = str(error)
            continue
        metrics[name] = metric.to(device) if isinstance(metric, torch.nn.Module) else metric
    return metrics, skipped

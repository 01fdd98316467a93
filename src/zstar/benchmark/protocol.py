"""Frozen protocols: the hash of all that two results must share to stand in one table, and the checks of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zstar
from zstar.checkpoints.identity import identify
from zstar.config.reasons import Unfit
from zstar.runs.folder import config_hash

MEASURES = ("metric", "editability", "direction", "annotation")


def protocol_hash(measured: Mapping[str, Any], operator: Any, data: str, generator: str) -> str:
    """Twelve hex digits for images, what a method may see of them, generator, measures, and what the protocol of the
    configuration, if any, demands.

    Arguments:
        measured: Identity of the measures and of ``protocol``, by the keys of the configuration; others do not count.
        operator: The group ``operator`` of the configuration.
        data, generator: Their fingerprints; that of the data covers how images are brought to size.

    Files count by their content, and classes of the user's own by their source.
    """
    settings = {key: measured[key] for key in (*MEASURES, "protocol")}
    settings |= {"operator": identify(operator)} if operator else {}
    return config_hash({**settings, "identity": [data, generator, zstar.RESULTS]})


def require_frozen(protocol: Mapping[str, Any] | None, data: str, generator: str) -> None:
    """Refuse images or a generator that are others than the protocol, if there is one, is about.

    Raises:
        ValueError: One sentence with the key.
    """
    for key, fingerprint in (("data", data), ("generator", generator)) if protocol else ():
        wanted = protocol[key]
        if wanted is not None and wanted != fingerprint:
            raise ValueError(
                f"{key}: the protocol '{protocol['name']}' is about the one with the hash {wanted[:12]}…, and this one "
                f"has {fingerprint[:12]}…; leave {key} as the protocol sets it, or write protocol.{key}=null for a "
                "trial of which the board says that it is not frozen"
            )


def require_protocol(plain: Mapping[str, Any], stochastic: bool) -> None:
    """Refuse a run that its protocol, if there is one, does not allow.

    Raises:
        ValueError: The seed or the budget is none of those that it asks for; one sentence with the key.
    """
    protocol = plain.get("protocol")
    if protocol is None:
        return
    name = protocol["name"]
    if stochastic and protocol["seeds"] and plain["seed"] not in protocol["seeds"]:
        raise ValueError(f"seed: the protocol '{name}' has the seeds {listed(protocol['seeds'])}; choose one of them")
    for key in ("evaluations", "seconds"):
        allowed, chosen = protocol[key], plain["budget"][key]
        if allowed and chosen is not None and chosen not in allowed:
            raise ValueError(
                f"budget.{key}: the protocol '{name}' has the budgets {listed(allowed)}; choose one of them"
            )


def listed(values: list[Any]) -> str:
    """Values with commas between them."""
    return ", ".join(map(str, values))


def require_independent_metrics(
    metrics: Mapping[str, Any], losses: Mapping[str, Any], training: Mapping[str, Any], name: str
) -> None:
    """Refuse measures by a network whose judgement a method has minimised.

    Arguments:
        metrics: Name → metric, built.
        losses: The group ``loss`` of the configuration.
        training: The group ``loss`` that the inverting network, if there is one, was trained with.
        name: Of the protocol.

    Raises:
        ValueError: A metric and a loss are of the same network.
    """
    minimised = {network(node): f"loss.{key}" for key, node in losses.items()}
    minimised = {network(node): f"the encoder's training (loss.{key})" for key, node in training.items()} | minimised
    for key, metric in metrics.items():
        judge = metric.network
        if judge and judge in minimised:
            raise Unfit(
                f"metric.{key}: the network {judge} judges what {minimised[judge]} minimises, which the protocol "
                f"'{name}' does not allow; give one of them another network"
            )


def network(node: Mapping[str, Any]) -> str:
    """Name of the network of a loss, as metrics have it; empty for a loss without one."""
    inner = node.get("network")
    if not isinstance(inner, Mapping):
        net = str(node.get("net") or "")
        return f"stlpips_{net}" if str(node["_target_"]).endswith(".STLPIPS") else net  # others than those of LPIPS
    kind = str(inner["_target_"]).rpartition(".")[2]
    return Path(str(inner["checkpoint"])).stem if kind == "AnnotatorFeatures" else kind

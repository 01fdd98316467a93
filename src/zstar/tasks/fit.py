"""A training from its configuration to the exported weights, whatever the task."""

import shlex
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from zstar.checkpoints import save_weights
from zstar.config import MULTI_SELECT, build, check, offer, to_plain
from zstar.data.base import AbstractData
from zstar.data.stream import Stream
from zstar.loggers.base import AbstractLogger
from zstar.loggers.none import NoLogger
from zstar.runs import clear_partial, commit, config_hash, finished, machine, record_failure, record_result, versions
from zstar.settings import Train
from zstar.signatures import resolve
from zstar.tasks.base import AbstractTask
from zstar.tasks.callbacks import Checkpoints, Progress, Samples, Scores, Snapshots, Waiting

GROUPS = ("generator", "discriminator", "annotator", "encoder", "space", "loss", "regularizer", "adversary", "metric")
UNHASHED = ("trainer", "callbacks")  # how a training is carried out and watched, not what it computes


def fit(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    """Train as ``cfg`` says, in ``folder``; asked for again, go on where it stopped or return what it had found.

    Writes ``checkpoint.pt``, ``samples/*.png``, ``weights.safetensors`` with its card ``weights.json``, and
    ``result.json``.

    Raises:
        ValueError: The configuration is wrong, or ``folder`` holds a training of another one.
    """
    check(cfg, Train)
    kind: type[AbstractTask] = resolve(cfg.task._target_)
    for name in kind.groups:
        if cfg.get(name) is None and name not in MULTI_SELECT:
            raise ValueError(f"{name}: nothing is chosen and this task needs it; leave {name} at its default")
    plain = {name: value for name, value in to_plain(cfg).items() if name not in GROUPS or name in kind.groups}
    hashed = {name: value for name, value in plain.items() if name not in UNHASHED}
    first = rank_zero_only.rank == 0  # of several processes one writes, and all compute
    key = config_hash(hashed | {"precision": plain["trainer"].get("precision")})
    if (result := finished(folder, key)) is not None:
        print(f"{folder}: finished already; choose another output folder to train again")
        return result
    if first:
        clear_partial(folder)
    state = _previous(folder / "checkpoint.pt", key)
    logger: AbstractLogger = build(cfg.logger) if first else NoLogger()
    failed = True
    try:
        logger.start(folder, plain, "train", folder.name, cfg.tags)
        result = _fit(cfg, kind, plain, key, folder, logger, state)
        failed = False
        return result
    except Exception as error:
        record_failure(folder, error)
        raise
    finally:
        logger.finish(failed)


def _fit(
    cfg: DictConfig,
    kind: type[AbstractTask],
    plain: dict[str, Any],
    key: str,
    folder: Path,
    logger: AbstractLogger,
    state: dict[str, Any],
) -> dict[str, Any]:
    torch.manual_seed(cfg.seed)  # initial weights; everything after them draws from its own generators
    task = kind.compose(cfg)
    data, validation = offer(cfg.data, **task.objects).split(cfg.validation.count if cfg.validation else 0)
    if state:
        try:
            task.restore(state)
        except Exception as error:
            raise _damaged(folder / "checkpoint.pt", error) from error
    keeper = Checkpoints(
        folder / "checkpoint.pt",
        {"key": key, "config": plain, "versions": versions()},
        float(cfg.callbacks.checkpoint_minutes),
        state.get("seconds", 0.0),
    )

    def export(scores: dict[str, float] | None = None) -> dict[str, Any]:
        tensors, facts = task.export()
        card = facts | _facts(task, plain, data, keeper.seconds()) | {"scores": scores or {}}
        save_weights(folder / "weights.safetensors", tensors, card)
        return card

    waiting = Waiting()
    watchers = [waiting, keeper, Samples(folder / "samples", cfg.callbacks.samples_every, validation)]
    watchers += [Snapshots(export, cfg.callbacks.snapshot_every), Progress()]
    if validation is not None:
        watchers.append(Scores(validation, cfg.callbacks.scores_every))
    trainer: pl.Trainer = build(
        cfg.trainer,
        logger=logger.lightning(),
        callbacks=watchers if rank_zero_only.rank == 0 else [],
        default_root_dir=folder,
    )
    if task.batch % trainer.world_size:
        count = trainer.world_size
        raise ValueError(f"task.batch: {task.batch} images can't be shared by {count} processes; choose a multiple")
    rows = slice(trainer.global_rank, None, trainer.world_size)
    stream = Stream(data, task.batch, task.done, task.steps, cfg.seed, rows)
    trainer.fit(task, DataLoader(stream, batch_size=None))
    if trainer.global_rank:
        return {}
    scores = {} if validation is None else task.evaluate(validation)
    facts = {"steps": task.done, "seconds": keeper.seconds(), "waiting": waiting.share()}
    logger.summary({**facts, **scores})
    result = {"config_hash": key, **facts, "scores": scores}
    result["card"] = export(scores)
    record_result(folder, result)
    return result


def _previous(path: Path, key: str) -> dict[str, Any]:
    """The checkpoint in the folder, if there is one; one of another configuration is an error."""
    if not path.is_file():
        return {}
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["key"]
    except OSError:
        raise
    except Exception as error:  # whatever a file that is no checkpoint makes torch and pickle say
        raise _damaged(path, error) from error
    if found != key:
        raise ValueError(f"output: {path} is of a training with another configuration; choose another folder")
    return state


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [""])[0]
    wrong = f"is no checkpoint of this training ({type(error).__name__}: {reason})"
    return ValueError(f"output: {path} {wrong}; delete it or choose another output")


def _facts(task: AbstractTask, plain: Mapping[str, Any], data: AbstractData, seconds: float) -> dict[str, Any]:
    return {
        "command": shlex.join(["python", "train.py", *sys.argv[1:]]),
        "config": dict(plain),
        "data": data.fingerprint(),
        "steps": task.done,
        "images": task.done * task.batch,
        "seconds": round(seconds),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": machine(),
        "versions": versions() | commit(),
    }

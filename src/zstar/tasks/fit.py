"""A training of any task, from its configuration to the exported weights."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch.utils.data import DataLoader

import zstar
from zstar.checkpoints.identity import digest, identify
from zstar.config.build import build, offer, to_plain
from zstar.config.check import CLASSES, MULTI_SELECT, STYLES, check
from zstar.config.constraints import Reads
from zstar.config.schema import Train
from zstar.config.signatures import resolve
from zstar.data.base import AbstractData
from zstar.data.classes import Classified
from zstar.data.companions import take_companions
from zstar.data.stream import Stream
from zstar.data.styled import with_targets
from zstar.loggers.base import AbstractLogger
from zstar.loggers.lightning import TrainerLogger
from zstar.loggers.none import NoLogger
from zstar.runs.ending import Stopped, failure_reason
from zstar.runs.folder import clear_partial, config_hash, finished, record_failure, record_result, versions
from zstar.runs.index import differences, note, read_identity
from zstar.runs.locks import hold
from zstar.runs.record import make_record
from zstar.stats.streams import seed_global
from zstar.tasks.base import AbstractTask
from zstar.tasks.callbacks import Checkpoints, Finish, Progress, Samples, Scores, Snapshots, WaitingTime
from zstar.tasks.export import Exporter
from zstar.tasks.group import Group
from zstar.tasks.interruption import Interruption
from zstar.tasks.processes import check_processes, is_first, make_trainer, train
from zstar.tasks.quiet import quiet
from zstar.tasks.resume import read_checkpoint, restore
from zstar.tasks.start import CHECKPOINT, begin

GROUPS = ("generator", "discriminator", "annotator", "encoder", "space", "edit", "walk", "loss", "regularizer")
GROUPS += ("operator", "adversary", "metric")
NAMED = 10  # broken images that are named on the screen
UNHASHED = ("trainer", "callbacks")  # how a training is carried out and watched, not what it computes
SCALED = "scales gradients, which no task here undoes"
HALF = {
    "16": SCALED,
    "16-mixed": SCALED,
    "16-true": "rounds small gradients to zero, so that weights become no numbers",
}


def fit(cfg: DictConfig, folder: Path, apart: bool = False) -> dict[str, Any]:
    """Train as ``cfg`` says, in ``folder``; asked for again, go on where it stopped, or return its result.

    A folder that holds a training of something else is left alone: this one gets a folder of its own beside it, with
    its hash in the name, and says what differs.

    Writes ``checkpoint.pt``, ``samples/*.png``, ``weights.safetensors`` with its card ``weights.json``, what else the
    task keeps, in the same way, and ``result.json``.

    Arguments:
        apart: Whether the hash of the configuration goes into the folder's name, as other trainings have it as well:
            the cells of a sweep.

    Returns:
        The content of ``result.json``, with the training's folder under ``folder`` and, under ``skipped``, whether it
        had finished before.

    Raises:
        ValueError: The configuration is wrong.
        LeftToAnother: Another process is at work in ``folder``.
    """
    check(cfg, Train)
    kind: type[AbstractTask] = resolve(cfg.task._target_)
    needed = kind.needs(cfg)
    for name in needed:
        if cfg.get(name) is None and name not in MULTI_SELECT:
            raise ValueError(f"{name}: nothing is chosen and this task needs it; leave {name} at its default")
    plain = {name: value for name, value in to_plain(cfg).items() if name not in GROUPS or name in needed}
    if str(precision := plain["trainer"].get("precision")) in HALF:
        raise ValueError(f"trainer.precision: {precision} {HALF[str(precision)]}; choose bf16-mixed")
    first = is_first()  # of several processes one reads, writes and logs, and all compute
    identity = make_identity(plain)
    key = config_hash(identity)
    before = read_identity(folder)
    if apart or (before is not None and config_hash(before) != key):
        anew = folder.with_name(f"{folder.name}_{key}")
        if before is not None and first:
            print(f"output: {folder} is of another training: {differences(before, identity)}; this is {anew}")
            if plain["start"] is None and (folder / CHECKPOINT).is_file():
                print(f"start={folder} would go on from where that training ended")
        folder = anew
    if (result := finished(folder, key)) is None:
        with hold(folder / ".lock") if first else nullcontext():
            if (result := finished(folder, key)) is None:  # no process that held it until now has done it
                return _watched(cfg, kind, plain, identity, folder, first) | {"folder": str(folder), "skipped": False}
    if first:
        print(f"{folder}: finished already; choose another output folder to train again")
    return {**result, "folder": str(folder), "skipped": True}


def make_identity(plain: dict[str, Any]) -> dict[str, Any]:
    """All that the weights depend on, by the keys of the configuration."""
    hashed = {name: value for name, value in plain.items() if name not in (*UNHASHED, "start")}
    started = {"start": {"content": digest(plain["start"], Reads(CHECKPOINT))}} if plain["start"] else {}
    hashed["data"], companions = take_companions(plain["data"])
    files = {name: path for name in (STYLES, CLASSES) if (path := hashed["data"].pop(name, None))}
    companions |= files
    hashed["data"] |= {name: {"content": digest(path, Reads())} for name, path in companions.items()}
    return {**identify(hashed), **started, "precision": plain["trainer"].get("precision"), "results": zstar.RESULTS}


def make_data(node: dict[str, Any], task: AbstractTask) -> AbstractData:
    """The images to train on, with the further targets that are chosen for them."""
    node, companions = take_companions(node)
    styles, table = node.pop(STYLES, None), node.pop(CLASSES, None)
    data = offer(node, at="data", **task.objects)
    data = data if table is None else Classified(data, table, _classes_of(task))
    return with_targets(data, companions, styles)


def _classes_of(task: AbstractTask) -> int:
    """How many classes the generator of a task draws."""
    if not (count := getattr(task.objects.get("generator"), "classes", 0)):
        raise ValueError(
            "data.classes: nothing here draws a class of an image's own; set generator.label=own, or data.classes=null"
        )
    return count


def _watched(
    cfg: DictConfig,
    kind: type[AbstractTask],
    plain: dict[str, Any],
    identity: dict[str, Any],
    folder: Path,
    first: bool,
) -> dict[str, Any]:
    """Train with a logger that hears how it ends, and a record in ``folder`` of what failed."""
    key = config_hash(identity)
    if first:
        clear_partial(folder)
        for notice in note(folder, identity, config_hash(plain)):
            print(notice)
    state = read_checkpoint(folder / "checkpoint.pt", key) if first else {}
    logger: AbstractLogger = build(cfg.logger, at="logger") if first else NoLogger()

    def report(message: str, trace: str) -> None:
        record_failure(folder, trace)
        logger.finish(message.strip() or "another process of the group has failed")
        print(f"\n{message}", file=sys.stderr, flush=True)

    group, failure = Group(key, report), None
    try:
        with quiet():
            logger.start(make_record(folder, plain, "train", folder.name, {"config_hash": key}))
            return _fit(cfg, kind, plain, key, folder, logger, state, group)
    except BaseException as error:
        failure = failure_reason(error, str(folder))
        if isinstance(error, Exception) and not isinstance(error, Stopped):  # an interrupt is no failure
            group.fail(error, str(folder))
            if first:
                record_failure(folder, error)
        raise
    finally:
        logger.finish(failure)
        group.end()


def _fit(
    cfg: DictConfig,
    kind: type[AbstractTask],
    plain: dict[str, Any],
    key: str,
    folder: Path,
    logger: AbstractLogger,
    state: dict[str, Any],
    group: Group,
) -> dict[str, Any]:
    first = is_first()
    seed_global("initial weights", cfg.seed)  # initial weights; everything after them draws from its own generators
    task = kind.compose(cfg)
    data, validation = make_data(plain["data"], task).split(cfg.validation.count if cfg.validation else 0)
    restore(task, state, folder / "checkpoint.pt")
    if first and not state and cfg.start is not None:
        state = {"seconds": begin(task, cfg.start)}
    failed: dict[str, str] = state.get("failed", {})  # grows while the images are read
    keeper = Checkpoints(
        folder / "checkpoint.pt",
        {"key": key, "config": plain, "versions": versions(), "failed": failed},
        float(cfg.callbacks.checkpoint_minutes),
        state.get("seconds", 0.0),
    )
    waiting, scores, interruption = WaitingTime(), Scores(validation, cfg.callbacks.scores_every), Interruption()
    identity = data.fingerprint()  # reads every file of a folder, so once
    export = Exporter(task, folder, plain, identity, keeper.seconds, waiting.share)
    watchers = [keeper, Finish(data), Samples(folder / "samples", cfg.callbacks.samples_every, validation)]
    watchers += [Snapshots(export, cfg.callbacks.snapshot_every), Progress(), scores, waiting]
    callbacks = [group, *(watchers if first else []), interruption]
    trainer = make_trainer(
        plain["trainer"], logger=[TrainerLogger(logger)], callbacks=callbacks, default_root_dir=folder.absolute()
    )
    check_processes(trainer, task, bool(cfg.trainer.get("sync_batchnorm")))
    rows = slice(trainer.global_rank, None, trainer.world_size)
    stream = Stream(data, task.batch, task.done, task.steps, cfg.seed, rows)
    stream.failed = failed
    group.begin(trainer, stream)
    batches = DataLoader(stream, batch_size=None, pin_memory=trainer.strategy.root_device.type == "cuda")
    train(trainer, task, batches)
    interruption.require_end(task, plain["trainer"])
    if not first:
        return {}
    facts = {"steps": task.done, "seconds": keeper.seconds(), "waiting": waiting.share()}
    logger.summary({**facts, **scores.final})
    result = {"config_hash": key, **facts, "scores": scores.final, "failed": failed}
    result["card"] = export(scores.final)
    record_result(folder, result, ["weights.safetensors"])
    for name, reason in list(failed.items())[:NAMED]:
        print(f"left out: {name}: {reason}")
    if len(failed) > NAMED:
        print(f"left out: {len(failed) - NAMED} more; {folder}/result.json names them")
    words = ", ".join(f"{name} {value:.4g}" for name, value in scores.final.items())
    print(f"weights: {folder}/weights.safetensors" + (f" ({words})" if words else ""))
    print(f"folder: {folder}, with result.json, a checkpoint" + (" and samples" * (folder / "samples").is_dir()))
    return result

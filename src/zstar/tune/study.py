"""Study of the settings of a projection with Optuna, whose trials are ordinary runs.

A study is a file. The next process that opens it goes on with it, several processes at once share it, and a trial whose
process was killed is made again. A trial that is worse than the median of the others after as many images is pruned.
"""

import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from optuna.trial import TrialState

from zstar.config.check import check
from zstar.config.messages import complain, explain
from zstar.config.schema import Invert
from zstar.config.signatures import nearest, resolve
from zstar.metrics.base import AbstractMetric
from zstar.projection.run import run
from zstar.runs.ending import Stopped
from zstar.runs.folder import without_number
from zstar.runs.locks import LeftToAnother, hold
from zstar.stats.streams import stream_seed
from zstar.tune.search_space import Space, quoted, trials_ahead


class Study:
    """A search for the best settings of ``invert.py``.

    Arguments:
        folder: Folder of the runs; the study itself is the file ``<folder>.db``.
        space: The keys that are searched, with their ranges and choices.
        base: Overrides that all trials share.
        metric: Name of the metric whose mean over the images is optimised.
        seed: Seed of the sampler.

    Raises:
        ValueError: The metric is not measured or has no value per image, or the file holds a study of something else.
    """

    def __init__(self, folder: Path, space: Space, base: Sequence[str], metric: str, seed: int = 0) -> None:
        self.folder, self.space, self.metric, self.seed = folder, space, metric, seed
        self.base = [*base]
        ahead = trials_ahead(space)
        cfg = self.compose(ahead[0])
        keys = {word.partition("=")[0] for word in base}
        if "split" in cfg.data and "data.split" not in keys:
            self.base.append("data.split=validation")
        elif "split" not in cfg.data and not keys & {"data.first", "data.count"}:
            print("note: what is searched on should not be what is reported; hold images out by data.first, data.count")
        self.base += [f"output={quoted(str(folder))}", *(["logger=none"] if "logger" not in keys else [])]
        for values in ahead:
            check(self.compose(values), Invert)
        self.worker = f"{uuid4().hex}.lock"
        with hold(folder / ".lock", wait=True):
            self.optuna_study = optuna.create_study(
                study_name=folder.name,
                storage=storage(Path(f"{folder}.db")),
                direction=direction(cfg.get("metric") or {}, metric),
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(),
            )
            stored = self.optuna_study.user_attrs.get("searched", self.describe())
            if stored != self.describe():
                raise ValueError(f"name: {folder}.db searches {stored}, not {self.describe()}; choose another --name")
            self.optuna_study.set_user_attr("searched", stored)

    def describe(self) -> str:
        """Metric, keys and overrides, which all trials of a study have in common."""
        words = [without_number(word) if word.startswith("device=") else word for word in self.base]
        return f"{self.metric} by {', '.join(sorted(self.space))} with {' '.join(sorted(words))}"

    def compose(self, values: Mapping[str, str]) -> Any:
        """The configuration of a trial."""
        with initialize_config_module("zstar.conf", version_base="1.3"):
            return compose("invert", overrides=[*self.base, *(f"{key}={value}" for key, value in values.items())])

    def counts(self) -> dict[str, int]:
        """Number of trials by the way they ended."""
        killed = self.optuna_study.user_attrs.get("killed", [])
        ends = [
            one.state.name.lower() for one in self.optuna_study.get_trials(deepcopy=False) if one.number not in killed
        ]
        return {name: ends.count(name) for name in ("complete", "pruned", "fail", "running") if name in ends}

    def run(self, trials: int) -> None:
        """Make trials until the study has so many; those of processes that died are made again."""
        with hold(self.folder / ".workers" / self.worker):
            while (trial := self.next(trials)) is not None:
                self.carry_out(trial)

    def next(self, trials: int) -> optuna.Trial | None:
        """The next trial, or ``None`` if there are enough; one process at a time gets one."""
        with hold(self.folder / ".lock", wait=True):
            killed: list[int] = self.optuna_study.user_attrs.get("killed", [])
            for trial in self.optuna_study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if self.is_dead(trial.user_attrs.get("worker")):
                    self.optuna_study.set_user_attr("killed", killed := [*killed, trial.number])
                    self.optuna_study.tell(trial.number, state=TrialState.FAIL)
                    self.optuna_study.enqueue_trial(trial.params)
            every = self.optuna_study.get_trials(deepcopy=False)
            made = [one for one in every if one.state is not TrialState.WAITING and one.number not in killed]
            if len(made) >= trials:
                return None
            self.optuna_study.sampler = optuna.samplers.TPESampler(seed=stream_seed("trial", self.seed, len(made)))
            trial = self.optuna_study.ask()
            trial.set_user_attr("worker", self.worker)
            return trial

    def is_dead(self, worker: str | None) -> bool:
        """Whether the process that a running trial belongs to has ended: nobody holds its lock."""
        if worker is None:
            return True
        try:
            with hold(self.folder / ".workers" / worker):
                return True
        except LeftToAnother:
            return False

    def carry_out(self, trial: optuna.Trial) -> None:
        """Run a trial and record its value; a trial that can't be run has failed, and the search goes on."""
        settings = {key: one.suggest(trial, key) for key, one in self.space.items()}
        print(f"trial {trial.number}: {' '.join(f'{key}={value}' for key, value in settings.items())}", flush=True)
        finals: list[float] = []

        def watch(rows: Any) -> None:
            means = rows.filter((rows["metric"] == self.metric) & rows["value"].is_finite())
            finals.extend(means["value"].to_list())
            if finals:
                trial.report(sum(finals) / len(finals), len(finals))
                if trial.should_prune():
                    raise Stopped(f"trial {trial.number}: pruned after {len(finals)} images")

        try:
            result = run(self.compose(settings), wait=True, watch=watch)
            diverged = [name for name, reason in result["failed"].items() if reason.startswith("diverged")]
            if diverged:  # what is left may well be the easier images
                raise ValueError(f"{len(diverged)} of {result['images'] + len(diverged)} images diverged")
        except Stopped as stopped:
            print(stopped)
            self.optuna_study.tell(trial, state=TrialState.PRUNED)
        except Exception as error:
            self.optuna_study.tell(trial, state=TrialState.FAIL)
            print(f"trial {trial.number} failed: {explanation(error, str(self.folder))}", file=sys.stderr)
        else:
            trial.set_user_attr("folder", result["folder"])
            self.optuna_study.tell(trial, result["summary"][self.metric]["mean"])


def storage(file: Path) -> optuna.storages.RDBStorage:
    """The database in a file, of whose name no character means anything, as it would in a URL."""
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(file)})


def direction(metrics: Mapping[str, Any], name: str) -> str:
    """``"maximize"`` or ``"minimize"``, as it improves one of the measured metrics."""
    if name not in metrics:
        raise ValueError(f"metric: '{name}' is not measured; {nearest(name, metrics)}")
    better = getattr(resolve(metrics[name]["_target_"]), "better", None)
    if better is None or not issubclass(resolve(metrics[name]["_target_"]), AbstractMetric):
        raise ValueError(f"metric: '{name}' has no value per image to search by; choose another, such as psnr")
    return {"higher": "maximize", "lower": "minimize"}[better]


def explanation(error: Exception, output: str) -> str:
    """The reason of an error of the input in one sentence; an error of the program is raised as it is."""
    if isinstance(error, HydraException):
        return explain(error) or str(error)
    sentence = complain(error, output)
    if sentence is None:
        raise error
    return sentence

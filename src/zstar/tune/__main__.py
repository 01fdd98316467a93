"""Search for the best settings of a projection: ``python -m zstar.tune optimizer --trials 30 method=adam_w``.

Each trial is a run of ``invert.py`` on the validation split where the data has one. The same command goes on with the
search, in several processes at once if it is given several times.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import optuna
import yaml
from hydra.errors import HydraException
from optuna.trial import TrialState
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from zstar.config.constraints import FolderName
from zstar.config.messages import explain
from zstar.config.paths import place, readable
from zstar.runs.ending import ending_well
from zstar.runs.folder import write_text
from zstar.tune.search_space import quoted, read_space
from zstar.tune.study import Study

SHOWN = 10  # trials in the table
FEWEST = 8  # trials that are needed to estimate the importance of a setting


def conclude(study: Study, words: Sequence[str]) -> None:
    """Print the trials, best first, the importance of the settings, and how to use the best; write ``best.yaml``."""
    done = study.optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    print("trials:", ", ".join(f"{count} {name}" for name, count in study.counts().items()) or "none")
    if not done:
        print("no trial has a result; see the errors above")
        return
    table = Table("trial", study.metric, *study.space, box=SIMPLE_HEAD)
    for trial in sorted(done, key=lambda one: one.value, reverse=study.optuna_study.direction.name == "MAXIMIZE")[
        :SHOWN
    ]:
        table.add_row(str(trial.number), f"{trial.value:.5g}", *(short(trial.params[key]) for key in study.space))
    Console().print(table)
    if len(study.space) > 1 and len(done) >= FEWEST:
        shares = optuna.importance.get_param_importances(study.optuna_study).items()
        print(f"importance: {', '.join(f'{key} {share:.0%}' for key, share in shares)}")
    best = study.optuna_study.best_trial
    path = study.folder / "experiment" / "best.yaml"
    head = f"# @package _global_\n# {study.metric} {best.value:.6g}: trial {best.number} of {study.describe()}\n"
    write_text(path, head + as_recipe(best.params))
    rest = [word for word in words if not word.startswith(("data.split=", "output=", "logger="))]
    print(f"best: {path}; use it with")
    print("  " + shlex.join(["python", "invert.py", "--config-dir", str(study.folder), "experiment=best", *rest]))


def as_recipe(params: Mapping[str, Any]) -> str:
    """Settings as a file for ``experiment=``: choices of groups first, then values, nested."""
    values: dict[str, Any] = {}
    for key, value in params.items():
        plain = yaml.safe_load(value) if isinstance(value, str) else value
        if files("zstar.conf").joinpath(key).is_dir():
            values.setdefault("defaults", []).append({f"override /{key}": plain})
            continue
        *parents, name = key.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = plain
    return yaml.safe_dump(values, sort_keys=False)


def short(value: Any) -> str:
    """A value for a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def tune(arguments: Sequence[str] | None = None) -> None:
    """Carry out the command line ``arguments``, by default those of the process."""
    parser = argparse.ArgumentParser(
        "python -m zstar.tune", description="Search for the best settings of a projection."
    )
    parser.add_argument("search", help="a file of ranges and choices, or the name of one in conf/search")
    parser.add_argument("overrides", nargs="*", help="as for invert.py, the same for all trials")
    parser.add_argument(
        "--trials", type=int, default=30, help="number of trials, including those that the study has already"
    )
    parser.add_argument("--metric", default="psnr", help="metric whose mean over the images is optimised")
    parser.add_argument("--name", help="name of the study; default: that of the search")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampler")
    parser.add_argument("--config-dir", "-cd", help="a folder of options and searches of your own, as for invert.py")
    words = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_intermixed_args([readable(word) for word in words])
    with ending_well():
        search(options)


def search(options: argparse.Namespace) -> None:
    """Make the trials of a parsed command line; bad input ends in one sentence."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        own = own_folder(options.config_dir)
        name = options.name or Path(options.search).stem
        if name not in FolderName():
            raise ValueError(f"--name: '{name}' is not {FolderName()}; choose another")
        if taken := [word for word in options.overrides if word.startswith(("experiment=", "output=", "name="))]:
            raise ValueError(f"{taken[0]}: the search sets this itself; leave it out, or write its settings one by one")
        if grids := [word for word in options.overrides if word.startswith("sweep=")]:
            raise ValueError(f"{grids[0]}: a search makes one trial after another and no grid; leave it out")
        given = [*([search_path(own)] if own else []), *options.overrides]
        study = Study(place("outputs/tune", name), read_space(options.search, own), given, options.metric, options.seed)
        study.run(options.trials)
        conclude(study, given)
    except (ValueError, HydraException) as error:
        print(f"error: {explain(error, options.overrides) or error}", file=sys.stderr)
        raise SystemExit(2) from None


def own_folder(path: str | None) -> Path | None:
    """The folder of ``--config-dir``; an error where there is none."""
    if path is None:
        return None
    if not (folder := place(path).absolute()).is_dir():
        raise ValueError(f"--config-dir: there is no folder {path}; give one with files such as optimizer/mine.yaml")
    return folder


def search_path(folder: Path) -> str:
    """The word by which Hydra looks in a further folder."""
    return f"hydra.searchpath=[{quoted(f'file://{folder}')}]"


if __name__ == "__main__":
    tune()

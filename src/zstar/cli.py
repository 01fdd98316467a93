"""The entry points: a composed configuration in, a run folder out."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from zstar.config.check import check
from zstar.config.composition import adapt_hydra
from zstar.config.keys import name_file
from zstar.config.messages import complain, explain
from zstar.config.paths import let_streams_replace, place, readable
from zstar.config.reasons import Unfit
from zstar.config.schema import Dissect, Edit, Invert, Paint, Train
from zstar.config.words import require_kept
from zstar.runs.ending import Stopped, ending_well
from zstar.runs.locks import LeftToAnother
from zstar.runs.precision import fix_workspace
from zstar.runs.sweeps import (
    FAILURES,
    Cells,
    end_cell,
    failure_file,
    record_failed_cell,
    require_possible,
    sum_up,
)

adapt_hydra()  # also in the processes of a launcher, which import this module with the job
fix_workspace()  # likewise, and before torch comes


Job = Callable[[DictConfig], Mapping[str, Any] | None]


def entry(primary: str, settings: type) -> Callable[[Job], Callable[[], None]]:
    """Make a program of a job: Hydra composes ``primary``, ``check`` comes first, and mistakes in the input end in one
    sentence; only a defect of the program shows a traceback. A sweep ends with what became of its cells."""

    def decorate(job: Job) -> Callable[[], None]:
        composed = hydra.main(version_base="1.3", config_path="pkg://zstar.conf", config_name=primary)(
            guard(job, settings)
        )

        @wraps(job)
        def program() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # without it Hydra hides the cause of an error
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # before torch comes, whose advice is no user's
            Cells.folder = None
            sys.argv[1:] = [expand_option(readable(word)) for word in sys.argv[1:]]
            with ending_well():
                try:
                    composed()
                except (HydraException, ValueError) as error:
                    if (sentence := explain(error, sys.argv[1:])) is None:
                        raise
                    print(f"error: {sentence}", file=sys.stderr)
                    raise SystemExit(2) from None
                finally:
                    well = Cells.folder is None or not Cells.folder.is_dir() or sum_up(Cells.folder)
                if not well:
                    raise SystemExit(1)

        return program

    return decorate


def expand_option(word: str) -> str:
    """``--config-dir=~/conf`` with its home, which shells leave as it is behind ``=``."""
    option, _, path = word.partition("=")
    return f"{option}={place(path)}" if option in ("--config-dir", "-cd") and path.startswith("~") else word


def guard(job: Job, settings: type) -> Callable[[DictConfig], float | None]:
    """Check the config before the job; bad input ends the program in its own words, and of a sweep only its cell."""

    @wraps(job)
    def guarded(cfg: DictConfig) -> float | None:
        let_streams_replace()  # once more: the processes of a launcher come in here
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            return guard_cell(job, settings, cfg)
        try:
            require_kept(HydraConfig.get().overrides.task)
            check(cfg, settings)
            return objective(cfg, job(cfg))
        except LeftToAnother as error:
            print(f"{error}; wait for it, then the same command shows what it has found", file=sys.stderr)
            raise SystemExit(2) from None
        except Stopped as stopped:
            print(stopped, file=sys.stderr)
            raise SystemExit(stopped.code) from None
        except Exception as error:
            name_file(error, OmegaConf.to_container(cfg))
            if (sentence := complain(error, str(cfg.get("output")))) is None:
                raise
            print(f"error: {sentence}", file=sys.stderr)
            raise SystemExit(2) from None

    return guarded


def guard_cell(job: Job, settings: type, cfg: DictConfig) -> float | None:
    """A cell of a sweep, which goes on whatever becomes of it and hears of it at the end."""
    with chdir(HydraConfig.get().runtime.cwd):
        try:
            require_possible(cfg)
            require_kept(HydraConfig.get().overrides.task)
            check(cfg, settings)
            result = job(cfg)
        except LeftToAnother as error:
            print(error)
            end_cell("left")
        except Stopped as stopped:
            print(stopped, file=sys.stderr)
            end_cell("undone", str(stopped))
            if stopped.signal is not None:  # which is for the whole sweep
                raise SystemExit(stopped.code) from None
        except KeyboardInterrupt:
            end_cell("undone", "ended from outside")
            raise
        except Exception as error:
            name_file(error, OmegaConf.to_container(cfg))
            which = " ".join(HydraConfig.get().overrides.task)
            defect = complain(error, str(cfg.get("output"))) is None
            reason = record_failed_cell(cfg, error)
            unfit = isinstance(error, Unfit)
            what = "does not fit" if unfit else "error"
            print(f"{what}: {which}: {traceback.format_exc() if defect else reason}", file=sys.stderr)
            end_cell("unfit" if unfit else "failed", reason)
        else:
            end_cell("skipped" if result and result.get("skipped") else "done")
            return objective(cfg, result)
    return None


def objective(cfg: DictConfig, result: Mapping[str, Any] | None) -> float | None:
    """The mean error of a projection, which a search minimises; the record of an earlier failure is deleted."""
    if (place(str(cfg.get("output"))) / FAILURES).is_dir():
        failure_file(cfg).unlink(missing_ok=True)
    return ((result or {}).get("summary") or {}).get("mse", {}).get("mean")


@contextmanager
def chdir(folder: str) -> Iterator[None]:
    """Work in the folder that the sweep was begun in, where this machine has it: names of files mean the same there."""
    before = Path.cwd()
    if Path(folder).is_dir():
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@entry("train", Train)
def train(cfg: DictConfig) -> Mapping[str, Any]:
    """Train a network: ``python train.py task=annotator``."""
    from zstar.tasks.fit import fit  # imported late, so that --help answers at once

    name = cfg.name or cfg.task._target_.rsplit(".", 1)[-1].removesuffix("Task").lower()
    return fit(cfg, place(cfg.output, name), apart=HydraConfig.get().mode is RunMode.MULTIRUN)


@entry("invert", Invert)
def invert(cfg: DictConfig) -> Mapping[str, Any]:
    """Project images: ``python invert.py space=w``."""
    from zstar.projection.run import run

    result = run(cfg)
    if result.get("failed") and not result["summary"]:
        name, reason = next(iter(result["failed"].items()))
        which = f"none of the {len(result['failed'])} images has a result ({name}: {reason})"
        raise ValueError(f"data: {which}; {result['folder']}/result.json names them all")
    return result


@entry("edit", Edit)
def edit(cfg: DictConfig) -> Mapping[str, Any]:
    """Edit projected images: ``python edit.py only=[season]``."""
    from zstar.editing.run import run

    return run(cfg)


@entry("dissect", Dissect)
def dissect(cfg: DictConfig) -> Mapping[str, Any]:
    """Find out what the units of a generator do: ``python dissect.py layers=[b32.conv0]``."""
    from zstar.dissecting.run import run

    return run(cfg)


@entry("paint", Paint)
def paint(cfg: DictConfig) -> Mapping[str, Any] | None:
    """Paint on photos: ``python paint.py``, and ``python paint.py strokes=strokes.json`` without a page."""
    from zstar.app.run import run

    return run(cfg)

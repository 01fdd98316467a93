"""Weights & Biases: online with a login, offline otherwise, and never a prompt."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from zstar.config.paths import read_text
from zstar.images import to_uint8
from zstar.loggers.base import AbstractLogger, Entry
from zstar.loggers.login import Mode, choose_mode
from zstar.runs.folder import write_text
from zstar.runs.record import Record

PATIENCE = 300  # seconds that W&B's own process has to begin, which takes one: machines can be busy
VARIABLES = {"dir": "WANDB_DIR", "job_type": "WANDB_JOB_TYPE", "name": "WANDB_NAME", "group": "WANDB_RUN_GROUP"}
"""What a user may say instead, by the argument of W&B that would win over it."""


class WandB(AbstractLogger):
    """One W&B run per job, with all of its files under ``<run>/wandb``. The default.

    ``WANDB_MODE``, ``WANDB_NAME`` and the other ``WANDB_…`` variables win over what is chosen here; those of
    ``WANDB_TAGS`` are added. Jobs in one process get a run each. A job that goes on after a kill goes on in its run:
    online at once, and offline in a second file of the same run, which ``wandb sync`` puts behind the first.

    Arguments:
        project: W&B project; by default ``WANDB_PROJECT`` or ``"zstar"``.
        entity: W&B user or team; by default that of the login.
        mode: ``"auto"`` is online where a login is found without asking anyone or the network, else offline.

    References:
        https://docs.wandb.ai/models/ref/python
    """

    def __init__(self, project: str | None = None, entity: str | None = None, mode: Mode = "auto") -> None:
        self.project = project or os.environ.get("WANDB_PROJECT") or "zstar"
        self.entity = entity
        self.mode = mode
        self.run: Any = None  # a ``wandb.Run`` between start and finish; the library comes with the first of them

    def start(self, record: Record) -> None:
        """Open a run. If W&B does not answer in half a minute, the run is recorded offline and a line says so."""
        import wandb

        mode, explicit = choose_mode(self.mode)
        folder = record.folder
        folder.mkdir(parents=True, exist_ok=True)
        config = {**record.config, "provenance": dict(record.provenance)}
        common = {"project": self.project, "entity": self.entity, "config": config, "tags": tags(record)}
        chosen = {"dir": str(folder), "job_type": record.job, "name": record.name, "group": record.group}
        common |= {name: value for name, value in chosen.items() if not os.environ.get(VARIABLES[name])}
        note = "offline (no login found)" if mode == "offline" and not explicit else mode
        try:
            self.run = _open(mode, folder, common)
        except wandb.errors.CommError as error:  # also a refused login
            if explicit:
                reason = str(error).splitlines()[0]
                raise ValueError(f"logger.mode: W&B can't go online ({reason}); choose logger.mode=offline") from error
            note = "offline (could not go online; WANDB_MODE=offline saves the wait)"
            self.run = _open("offline", folder, common)
        except wandb.errors.UsageError as error:  # names with letters that it has no use for, and the like
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"logger: W&B refuses this run ({reason}); change logger.project or logger.entity"
            ) from error
        self.run.define_metric("step", hidden=True)
        self.run.define_metric("*", step_metric="step")  # W&B drops what comes with an older step of its own axis
        if mode != "disabled" and not wandb.setup().settings.silent:
            print(f"W&B {note}: {self.run.url if note == 'online' else self.run.settings.sync_dir}")

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve."""
        self._running.log({"step": step, **values})

    def images(self, name: str, grid: Float[Tensor, "c h w"], step: int) -> None:
        """Add a picture."""
        self._running.log({"step": step, name: picture(grid)})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Entry]]) -> None:
        """Add a ``wandb.Table``."""
        import wandb

        entries = [[picture(one) if isinstance(one, Tensor) else one for one in row] for row in rows]
        with _staging(Path(self._running.settings.root_dir) / "wandb"):
            self._running.log({name: wandb.Table(columns=list(columns), data=entries)})

    def summary(self, values: Mapping[str, float | int | str | None]) -> None:
        """Set the run's summary values."""
        self._running.summary.update(dict(values))

    def finish(self, failure: str | None = None) -> None:
        """Finish the run; a failed one has its reason in the summary and exit code 1, which W&B shows as failed."""
        if self.run is not None:
            if failure:
                self.run.summary["failure"] = failure
            self.run.finish(exit_code=int(failure is not None))
            self.run = None

    @property
    def _running(self) -> Any:
        if self.run is None:
            raise RuntimeError("WandB: nothing can be logged before start() and after finish()")
        return self.run


def tags(record: Record) -> list[str]:
    """The tags of a job and those of ``WANDB_TAGS``, each once."""
    own = [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]
    return [tag[:64] for tag in dict.fromkeys([*record.tags, *own])]


def picture(image: Float[Tensor, "c h w"]) -> Any:
    """A ``wandb.Image`` of an image in [−1, 1]."""
    import wandb

    return wandb.Image(to_uint8(image[None])[0].cpu().numpy())


def _open(mode: str, folder: Path, common: Mapping[str, Any]) -> Any:
    import wandb

    quiet = {"console": "off", "quiet": True, "show_info": False, "silent": mode == "offline", "symlink": False}
    still = {"init_timeout": 30 if mode == "online" else PATIENCE, "x_disable_stats": mode != "online"}
    memory = folder / "wandb" / "run-id.txt"  # so that a killed job goes on with its run
    resumed = {"id": read_text(memory)} if memory.is_file() and not os.environ.get("WANDB_RUN_ID") else {}
    resumed |= {"resume": "allow"} if resumed and mode == "online" else {}
    wandb.setup(settings=wandb.Settings(x_service_wait=PATIENCE))
    settings = wandb.Settings(**quiet, **still)
    run = wandb.init(mode=mode, reinit="create_new", settings=settings, **common, **resumed)
    if mode != "disabled":
        write_text(memory, run.id)
    return run


@contextmanager
def _staging(folder: Path) -> Iterator[None]:
    """Keep W&B's staging area in the run's folder instead of the home directory, unless WANDB_DATA_DIR is set."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]

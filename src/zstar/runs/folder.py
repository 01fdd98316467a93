"""The run folder: its files, and the difference between a finished, a killed and a failed run."""

import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import zstar
from zstar.config.paths import place, read_text

UNHASHED = frozenset(  # these choose where results go and what is in memory at once, not what they are
    {"logger", "hydra", "output", "name", "tags", "group", "micro_batch", "checkpointing"}
)
ORDERED = frozenset({"projector", "operator"})  # the order of these entries is the order in which they are carried out
ABANDONED = 3600.0  # seconds after which a half-written file of another machine is nobody's
PACKAGES = ("torch", "torchvision", "numpy", "pytorch-lightning", "hydra-core", "lpips", "wandb")


def write_atomic(path: str | Path, writer: Callable[[Path], object]) -> Path:
    """Let ``writer`` fill a file beside ``path``, then rename it: whenever the process dies, ``path`` is whole."""
    (path := place(path)).parent.mkdir(parents=True, exist_ok=True)
    # A part of the name, as the whole of it and these words may be longer than any name; the thread tells those apart
    # that begin alike and are written at once.
    writing = f"{threading.get_native_id()}.{platform.node()}.{os.getpid()}"
    temporary = path.absolute().with_name(f".{path.stem[:50]}.{writing}.partial{path.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask has it; some writers are more secretive
        writer(temporary)
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_json(path: str | Path, obj: object) -> Path:
    """Write plain Python containers as readable JSON, atomically."""
    return write_text(path, json.dumps(obj, indent=2, ensure_ascii=False) + "\n")


def write_text(path: str | Path, text: str) -> Path:
    """Write text in UTF-8, atomically; what no text can hold, half of a pair of surrogates, becomes an escape."""
    return write_atomic(path, lambda file: file.write_text(text, encoding="utf-8", errors="backslashreplace"))


def clear_partial(folder: str | Path) -> None:
    """Delete what killed processes left half-written in ``folder``; what a live one is writing stays."""
    for leftover in Path(folder).rglob(".*.partial*"):
        if not _written_now(leftover):
            leftover.unlink(missing_ok=True)


def _written_now(leftover: Path) -> bool:
    """Whether the process that a half-written file is named by may still be writing it."""
    *name, process = leftover.name.rpartition(".partial")[0].split(".")
    if not process.isdigit() or int(process) == os.getpid():
        return False
    if not ".".join(name).endswith(f".{platform.node()}"):  # of another machine: nobody writes for an hour on end
        with suppress(FileNotFoundError):
            return time.time() - leftover.stat().st_mtime < ABANDONED
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


def by_age(top: Path, pattern: str) -> list[Path]:
    """The files below a folder that a pattern fits, from the oldest to the newest."""
    return sorted(top.glob(pattern), key=lambda path: path.stat().st_mtime)


def safe_name(identifier: str) -> str:
    """A file name without extension for an image id: no separators, at most 120 characters, different for every id."""
    if re.fullmatch(r"(?!.*-[0-9a-f]{12}$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}", identifier):
        return identifier
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", identifier).strip("._-")[:100]
    return f"{stem or 'image'}-{hashlib.sha256(identifier.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def config_hash(plain: Mapping[str, Any]) -> str:
    """Twelve hex digits for all that can change a result; neither ``UNHASHED`` keys, nor order, nor 1 for 1.0, nor the
    number of a GPU do."""
    kept = {key: _canonical(value, key in ORDERED) for key, value in plain.items() if key not in UNHASHED}
    if isinstance(device := kept.get("device"), str):
        kept["device"] = without_number(device)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def without_number(device: str) -> str:
    """``cuda:1`` → ``cuda``, as which of several GPUs it is changes no result."""
    return device.partition(":")[0]


def _canonical(value: Any, ordered: bool = False) -> Any:
    if isinstance(value, Mapping):
        entries = {str(key): _canonical(entry) for key, entry in value.items()}
        return list(entries.items()) if ordered else entries
    if isinstance(value, list | tuple):
        return [_canonical(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def finished(folder: str | Path, wanted: str) -> dict[str, Any] | None:
    """``result.json`` of a run that has finished in ``folder`` with the config hash ``wanted`` and whose files are all
    there, else ``None``."""
    result = read_result(folder)
    return result if result.get("config_hash") == wanted and not _lost(folder, result) else None


def read_result(folder: str | Path) -> dict[str, Any]:
    """``result.json`` of a finished run; empty where there is none, or one that can't be read."""
    try:
        result = json.loads(read_text(Path(folder) / "result.json"))
    except (OSError, ValueError):
        return {}
    return result if isinstance(result, dict) and result.get("status") == "finished" else {}


def damaged(folder: str | Path) -> list[str]:
    """The files of a finished run that are missing or not as long as they were; and its result, if it can't be read."""
    if not (Path(folder) / "result.json").is_file():
        return []
    result = read_result(folder)
    return _lost(folder, result) if result else ["result.json"]


def _lost(folder: str | Path, result: Mapping[str, Any]) -> list[str]:
    sizes = {name: (Path(folder) / name, size) for name, size in result.get("files", {}).items()}
    return [name for name, (path, size) in sizes.items() if not path.is_file() or path.stat().st_size != size]


def record_result(folder: str | Path, result: Mapping[str, Any], files: Sequence[str] = ()) -> Path:
    """Write ``result.json``, the last file of a run: from here on, it counts as finished.

    Arguments:
        files: Those without which it is none; their sizes are kept, so that their loss is noticed.
    """
    (Path(folder) / "failed.txt").unlink(missing_ok=True)
    sizes = {name: (Path(folder) / name).stat().st_size for name in files}
    return write_json(Path(folder) / "result.json", {"status": "finished", **result, "files": sizes})


def record_failure(folder: str | Path, exc: BaseException | str) -> Path:
    """Write the traceback to ``failed.txt`` and no ``result.json``: the same command does the run again."""
    text = exc if isinstance(exc, str) else "".join(traceback.format_exception(exc))
    return write_text(Path(folder) / "failed.txt", text)


def command() -> str:
    """The command line of this process, ready to be typed again."""
    program = Path(sys.argv[0]).name
    return shlex.join([*(["python"] if program.endswith(".py") else []), program, *sys.argv[1:]])


@cache  # of the files that this process began with
def commit() -> dict[str, Any]:
    """Version of zstar and, in a git checkout, its ``commit`` and whether files differ from it (``dirty``)."""
    found: dict[str, Any] = {"version": zstar.__version__}
    if ((root := Path(__file__).resolve().parents[3]) / ".git").exists():  # git alone finds other projects too
        with suppress(OSError, subprocess.CalledProcessError):
            questions = (["rev-parse", "HEAD"], ["status", "--porcelain"])
            calls = (["git", "-C", root, *words] for words in questions)
            head, files = (subprocess.check_output(call, stderr=subprocess.DEVNULL) for call in calls)
            found |= {"commit": head.decode().strip(), "dirty": bool(files)}
    return found


@cache
def versions() -> dict[str, str]:
    """Versions of Python, zstar and the packages that results depend on; absent packages are left out."""
    found = {"python": platform.python_version(), "zstar": zstar.__version__}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def machine(device: Any) -> dict[str, Any]:
    """Processor, its cores and threads used, system, and the GPU where ``device``, a ``torch.device``, is one."""
    import torch  # takes seconds, and those who read runs can do without

    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", read_text(info, "replace")) if info.is_file() else []
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    found = {"cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(), "gpu": gpu}
    return {**found, "threads": torch.get_num_threads(), "system": platform.system()}

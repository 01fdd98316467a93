"""The latents of a run, by its folder or by their file."""

from pathlib import Path

from zstar.config.paths import place


def latents_file(path: str | Path, key: str) -> Path:
    """The saved inversion that ``path`` is, or that is in the run folder ``path``."""
    file = place(path)
    file = file / "latents.safetensors" if file.is_dir() else file
    if not file.is_file():
        raise ValueError(f"{key}: there is no {file}; give the folder of a finished run of invert.py")
    return file

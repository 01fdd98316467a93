"""Wrong command lines and places end in one sentence, and a sweep goes on after a bad job."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zstar.checkpoints.io import load_weights, read_card, resolve, save_weights
from zstar.cli import dissect, edit, invert, paint, train
from zstar.config.build import build
from zstar.config.check import ConfigError
from zstar.config.keys import rename
from zstar.config.messages import complain, explain
from zstar.config.paths import read_text
from zstar.config.words import require_kept
from zstar.inversion import Inversion

VGG = "zstar.losses.networks.VGG19Conv3"
ROOT = Path(__file__).parents[1]
QUICK = ["data.count=1", "steps=1", "loss=[pixel]", "metric=[mse]", "space.prior_samples=10", "logger=none"]


def said(program: object, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> str:
    """What a program writes to the terminal before it ends with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["program.py", *words])
    with pytest.raises(SystemExit) as end:
        program()
    assert end.value.code == 2
    return capsys.readouterr().err.removeprefix("error: ").rstrip()


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("loss=[pixel", "loss=[pixel: a bracket or a quote is not closed; close it, or put the whole word in quotes"),
        ("name='a", "name='a: a bracket or a quote is not closed; close it, or put the whole word in quotes"),
        ("loss=[pixel,]", "loss=[pixel,]: the value can't be read; put quotes around it: loss='\"…\"'"),
        ("space", "space: has no value; write space=…"),
        ("logger=null", "logger: null is no option; choose one of csv, none, tensorboard, wandb"),
        ("loss=null", "loss: null is no option; choose one of "),
        ("space=ww", "space: there is no option 'ww'; did you mean 'w'?"),
        ("loss=[pixl]", "loss: there is no option 'pixl'; did you mean 'pixel'?"),
        ("space=3", "space: 3 is no option; choose one of continuous, embedding, feature, pixels, "),
        ("batch_size=0", "batch_size: invert expects int (1 or more), not 0"),
        (
            "name=2024",
            "name: invert expects str (the name of one folder, without / and \\) | None, not 2024; quote it",
        ),
        ("optimizer.foo=1", "optimizer.foo: 'optimizer' has no key 'foo'; choose one of"),
        ("+foo=1", "foo: invert has no key 'foo'; choose one of "),
        ("name=../../x", "name: invert expects str (the name of one folder, without / and \\) | None, not '../../x'"),
    ],
)
def test_command_lines(
    word: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said(invert, [*QUICK, word], monkeypatch, capsys).startswith(sentence)
    assert not list(tmp_path.rglob("*"))


def test_a_key_that_has_to_be_added_is_named_with_its_plus(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence = said(train, ["trainer.max_time=00:01:00:00"], monkeypatch, capsys)
    assert sentence == (
        "trainer.max_time: 'trainer' takes it and does not name it; add it with a plus: +trainer.max_time=…"
    )


@pytest.mark.parametrize(
    ("program", "words", "key"),
    [
        (invert, ["generator.checkpoint=/nope"], "generator.checkpoint"),
        (invert, ["generator.checkpoint=judge64"], "generator.checkpoint"),
        (invert, ["loss=[gram]", "loss.gram.network.checkpoint=/nope"], "loss.gram.network.checkpoint"),
        (invert, ["loss=[perceptual]", "loss.perceptual.network.checkpoint=no"], "loss.perceptual.network.checkpoint"),
        (dissect, ["segmenter.checkpoint=/nope"], "segmenter.checkpoint"),
        (edit, ["direction=[units]", "direction.units.path=/nope"], "direction.units.path"),
        (paint, ["units=/nope"], "units"),
        (paint, ["units=directions64"], "units"),  # the generator's, and no units
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_is_named_by_the_key_that_was_set(
    program: object,
    words: list[str],
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence = said(program, [*words, *([] if program is paint else ["logger=none"])], monkeypatch, capsys)
    assert sentence.startswith(f"{key}: ") and words[-1].partition("=")[2] in sentence and "\n" not in sentence
    assert sentence.count("checkpoint: ") <= 1


@pytest.mark.parametrize(
    ("program", "words", "key"),
    [
        (paint, [], "units"),
        (edit, ["direction=[units]", "logger=none"], "direction.units.path"),
        (edit, ["direction=[file]", "logger=none"], "direction.file.path"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "reason"), [("generator", " is for the generator 000"), ("directions", "has no 'dir")]
)
def test_a_card_that_does_not_fit_is_named_by_the_key_that_was_set(
    program: object,
    words: list[str],
    key: str,
    kind: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    card = read_card(resolve("units64"))
    card = card | {"generator": "0" * 64} if kind == "generator" else {k: v for k, v in card.items() if k != kind}
    save_weights(tmp_path / "mine.safetensors", load_weights(resolve("units64")), card)
    sentence = said(program, [f"{key}=mine.safetensors", *words], monkeypatch, capsys)
    assert sentence.startswith(f"{key}: ") and reason in sentence and "mine." in sentence and "\n" not in sentence


@pytest.mark.parametrize("content", [b"a: [", b"# \xff"])
def test_a_file_of_options_that_can_not_be_read_is_named(
    content: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    file = tmp_path / "my" / "optimizer" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    sentence = said(invert, ["--config-dir", str(tmp_path / "my"), "optimizer=mine", *QUICK], monkeypatch, capsys)
    assert sentence.startswith("optimizer/mine: this file of options is no YAML in UTF-8 (") and "\n" not in sentence


def test_text_and_latents_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fa\xe7ade")
    with pytest.raises(ValueError, match=r"a\.txt: this is no text in UTF-8 \(invalid .* at byte 2\); save it so"):
        read_text(tmp_path / "a.txt")
    save_weights(tmp_path / "latents.safetensors", {"latent": torch.zeros(1, 2)}, {"kind": "inversion", "ids": ["a"]})
    with pytest.raises(ValueError, match=r"latents\.safetensors: its card or its latents lack something \('space'\)"):
        Inversion.load(tmp_path / "latents.safetensors")


@pytest.mark.parametrize(
    ("key", "target", "settings", "sentence"),
    [
        ("metric.perceptual", "zstar.metrics.perceptual.Perceptual", {"network": {"_target_": VGG, "checkpoint": "x"}},
         "metric.perceptual.network.checkpoint: there is no file 'x'; set metric.perceptual.network.checkpoint=<path>"),
        ("loss.mine", "zstar.losses.pixel.Pixel", {"kind": "huber", "delta": -1.0}, "loss.mine.delta: "),
        ("annotation", "zstar.annotations.labels.Labels", {"path": "x", "inversion": "."}, "annotation.inversion: "),
        ("direction.far", "zstar.directions.random.Random", {"count": 0}, "direction.far.count: "),
    ],
)  # fmt: skip
def test_an_error_names_the_key_that_was_set(key: str, target: str, settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        build({"_target_": target, **settings}, at=key)


def test_what_begins_with_no_argument_stays() -> None:
    assert rename("noise: 'x' is unknown", "loss.mine", {"noise"}) == "noise: 'x' is unknown"
    assert rename("generator.checkpoint: none", "data", {"generator", "count"}) == "generator.checkpoint: none"


@pytest.mark.parametrize("program", ["zstar.benchmark.__main__", "zstar.checkpoints.convert", "zstar.tune.__main__"])
def test_all_programs_have_the_same_door(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(program)
    inner, outer, words = {
        "zstar.benchmark.__main__": ("make", "main", ["runs"]),
        "zstar.checkpoints.convert": ("convert", "program", []),
        "zstar.tune.__main__": ("search", "tune", ["optimizer"]),
    }[program]
    monkeypatch.setattr(module, inner, lambda *_: len([print(number) for number in range(20_000)]))
    monkeypatch.setattr(sys, "argv", ["program", *words])
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w"))
    getattr(module, outer)()  # goes on where nobody reads

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, inner, interrupted)
    with pytest.raises(SystemExit) as end:
        getattr(module, outer)()
    assert end.value.code == 130


def test_a_training_checks_its_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said(train, ["+callbacks.foo=1"], monkeypatch, capsys).startswith("callbacks.foo: callbacks has no key")


def test_places_that_can_not_be_written_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for words in ([f"output={tmp_path}/file"], [f"output={tmp_path}", f"name={'x' * 300}"]):
        sentence = said(invert, [*QUICK, *words], monkeypatch, capsys)
        assert sentence.startswith("output: ") and sentence.endswith("; choose another output or name"), sentence
        assert "\n" not in sentence


def test_which_errors_are_the_inputs_fault() -> None:
    assert complain(ValueError("data: empty; add images"), "out") == "data: empty; add images"
    assert complain(FileNotFoundError("data.path: there is no 'x'"), "out") == "data.path: there is no 'x'"
    assert complain(PermissionError(13, "denied", "out/run"), "out") == (
        "output: denied (out/run); choose another output or name"
    )
    assert complain(PermissionError(13, "denied", "photos/a"), "out") == "photos/a: denied"
    assert complain(OSError(errno.ENOSPC, "No space left"), "out").startswith("output: No space left")
    assert complain(KeyError("a defect"), "out") is None
    assert explain(ValueError("a defect"), ["space=w", "seed=null"]) is None


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_bad_job(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "invert.py"), "-m", *QUICK, "space=w,pixels,z"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, "what does not fit is no failure"
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("does not fit: ")]
    assert "space=pixels: space: StyleGAN2 has no space 'pixels'; choose one of z, w, w_plus, style" in line
    assert len(list(tmp_path.glob("outputs/invert/*/result.json"))) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["loss=[pixel]", "+loss=ms_ssim"], "loss: +loss=ms_ssim would be dropped .* write loss=[pixel,ms_ssim]"),
        (["+metric=psnr", "+metric=ssim"], "metric: +metric=ssim would be dropped .* write metric=[psnr,ssim]"),
        (["projector=[mean,optimization,optimization]"], "projector: optimization is chosen twice, .* write projector"),
    ],
)
def test_a_choice_that_would_be_dropped_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence).replace(r"\.\*", ".*")):
        require_kept(words)


@pytest.mark.parametrize("word", ["+loss=ms_ssim", "loss=[pixel,ms_ssim]", "+loss.mine={_target_: a.b}", "seed=1,2"])
def test_a_choice_that_is_kept_is_allowed(word: str) -> None:
    require_kept([word])


def test_the_programs_look_for_dropped_choices(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert said(invert, ["projector=[mean,mean]", *QUICK], monkeypatch, capsys).startswith("projector: mean is chosen")

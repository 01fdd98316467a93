"""Every file of conf/ composes and fits the signatures of the code; every kind of mistake is found, all at once."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from zstar.config.build import build, offer, to_plain
from zstar.config.check import MULTI_SELECT, ConfigError, check
from zstar.config.constraints import POSITIVE, Within, require
from zstar.config.schema import Dissect, Edit, Invert, Paint, Train
from zstar.losses.pixel import Pixel
from zstar.projection.job import make_job
from zstar.regularizers.latent_norm import LatentNorm
from zstar.spaces.w import W

CONF = Path(__file__).parents[1] / "conf"
PRIMARIES = sorted(path.stem for path in CONF.glob("*.yaml"))
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml") if path.parent != CONF)
NO_OPTIONS = {"hydra", "search", "shared"}  # of launchers and searches, or parts of options: not a job's
OPTIONS = [path for path in FILES if not NO_OPTIONS & set(path.parts)]
RECIPES = [path for path in OPTIONS if path.parts[0] in ("method", "experiment", "protocol", "sweep")]
FLOOR = 20
SETTINGS = {"invert": Invert, "train": Train, "edit": Edit, "dissect": Dissect, "paint": Paint}


@functools.cache
def _groups(composed: Any, primary: str) -> dict[str, str]:
    """Group → how to choose it on the command line."""
    choices = composed(primary, return_hydra_config=True).hydra.runtime.choices
    return {group.partition("@")[0]: group for group in choices}


def _with(composed: Any, option: Path) -> Iterator[tuple[str, DictConfig]]:
    """Each primary config that has the group of ``option``, with it chosen; recipes need fit one primary only."""
    group, name = option.parent.as_posix(), option.stem
    homes = [primary for primary in PRIMARIES if group in _groups(composed, primary)]
    homes = [primary for primary in homes if primary != "paint" or option not in RECIPES]  # which are of whole runs
    homes = homes or (PRIMARIES if option in RECIPES else ["edit"])  # a list that is empty names no group
    errors = []
    for primary in homes:
        key = _groups(composed, primary).get(group, f"+{group}")
        chosen = f"[{name}]" if group in MULTI_SELECT else name
        try:
            yield primary, composed(primary, f"{key}={chosen}")
        except ConfigCompositionException as error:
            if option not in RECIPES:
                raise
            errors.append(error)
    if len(errors) == len(homes):
        raise errors[0]


def _problems(cfg: DictConfig | Mapping[str, Any]) -> list[str]:
    try:
        check(cfg)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_there_are_configs_to_check() -> None:
    files = [path for path in CONF.rglob("*") if path.suffix in (".yaml", ".yml")]
    assert len(files) == len(PRIMARIES) + len(FILES) >= FLOOR
    assert "invert" in PRIMARIES


@pytest.mark.parametrize("primary", PRIMARIES)
def test_primary_composes_and_checks(composed: Any, primary: str) -> None:
    cfg = composed(primary)
    check(cfg)
    assert to_plain(cfg)["seed"] == cfg.seed


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_composes_and_checks(composed: Any, option: Path) -> None:
    values = yaml.safe_load((CONF / option).read_text()) or {}
    own = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}  # what a program gets
    for primary, cfg in _with(composed, option):
        # A value that the file itself leaves to the user is the only thing that may be missing.
        problems = [p for p in _problems(cfg) if not ("has no value" in p and "???" in str(values))]
        assert not problems, f"{primary} with {option}:\n" + "\n".join(problems)
        for key, value in _scalars(own) if option in RECIPES else ():
            assert OmegaConf.select(cfg, key) == value, f"what {option} sets does not survive: {key}"


@pytest.mark.parametrize("option", [path for path in OPTIONS if path not in RECIPES], ids=str)
def test_typo_planted_in_any_file_is_found(option: Path) -> None:
    content = yaml.safe_load((CONF / option).read_text())
    planted = list(_plant(content))
    assert planted
    problems = _problems({option.parts[0]: content})
    assert len([problem for problem in problems if "has no argument 'tpyo'" in problem]) == len(planted), problems


def _plant(node: Any) -> Iterator[dict[str, Any]]:
    """Adds an argument that nothing has to every object in ``node``, and yields those objects."""
    if isinstance(node, dict):
        for child in list(node.values()):
            yield from _plant(child)
        if "_target_" in node:
            node["tpyo"] = 1
            yield node


def _scalars(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _scalars(value, f"{key}.{name}" if key else name)
    elif not (isinstance(values, str) and "${" in values):
        yield key, values


def test_unknown_argument_names_the_nearest() -> None:
    cfg = {"loss": {"pixel": {"_target_": "zstar.losses.pixel.Pixel", "wieght": 1.0}}}
    assert _problems(cfg) == ["loss.pixel.wieght: Pixel has no argument 'wieght'; did you mean 'weight'?"]


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("zstar.losses.pixel.Pixle", "did you mean 'zstar.losses.pixel.Pixel'?"),
        ("zstar.loses.pixel.Pixel", "did you mean 'zstar.losses'?"),
        ("zstra.losses.pixel.Pixel", "did you mean 'zstar'?"),
        ("torch.optim.Adamm", "did you mean 'torch.optim.Adam'?"),
        ("zstar.losses.pixel", "is a module, not a class or function"),
        ("zstar.losses.base.AbstractLoss", "is abstract"),
        ("", "cannot"),
    ],
)
def test_unknown_target_names_the_nearest(target: str, hint: str) -> None:
    (problem,) = _problems({"thing": {"_target_": target}})
    assert problem.startswith("thing._target_: ") and hint in problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weight", "abc"),
        ("weight", True),
        ("weight", [1.0]),
        ("kind", "l3"),
        ("delta", "wide"),
    ],
)
def test_wrong_type_is_shown_with_its_value(key: str, value: Any) -> None:
    (problem,) = _problems({"loss": {"pixel": {"_target_": "zstar.losses.pixel.Pixel", key: value}}})
    assert problem.startswith(f"loss.pixel.{key}: Pixel expects ") and problem.endswith(f"not {value!r}")


def test_third_party_classes_are_checked_too() -> None:
    problems = _problems(
        {
            "optimizer": {"_target_": "torch.optim.Adam", "betas": [0.0, 0.99], "learning_rate": 1.0, "lr": "fast"},
            "trainer": {"_target_": "pytorch_lightning.Trainer", "max_epoch": 3, "max_steps": 10, "devices": 1},
        }
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "optimizer.learning_rate",
        "optimizer.lr",
        "trainer.max_epoch",
    ]


def test_missing_arguments_are_those_that_yaml_can_give() -> None:
    layer = {"_target_": "torch.nn.Linear", "in_features": 3}
    assert _problems({"layer": layer}) == [
        "layer.out_features: Linear needs this argument (int); set layer.out_features=…"
    ]
    assert not _problems({"layer": layer | {"_partial_": True}})
    assert not _problems({"layer": {"_target_": "torch.nn.Linear", "_args_": [3, 4]}})
    assert not _problems({"space": {"_target_": "zstar.spaces.w.W"}})  # the program supplies the generator
    assert not _problems({"any": {"_target_": "builtins.dict", "whatever": 1}})  # takes any name


def test_a_primitive_is_no_program_object() -> None:
    (problem,) = _problems({"space": {"_target_": "zstar.spaces.w.W", "generator": "stylegan2"}})
    assert problem == "space.generator: W expects AbstractGenerator, not 'stylegan2'"


def test_all_problems_come_at_once(composed: Any) -> None:
    cfg = composed(
        "invert", "loss=[pixel]", "++loss.lpips.weight=2", "++loss.pixel.wight=1", "++space._target_=zstar.X"
    )
    OmegaConf.update(cfg, "needed", "???", force_add=True)
    OmegaConf.update(cfg, "dangling", "${nowhere}", force_add=True)
    problems = _problems(cfg)
    assert len(problems) == 5, problems
    text = "\n".join(problems)
    assert "needed: has no value" in text
    assert "dangling: " in text
    assert "loss.pixel.wight: Pixel has no argument 'wight'; did you mean 'weight'?" in text
    assert "space._target_: there is no 'zstar.X'" in text
    assert "loss.lpips: 'lpips' has values but was not chosen; add it: loss=[pixel,lpips]" in text


def test_build_hands_objects_over_as_they_are() -> None:
    layer = torch.nn.Linear(1, 1)
    cfg = OmegaConf.create({"_target_": "builtins.dict", "sizes": [1, 2], "deep": {"a": [3]}})
    built = build(cfg, layer=layer, named={"layer": layer})
    assert built["layer"] is layer and built["named"]["layer"] is layer
    assert type(built["sizes"]) is list and type(built["deep"]) is dict
    assert build({"_target_": "builtins.dict", "size": 1}, size=2) == {"size": 2}
    assert build(None) is None
    with pytest.raises(ConfigError, match="_target_"):
        build({"weight": 1})


def test_build_makes_nested_objects_and_factories() -> None:
    cfg = {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.Linear", "_args_": [2, 3]}]}
    assert build(cfg)[0].out_features == 3
    factory = build({"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.5})
    assert factory(torch.nn.Linear(1, 1).parameters()).defaults["lr"] == 0.5


def test_offer_leaves_out_what_is_not_asked_for() -> None:
    cfg = {"_target_": "torch.nn.Linear", "in_features": 2}
    assert offer(cfg, out_features=3, generator=None).out_features == 3


def test_errors_of_a_constructor_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError):
        build({"_target_": "operator.truediv", "_args_": [1, 0]})


def test_to_plain_names_the_missing_key() -> None:
    assert to_plain(OmegaConf.create({"a": 1, "b": {"c": "${a}", "d": [1, "${a}"]}})) == {
        "a": 1,
        "b": {"c": 1, "d": [1, 1]},
    }
    with pytest.raises(ConfigError, match=r"^data\.folder: has no value; set data\.folder="):
        to_plain({"data": {"folder": "???"}})


@pytest.mark.parametrize(
    ("primary", "word", "sentence"),
    [
        ("invert", "batch_size=-3", "batch_size: invert expects int (1 or more), not -3"),
        ("invert", "batch_size=0", "batch_size: invert expects int (1 or more), not 0"),
        ("invert", "batch_size=abc", "batch_size: invert expects int (1 or more), not 'abc'"),
        ("invert", "batch_size=1.5", "batch_size: invert expects int (1 or more), not 1.5"),
        ("invert", "batch_size=null", "batch_size: invert expects int (1 or more), not None"),
        ("invert", "batch_size=true", "batch_size: invert expects int (1 or more), not True"),
        ("invert", "steps=-1", "steps: invert expects int (0 or more), not -1"),
        ("invert", "seed=null", "seed: invert expects int (0 to 9223372036854775807), not None"),
        ("invert", f"seed={10**22}", f"seed: invert expects int (0 to 9223372036854775807), not {10**22}"),
        ("train", "seed=-1", "seed: train expects int (0 to 9223372036854775807), not -1"),
        ("invert", "device=null", "device: invert expects str, not None"),
        ("invert", "precision=fp16", "precision: invert expects 'exact' | 'tf32' | 'bf16', not 'fp16'"),
        ("edit", "precision=null", "precision: edit expects 'exact' | 'tf32' | 'bf16', not None"),
        ("invert", "noise=random", "noise: invert expects 'const' | 'none' | 'optimize', not 'random'"),
        ("invert", "noise=null", "noise: invert expects 'const' | 'none' | 'optimize', not None"),
        ("invert", "output=null", "output: invert expects str, not None"),
        ("invert", "tags=3", "tags: invert expects list[str], not 3"),
        ("train", "name=a/b", "name: train expects str (the name of one folder, without / and \\) | None, not 'a/b'"),
        ("invert", "name=..", "name: invert expects str (the name of one folder, without / and \\) | None, not '..'"),
        ("invert", "+batchsize=1", "batchsize: invert has no key 'batchsize'; did you mean 'batch_size'?"),
        (
            "invert",
            "+callbacks.foo=1",
            "callbacks: invert has no key 'callbacks'; choose one of annotation, batch_size, ",
        ),
        ("train", "+callbacks.foo=1", "callbacks.foo: callbacks has no key 'foo'; choose one of checkpoint_minutes, "),
        ("train", "callbacks.samples_every=-1", "callbacks.samples_every: callbacks expects int (0 or more), not -1"),
        ("train", "callbacks=3", "callbacks: train expects Callbacks, not 3"),
        ("edit", "combine=all", "combine: edit expects 'each' | 'together' | 'grid', not 'all'"),
        ("edit", "strengths=many", "strengths: edit expects int | list[float] | "),
        ("edit", "measured=0", "measured: edit expects int (1 or more), not 0"),
        ("edit", "only=season", "only: edit expects list[str] | None, not 'season'"),
        ("invert", "~logger", "logger: nothing is chosen and invert needs it; choose e.g. logger=none"),
        ("train", "~task", "task: nothing is chosen and train needs it; choose e.g. task=generator"),
        ("train", "~callbacks", "callbacks: train needs this argument (Callbacks); set callbacks=…"),
    ],
)
def test_keys_at_the_top_have_a_schema_too(composed: Any, primary: str, word: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(composed(primary, word), SETTINGS[primary])
    assert [line for line in str(error.value).splitlines() if line.startswith(sentence)], error.value


@pytest.mark.parametrize("primary", PRIMARIES)
def test_settings_are_the_keys_of_their_primary(composed: Any, primary: str) -> None:
    cfg = composed(primary)
    check(cfg, SETTINGS[primary])
    optional = {"regularizer", "protocol", "space", *MULTI_SELECT}
    assert set(cfg) | optional == {field.name for field in fields(SETTINGS[primary])} | optional


@pytest.mark.parametrize("option", RECIPES, ids=str)
def test_recipes_fit_the_settings(composed: Any, option: Path) -> None:
    for primary, cfg in _with(composed, option):
        check(cfg, SETTINGS[primary])


@pytest.mark.parametrize(
    "word", ["regularizer=[]", "metric=[]", "name=a.b", "tags=[a,b]", f"seed={2**63 - 1}", "steps=0"]
)
def test_what_is_right_passes(composed: Any, word: str) -> None:
    check(composed("invert", word), Invert)


def test_a_number_out_of_range_names_its_key_and_its_bounds() -> None:
    require("task", Within(1), steps=1)
    for bounds, value, sentence in [
        (Within(1), 0, "task.steps: 0 is not possible; set it to 1 or more"),
        (POSITIVE, float("inf"), "task.steps: inf is not finite; set it to a number above 0"),
        (POSITIVE, 0.0, "task.steps: 0.0 is not possible; set it to a number above 0"),
        (Within(0), float("nan"), "task.steps: nan is not finite; set it to 0 or more"),
        (Within(0, 1), 1.5, "task.steps: 1.5 is not possible; set it to 0 to 1"),
        (Within(0, 1, above=True), 0, "task.steps: 0 is not possible; set it to a number above 0, at most 1"),
    ]:
        with pytest.raises(ValueError) as error:
            require("task", bounds, steps=value)
        assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("group", "words", "sentence"),
    [
        ("space", ["space.prior_samples=1"], "space.prior_samples: 1 is not possible; set it to 2 or more"),
        ("space", ["space=z", "space.limit=0"], "space.limit: 0 is not possible; set it to a number above 0"),
        ("generator", ["generator=pixels", "generator.resolution=0"], "generator.resolution: 0 is not possible"),
        ("generator", ["generator=pixels", "generator.channels=2"], "generator.channels: 2 colours are no image"),
        ("generator", ["generator=stylegan2", "generator.z_dim=0"], "generator.z_dim: 0 is not possible; set it to 1"),
        ("generator", ["generator=stylegan2", "generator.w_dim=-1"], "generator.w_dim: -1 is not possible"),
        ("generator", ["generator=stylegan2", "generator.channels=0"], "generator.channels: 0 colours are no image"),
        ("generator", ["generator=stylegan2", "generator.channel_base=32"], "generator.channel_base: 32 is not"),
        ("generator", ["generator=stylegan2", "generator.channel_max=0"], "generator.channel_max: 0 is not possible"),
        ("generator", ["generator=stylegan2", "generator.num_mapping_layers=0"], "generator.num_mapping_layers: 0 is"),
    ],
)
def test_ranges_of_constructors(composed: Any, tiny: Any, group: str, words: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        offer(composed("invert", *words)[group], generator=tiny)
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_weights_are_finite_and_not_negative(tiny: Any, value: float) -> None:
    with pytest.raises(ValueError, match=r"^loss\.\*\.weight: .* Pixel; set it to a finite number, 0 or more"):
        Pixel(weight=value)
    with pytest.raises(ValueError, match=r"^regularizer\.\*\.weight: .* LatentNorm; set it to a finite number"):
        LatentNorm(W(tiny), weight=value)


def test_positions_of_layers_are_not_negative(composed: Any) -> None:
    cfg = composed("invert", "loss=[perceptual]", "loss.perceptual.layers=[-1]")
    with pytest.raises(ValueError, match=r"^loss\.perceptual\.layers: \[-1\] has a negative position; count from 0"):
        build(cfg.loss.perceptual)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["projector.optimization.patience=0"], "projector.optimization.patience: 0 is not possible; set it to 1"),
        (["projector.optimization.explore=-0.1"], "projector.optimization.explore: -0.1 is not possible"),
        (["projector.optimization.explore_until=0"], "projector.optimization.explore_until: 0 is not possible"),
        (["projector.optimization.explore_until=2"], "projector.optimization.explore_until: 2 is not possible"),
        (["projector.optimization.min_delta=-1"], "projector.optimization.min_delta: -1 is not possible"),
        (["projector=[best_of]", "projector.best_of.candidates=0"], "projector.best_of.candidates: 0 is not possible"),
        (["projector=[best_of]", "projector.best_of.chunk=0"], "projector.best_of.chunk: 0 is not possible"),
        (["generator=stylegan2"], "generator.checkpoint: without one the weights are random"),
        (["device=meta"], "device: 'meta' is no device to compute on; choose auto, cpu or cuda"),
    ],
)
def test_jobs_refuse_what_can_not_be_done(composed: Any, words: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        make_job(composed("invert", "data.count=1", "loss=[pixel]", "metric=[mse]", "steps=1", *words))
    assert str(error.value).startswith(sentence)

"""Every file of conf/ composes and fits the signatures of the code; every kind of mistake is found, all at once."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from zstar.config import MULTI_SELECT, ConfigError, build, check, offer, to_plain

CONF = Path(__file__).parents[1] / "conf"
PRIMARIES = sorted(path.stem for path in CONF.glob("*.yaml"))
OPTIONS = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml") if path.parent != CONF)
RECIPES = [path for path in OPTIONS if path.parts[0] in ("method", "experiment")]
FLOOR = 20


@functools.cache
def _groups(composed: Any, primary: str) -> dict[str, str]:
    """Group → how to choose it on the command line."""
    choices = composed(primary, return_hydra_config=True).hydra.runtime.choices
    return {group.partition("@")[0]: group for group in choices}


def _with(composed: Any, option: Path) -> Iterator[tuple[str, DictConfig]]:
    """Each primary config that has the group of ``option``, with it chosen; recipes need fit one primary only."""
    group, name = option.parent.as_posix(), option.stem
    homes = [primary for primary in PRIMARIES if group in _groups(composed, primary)]
    errors = []
    for primary in homes or PRIMARIES[:1]:
        key = _groups(composed, primary).get(group, f"+{group}")
        chosen = f"[{name}]" if group in MULTI_SELECT else name
        try:
            yield primary, composed(primary, f"{key}={chosen}")
        except ConfigCompositionException as error:
            if option not in RECIPES:
                raise
            errors.append(error)
    if errors and len(errors) == len(homes):
        raise errors[0]


def _problems(cfg: DictConfig | Mapping[str, Any]) -> list[str]:
    try:
        check(cfg)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_there_are_configs_to_check() -> None:
    files = [path for path in CONF.rglob("*") if path.suffix in (".yaml", ".yml")]
    assert len(files) == len(PRIMARIES) + len(OPTIONS) >= FLOOR
    assert "invert" in PRIMARIES


@pytest.mark.parametrize("primary", PRIMARIES)
def test_primary_composes_and_checks(composed: Any, primary: str) -> None:
    cfg = composed(primary)
    check(cfg)
    assert to_plain(cfg)["seed"] == cfg.seed


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_composes_and_checks(composed: Any, option: Path) -> None:
    asked = str(OmegaConf.load(CONF / option))
    for primary, cfg in _with(composed, option):
        # A value that the file itself leaves to the user is the only thing that may be missing.
        problems = [p for p in _problems(cfg) if not ("has no value" in p and "???" in asked)]
        assert not problems, f"{primary} with {option}:\n" + "\n".join(problems)


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


@pytest.mark.parametrize("option", RECIPES, ids=str)
def test_scalars_of_a_recipe_survive(composed: Any, option: Path) -> None:
    values = yaml.safe_load((CONF / option).read_text()) or {}
    values.pop("defaults", None)
    fits = 0
    for _, cfg in _with(composed, option):
        fits += 1
        for key, value in _scalars(values):
            assert OmegaConf.select(cfg, key) == value, key
    assert fits


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

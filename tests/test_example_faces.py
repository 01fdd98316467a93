"""examples/faces: files of TensorFlow.js, networks that read faces, and their choices on the command line."""

import itertools
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from safetensors.torch import load_file

from zstar.annotations.classifier import Classifier
from zstar.checkpoints.identity import identify
from zstar.config.build import build, to_plain
from zstar.config.check import CLASSES, STYLES, check
from zstar.config.schema import Edit, Train
from zstar.data.companions import take_companions
from zstar.directions.attribute import Attribute
from zstar.editability.base import Traversal
from zstar.editability.effect import Effect
from zstar.segmenters.module import Module as Segmenter
from zstar.spaces.z import Z

NETWORKS = ("face_expression", "face_age_gender")


@pytest.fixture
def example(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The word that adds its choices; its modules can be imported."""
    monkeypatch.syspath_prepend(str(root / "examples/faces"))
    return f"hydra.searchpath=[file://{root / 'examples/faces/conf'}]"


@pytest.fixture
def assets(shared: Path) -> Path:
    """The networks themselves."""
    folder = shared / "assets"
    names = (*NETWORKS, "face_parsing_unet", "dcgan_faces_64_digiface")
    if lost := [name for name in names if not (folder / name / "io.safetensors").is_file()]:
        pytest.skip(f"needs assets/{lost[0]}")
    return folder


@pytest.fixture
def tfjs(example: str) -> ModuleType:
    import tfjs  # ty: ignore[unresolved-import]

    return tfjs


def manifest(assets: Path, name: str) -> str:
    return str(next((assets / name).glob("*_manifest.json")))


def write(folder: Path, entries: list[dict[str, Any]], *contents: bytes, paths: list[str] | None = None) -> str:
    """A manifest with its files."""
    paths = [f"part{i}.bin" for i in range(len(contents))] if paths is None else paths
    for name, content in zip(paths, contents, strict=False):
        (folder / name).write_bytes(content)
    path = folder / "manifest.json"
    path.write_text(json.dumps([{"paths": paths, "weights": entries}]))
    return str(path)


PLAIN = {"name": "a/filters", "shape": [2, 3], "dtype": "float32"}
QUANTIZED = {
    "name": "b", "shape": [4], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
}  # fmt: skip


def test_weights_lie_back_to_back_over_several_files(tmp_path: Path, tfjs: ModuleType) -> None:
    numbers = np.arange(6, dtype="<f4")
    content = numbers.tobytes() + bytes([0, 1, 2, 255])
    found = tfjs.read(write(tmp_path, [PLAIN, QUANTIZED], content[:10], content[10:]))
    assert found["a/filters"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].tolist() == [-1, -0.5, 0, 126.5] and found["b"].dtype == torch.float32
    wide = QUANTIZED | {"quantization": {"dtype": "uint16", "scale": 1.0, "min": 0.0}, "shape": [1, 2]}
    assert tfjs.read(write(tmp_path, [wide], b"\x00\x01\x02\x00"))["b"].tolist() == [[256, 2]]


@pytest.mark.parametrize(
    ("entries", "content", "paths", "sentence"),
    [
        ([PLAIN], b"\0" * 23, None, "a/filters ends at byte 24, and there are 23"),
        ([PLAIN], b"\0" * 25, None, "1 bytes are left over"),
        ([PLAIN | {"shape": [2, -3]}], b"", None, r"a/filters has the shape \[2, -3\]"),
        ([PLAIN | {"shape": [1 << 29, 1 << 29]}], b"", None, "has the shape"),
        ([PLAIN | {"dtype": "string"}], b"\0" * 24, None, "a/filters is of string"),
        ([QUANTIZED | {"quantization": {"dtype": "float16"}}], b"\0" * 8, None, "b is of float32, stored as float16"),
        ([QUANTIZED | {"quantization": {"dtype": "uint8"}}], b"\0" * 4, None, "scale"),
        ([{"shape": [1]}], b"\0" * 4, None, "name"),
        ([PLAIN], b"", ["../part.bin"], "'../part.bin', which is no file beside it"),
        ([PLAIN], b"", ["/etc/passwd"], "'/etc/passwd', which is no file beside it"),
        ([PLAIN], b"", ["lost.bin"], r"No such file or directory \(.*lost.bin\); name the manifest"),
    ],
)
def test_a_bad_file_gets_one_sentence(
    tmp_path: Path, tfjs: ModuleType, entries: Any, content: bytes, paths: Any, sentence: str
) -> None:
    path = write(tmp_path, entries, *([content] if paths is None else []), paths=paths)
    with pytest.raises(ValueError, match=sentence) as error:
        tfjs.read(path)
    assert str(error.value).startswith(path) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "3", "[3]", "[{}]", '{"a": 1}', "[" * 9999])
def test_what_is_no_manifest_gets_one_sentence(tmp_path: Path, tfjs: ModuleType, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ValueError, match="can't be read as weights of TensorFlow.js"):
        tfjs.read(str(tmp_path / "m.json"))


def test_weights_of_another_network_are_refused(tmp_path: Path, tfjs: ModuleType) -> None:
    import face_scores  # ty: ignore[unresolved-import]

    with pytest.raises(ValueError, match="manifest.json is not of Expression: .*dense0.conv0.filters"):
        face_scores.Expression(write(tmp_path, [PLAIN], b"\0" * 24))


def test_scores_are_those_of_the_networks(example: str, assets: Path) -> None:
    import face_scores  # ty: ignore[unresolved-import]

    kinds = {"face_expression": face_scores.Expression, "face_age_gender": face_scores.AgeGender}
    made = {}
    for name, kind in kinds.items():
        known = load_file(assets / name / "io.safetensors")
        network = kind(manifest(assets, name))
        made[name] = network(known["image_0_255"].float() / 127.5 - 1)
        if name == "face_expression":
            torch.testing.assert_close(made[name], known["probabilities"], atol=1e-4, rtol=0)
        else:
            torch.testing.assert_close(100 * made[name][:, 0], known["age"], atol=1e-3, rtol=0)
            torch.testing.assert_close(made[name][:, 1], known["probability_male_female"][:, 0], atol=1e-4, rtol=0)
        assert not any(one.requires_grad for one in network.parameters())
        small = network(torch.rand(2, 1, 48, 48) * 2 - 1)  # grey, and of another size
        assert small.shape == (2, made[name].shape[1]) and small.min() >= 0


def test_a_face_is_parsed_as_the_network_does(example: str, assets: Path, composed: Callable[..., DictConfig]) -> None:
    from face_parsing import COLOURS, painted  # ty: ignore[unresolved-import]

    known = load_file(assets / "face_parsing_unet/io.safetensors")
    weights = assets / "face_parsing_unet/weights.safetensors"
    words = [example, "segmenter=face_parsing", f"segmenter.checkpoint={weights}"]
    segmenter = build(composed("dissect", *words).segmenter)
    assert isinstance(segmenter, Segmenter) and list(segmenter.classes) == list(COLOURS)
    images = known["image_0_255"].float() / 127.5 - 1
    logits = segmenter.logits(images)
    torch.testing.assert_close(logits[:, :, 96:160, 96:160], known["logits_0_64x64"], atol=1e-3, rtol=1e-4)
    assert torch.equal(logits.argmax(dim=1), known["labels"].long())
    assert segmenter(torch.zeros(1, 3, 64, 64)).shape == (1, 64, 64)
    colours = painted(known["labels"].long()[:, ::16, ::16])
    assert colours.shape == (1, 3, 16, 16) and len(set(COLOURS.values())) == 19


def test_networks_are_chosen_on_the_command_line(
    example: str, assets: Path, composed: Callable[..., DictConfig]
) -> None:
    """A direction that is found with their scores moves what it is for, as they measure it."""
    words = [
        example, "generator=digiface", f"generator.checkpoint={assets}/dcgan_faces_64_digiface/weights.safetensors",
        "data=samples", "direction=[attribute]", "annotation=face_scores", "annotation.count=40",
        f"annotation.network.expression.manifest={manifest(assets, 'face_expression')}",
        f"annotation.network.age_gender.manifest={manifest(assets, 'face_age_gender')}",
    ]  # fmt: skip
    cfg = composed("edit", *words)
    check(cfg, Edit)
    generator, scorer = build(cfg.generator), build(cfg.annotation)
    assert isinstance(scorer, Classifier) and generator.resolution == 64
    space = Z(generator)
    direction = Attribute(scorer, ["male"]).find(space)["male"]
    v = {"latent": space.sample(4, torch.Generator().manual_seed(1))}
    traversal = Traversal("male", direction, generator, v, "z", torch.tensor([-2.0, 0.0, 2.0]))
    assert Effect(scorer)(traversal)["effect/slope"].mean() > 0.02
    other = composed("edit", *words, "annotation.network.expression.manifest=x.json")
    nodes = [identify(to_plain(one)["annotation"]) for one in (cfg, other)]
    assert nodes[0] != nodes[1], "the file is part of the identity"


def test_binary_files_beside_a_manifest_are_part_of_the_identity(example: str, tmp_path: Path) -> None:
    node = {"_target_": "face_scores.Expression", "manifest": write(tmp_path, [PLAIN], b"0" * 24)}
    before = identify(node)
    assert identify(node) == before
    (tmp_path / "part0.bin").write_bytes(b"1" * 24)
    assert identify(node) != before


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_has_its_own_choice(
    name: str, example: str, assets: Path, composed: Callable[..., DictConfig]
) -> None:
    cfg = composed("edit", example, f"annotation={name}", f"annotation.network.manifest={manifest(assets, name)}")
    scorer = build(cfg.annotation)
    assert scorer.score(torch.zeros(1, 3, 64, 64)).shape == (1, len(scorer.names))


@pytest.mark.slow
def test_recipe_of_the_encoder(
    example: str, assets: Path, composed: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = assets / "celeba-5k/images_89x109.tar"
    if not photos.is_file():
        pytest.skip("needs assets/celeba-5k")
    from aligned import landmarks, main  # ty: ignore[unresolved-import]

    assert landmarks(178, 218).points[:2].tolist() == [[69, 111], [108, 111]]
    with tarfile.open(photos) as tar:
        for member in itertools.islice(filter(tarfile.TarInfo.isfile, tar), 4):
            (tmp_path / Path(member.name).name).write_bytes(tar.extractfile(member).read())
    monkeypatch.setattr(sys, "argv", ["aligned.py", str(tmp_path), str(tmp_path / "landmarks.csv")])
    main()
    recipe = composed(
        "train", example, "experiment=faces_encoder", f"data.path={tmp_path}", "data.detector=null",
        f"data.landmarks={tmp_path}/landmarks.csv",
        f"generator.checkpoint={assets}/dcgan_faces_64_digiface/weights.safetensors",
    )  # fmt: skip
    check(recipe, Train)
    node = {key: value for key, value in take_companions(recipe.data)[0].items() if key not in (CLASSES, STYLES)}
    data = build(node, generator=build(recipe.generator))
    batch = data.read(range(4))
    assert batch.images.shape == (4, 3, 64, 64) and not batch.failed
    for corners in batch.corners.values():  # eyes of 89 × 109 pixels: (34.25, 55.25) and (53.75, 55.25)
        low, right = corners[0], corners[3]
        assert low[0] + 0.35 * (right[0] - low[0]) == pytest.approx(34.25)

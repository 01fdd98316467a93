"""Weights of others are read without effect on anything but memory, and mean the same network here."""

import argparse
import collections
import copy
import io
import json
import math
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

import zstar
from zstar.checkpoints.convert import convert
from zstar.checkpoints.io import (
    fingerprint,
    load_generator_checkpoint,
    load_into,
    load_weights,
    read_card,
    resolve,
    save_weights,
    shipped,
)
from zstar.checkpoints.pickle_machine import read_pickle
from zstar.checkpoints.pickle_values import PickledObject
from zstar.checkpoints.stylegan2_ada import record_settings
from zstar.generators.stylegan2 import StyleGAN2
from zstar.losses.lpips import LPIPS
from zstar.losses.networks import read_state


class Reduce:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def raw(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


def storage_bytes(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.fixture
def marker(tmp_path) -> Path:
    """A file that a successful attack would have made."""
    return tmp_path / "attacked"


def attacks(marker: Path) -> dict[str, bytes]:
    code = f"open({str(marker)!r}, 'w')"
    push = text(code)[:2] + code.encode()
    call = b"\x85R"  # a tuple of the last value, then the call
    inner = pickle.dumps(Reduce(os.system, f"touch {marker}"), protocol=2)
    load_from_bytes = b"B" + struct.pack("<I", len(inner)) + inner
    ordered = named("collections", "OrderedDict")
    return {
        "posix.system": pickle.dumps({"G_ema": Reduce(os.system, f"touch {marker}")}),
        "posix.system ": pickle.dumps(Reduce(os.system, f"touch {marker}"), protocol=0),
        "builtins.eval": raw(named("builtins", "eval") + push + call),
        "builtins.getattr": raw(named("builtins", "getattr") + ordered + text("__init__") + b"\x86R"),
        "torch._utils.__builtins__.eval": raw(named("torch._utils", "__builtins__.eval") + push + call),
        "collections.OrderedDict.__class__": raw(named("collections", "OrderedDict.__class__") + push + call),
        "collections.abc.OrderedDict": raw(named("collections.abc", "OrderedDict") + push + call),
        "torch.load": raw(named("torch", "load") + push + call),
        "_pickle.loads": raw(named("_pickle", "loads") + load_from_bytes + call),
        "copyreg.add_extension": raw(named("copyreg", "add_extension") + push + call),
        "instruction EXT1": raw(b"\x82\x01"),
        "instruction BINPERSID": raw(text("x") + b"Q"),
        "os.system": b"(S'touch " + str(marker).encode() + b"'\nios\nsystem\n.",
        "posix.system  ": raw(named("torch.storage", "_load_from_bytes") + load_from_bytes + call),
        "calls a dict": raw(ordered + b")R" + push + call),
        "calls a str": raw(push + push + call),
        "adds items to a _Function": raw(ordered + push + push + b"s"),
    }


@pytest.mark.parametrize("reason", attacks(Path("x")))
def test_a_malicious_pickle_is_refused_by_name_and_has_no_effect(reason, marker, tmp_path):
    path = tmp_path / "network.pkl"
    path.write_bytes(attacks(marker)[reason])
    for read in (load_weights, load_generator_checkpoint):
        with pytest.raises(ValueError, match=reason.strip()) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not marker.exists()


def test_code_in_torch_files_is_refused_by_name(marker, tmp_path):
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pt"
        torch.save({"g_ema": Reduce(os.system, f"touch {marker}")}, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match=r"posix\.system") as caught:
            load_weights(path)
        assert str(path) in str(caught.value)
    assert not marker.exists()


def test_states_set_no_attribute_of_what_is_allowed(tmp_path):
    # BUILD with a pair would call setattr in Python's unpickler, e.g. on the function that rebuilds tensors.
    defaults = b"\x8c\x0c__defaults__" + b")"
    body = named("torch._utils", "_rebuild_parameter") + b"N}" + defaults + b"s\x86b0}."
    path = tmp_path / "build.pkl"
    path.write_bytes(b"\x80\x04" + body)
    before = torch._utils._rebuild_parameter.__defaults__
    assert read_pickle(path) == {}
    assert torch._utils._rebuild_parameter.__defaults__ is before


def test_source_code_in_official_pickles_is_never_run(marker, tmp_path):
    meta = {"type": "class", "version": 6, "module_src": f"open({str(marker)!r}, 'w')", "class_name": "Generator"}
    body = pickle.dumps({**meta, "state": {"_parameters": {}}}, protocol=4)[2:-1]
    path = tmp_path / "network.pkl"
    path.write_bytes(raw(named("torch_utils.persistence", "_reconstruct_persistent_obj") + body + b"\x85R"))
    record = read_pickle(path)
    assert record.class_name == "Generator" and record.state == {"_parameters": {}}
    assert not marker.exists()


def test_plain_values_of_every_protocol_are_read_as_python_reads_them(tmp_path):
    # EasyDict, storages and persistent objects are covered by the golden pickle.
    value = {
        "numbers": [1, -1, 300, 70_000, 2**40, 1.5, np.float64(2.5), np.int32(-7)],
        "text": ("a", "ü", b"\x00\xff", bytearray(b"x")),
        "sets": [{1, 2}, None, True, False],
        "ordered": collections.OrderedDict(b=1, a=(2, (3, ()))),
    }
    for protocol in (2, 3, 4, 5):
        plain = {**value, "text": value["text"][:3]} if protocol < 5 else value
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps(plain, protocol=protocol))
        assert read_pickle(path) == plain


def test_a_tensor_is_no_larger_than_its_numbers(tmp_path):
    storage = storage_bytes(torch.zeros(2)._typed_storage())
    load = named("torch.storage", "_load_from_bytes") + b"B" + struct.pack("<I", len(storage)) + storage + b"\x85R"
    rebuild = named("torch._utils", "_rebuild_tensor_v2") + b"(" + load
    bomb = rebuild + b"K\x00J" + struct.pack("<i", 2**31 - 1) + b"\x85K\x00\x85\x89)tR"
    beyond = rebuild + b"K\x01K\x02\x85K\x01\x85\x89)tR"
    for body in (bomb, beyond):
        path = tmp_path / "bomb.pkl"
        path.write_bytes(raw(body))
        with pytest.raises(ValueError, match="larger than|out of bounds"):
            read_pickle(path)


DOUBLED = b")" + b"2\x86" * 40  # t = (t, t), forty times: nobody lives to see its hash or its text
DEEP = b")" + b"\x85" * 3_000_000  # the hash of ((((…)))) overflows the stack of the process


def record(state: bytes) -> bytes:
    meta = text("class_name") + text("G") + text("state") + state
    return named("torch_utils.persistence", "_reconstruct_persistent_obj") + b"}(" + meta + b"u\x85R"


def in_g_ema(value: bytes) -> bytes:
    return b"}" + text("G_ema") + value + b"s"


def hostile() -> dict[str, bytes]:
    """Small files whose reading would never end, end the process, or end in a traceback; by what is said instead."""
    array = named("numpy.core.multiarray", "_reconstruct") + b")R"
    kind = named("numpy", "dtype") + text("f4") + b"\x85R"
    doubled = record(b"}")
    for i in range(40):  # a module of twice the same module of twice the same module …
        inner = b"}(" + text("a") + f"g{i}\n".encode() + text("b") + f"g{i}\n".encode() + b"u"
        doubled += f"p{i}\n0".encode() + record(b"}" + text("_modules") + inner + b"s")
    itself = b"}p0\n0" + record(b"}" + text("_modules") + b"g0\ns") + b"p1\n0g0\n" + text("a") + b"g1\ns0g1\n"
    return {
        "nests tuples": b"}" + DOUBLED + b"K\x01s",
        "nests tuples ": b"}" + DEEP + b"K\x01s",
        "nests tuples  ": named("numpy", "dtype") + DOUBLED + b"\x85R",
        "nests tuples   ": DOUBLED + b"K\x01\x93",
        "a tuple as a key": b"})K\x01s",
        "a tuple as a key or in a set": b"\x8f()\x90",
        "a tuple as a key or in a set ": b"()\x91",
        "a tuple as a key or in a set  ": named("builtins", "set") + b"])a\x85R",
        "a tuple as a key ": named("collections", "OrderedDict") + b"])K\x01\x86a\x85R",
        "the type of a numpy array is a list": named("numpy", "dtype") + b"]\x85R",
        "the name of a module is a list": b"]" + text("a") + b"\x93",
        "the name of a function is a tuple": text("a") + b")\x93",
        "an encoding is a list": named("_codecs", "encode") + text("a") + b"]\x86R",
        "a byte order is a list": kind + b"(K\x03]tb",
        "a number in a shape is a tuple": array + b"(K\x01)\x85" + kind + b"\x89C\x00tb",
        "a tensor's storage is a NoneType": named("torch._utils", "_rebuild_tensor") + b"(NK\x00))tR",
        "the name of its network's class is a list": record(b"}").replace(text("G"), b"]"),
        "too many parts": in_g_ema(doubled),
        "does it hold itself": in_g_ema(itself),
        "'_modules' in its network": in_g_ema(record(b"}" + text("_modules") + b"]s")),
    }


def hostile_to_torch() -> dict[str, bytes]:
    """The first of them in each of the ways in which torch keeps a pickle."""
    bad, files = b"\x80\x02}" + DOUBLED + b"K\x01s.", {}
    for name in ("data.pkl", "DATA.PKL"):  # torch does not mind the case
        with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
            archive.writestr(f"archive/{name}", bad)
            archive.writestr("archive/version", "3\n")
        files[name] = file.getvalue()
    files["legacy"] = storage_bytes({}).replace(pickle.dumps({}, protocol=2), bad)
    stored = b"B" + struct.pack("<I", len(files["legacy"])) + files["legacy"]
    files["storage"] = raw(named("torch.storage", "_load_from_bytes") + stored + b"\x85R")
    return files


READER = """
import json, os, resource, sys
from zstar.checkpoints.io import load_generator_checkpoint
for path in sys.argv[1:]:
    if not (child := os.fork()):
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        try:
            load_generator_checkpoint(path)
        except BaseException as error:
            print(json.dumps([path, type(error).__name__, str(error)[:2000]]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, tuple[str, str]]:
    """What reading each hostile file raises, in processes that may hang or crash without harm to the tests."""
    folder, environment = tmp_path_factory.mktemp("hostile"), {**os.environ, "OMP_NUM_THREADS": "1"}
    files = {reason: raw(body) for reason, body in hostile().items()} | hostile_to_torch()
    paths = {str(folder / f"{i}.pkl"): reason for i, reason in enumerate(files)}
    for path, reason in paths.items():
        Path(path).write_bytes(files[reason])
    environment["PYTHONPATH"] = str(Path(zstar.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", READER, *paths], env=environment, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {paths[path]: (kind, said.replace(path, "PATH")) for path, kind, said in lines}


@pytest.mark.parametrize("reason", [*hostile(), *hostile_to_torch()])
def test_small_files_can_neither_hang_nor_crash(reason, answers):
    kind, said = answers.get(reason, ("nothing", "the process was killed"))
    expected = "nests tuples too deeply" if reason in hostile_to_torch() else reason.strip()
    assert kind == "ValueError" and expected in said and "PATH" in said and "\n" not in said, said


def test_what_torch_saves_still_comes_back(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"betas": (0.9, 0.99), "params": [0]}]}
    extras = {"size": torch.Size([1]), "type": torch.float16, "set": {1, "a"}, "count": collections.Counter("aab")}
    content = {"state_dict": network.state_dict(), "optimizer": optimizer, 3: (1, (2, (3,))), **extras}
    for zipped in (True, False):
        torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=zipped)
        back = load_weights(tmp_path / "c.pt")
        assert back.keys() == network.state_dict().keys()
        assert all(torch.equal(back[name], value) for name, value in network.state_dict().items())


def test_feature_networks_are_read_by_the_same_reader(marker, tmp_path):
    key, wanted = "loss.vgg19.network.checkpoint", "VGG-19's weights"
    save_weights(tmp_path / "a.safetensors", {"0.weight": torch.ones(2)}, {})
    torch.save({"state_dict": {"0.weight": torch.ones(2)}}, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        assert torch.equal(read_state(str(tmp_path / name), key, wanted)["0.weight"], torch.ones(2))
    torch.save({"0.weight": Reduce(os.system, f"touch {marker}")}, tmp_path / "bad.pth")
    (tmp_path / "bad.pkl").write_bytes(attacks(marker)["posix.system"])
    for name, reason in {
        "bad.pth": r"posix\.system",
        "bad.pkl": r"posix\.system",
        "none.pth": "there is no file",
    }.items():
        with pytest.raises(ValueError, match=rf"^{key}: .*{reason}.*set .*{wanted}") as caught:
            read_state(str(tmp_path / name), key, wanted)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=f"^{key}: no file is given; set {key}=<path> to {wanted}"):
        read_state(None, key, wanted)
    assert not marker.exists()


def test_lpips_reads_its_backbone_from_safetensors(tmp_path):
    random = LPIPS("squeeze", pnet_rand=True)
    state = {"features." + name.split(".", 1)[1]: value + 0.01 for name, value in random.trunk.state_dict().items()}
    save_weights(tmp_path / "squeeze.safetensors", state, {})
    loss = LPIPS("squeeze", backbone=str(tmp_path / "squeeze.safetensors"))
    name = next(iter(random.trunk.state_dict()))
    torch.testing.assert_close(loss.trunk.state_dict()[name], random.trunk.state_dict()[name] + 0.01)


def test_torch_is_new_enough_to_read_strangers_files():
    # Before 2.6 weights_only could be made to run code, before 2.10 to write where it should not.
    listed = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    lower = {name: tuple(map(int, found.split("."))) for name, found in re.findall(r'"(torch\w*)>=([\d.]+)"', listed)}
    assert lower["torch"] >= (2, 10) and lower["torchvision"] >= (0, 25)


def test_tensorflow_networks_get_their_own_sentence(tmp_path):
    path = tmp_path / "stylegan2-ffhq.pkl"
    path.write_bytes(raw(named("dnnlib.tflib.network", "Network") + b")\x81"))
    with pytest.raises(ValueError, match="TensorFlow"):
        load_weights(path)


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy", "pickle", "text", "empty", "image", "absent"])
def test_damaged_and_wrong_files_get_one_sentence_with_their_path(kind, tmp_path, shared):
    path = tmp_path / "file.pkl"
    tensors = {"a": torch.zeros(100)}
    if kind == "safetensors":
        save_weights(tmp_path / "whole.safetensors", tensors, {})
        path.write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-50])
    elif kind in ("zip", "legacy"):
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "zip")
        path.write_bytes(path.read_bytes()[:-50])
    elif kind == "pickle":
        path.write_bytes((shared / "golden/stylegan2_ada_64/network.pkl").read_bytes()[:500_000])
    elif kind != "absent":
        path.write_bytes({"text": b"no weights at all\n", "empty": b"", "image": b"\x89PNG\r\n\x1a\n\x00\x00"}[kind])
    with pytest.raises(ValueError, match="^checkpoint: ") as caught:
        load_generator_checkpoint(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_state_dicts_are_found_in_checkpoints(tmp_path):
    first, second = {"a": torch.zeros(2)}, {"b": torch.ones(3)}
    path = tmp_path / "model.pt"
    torch.save({"discriminator": first, "g_ema": second, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, path)
    assert set(load_weights(path)) == {"b"}
    assert set(load_weights(path, "discriminator")) == {"a"}
    with pytest.raises(ValueError, match="'encoder'.*discriminator, g_ema"):
        load_weights(path, "encoder")
    torch.save({"net_state_dict": {f"module.{name}": value for name, value in second.items()}}, path)
    assert set(load_weights(path)) == {"b"}
    torch.save({"one": first, "two": second}, path)
    with pytest.raises(ValueError, match="one, two"):
        load_weights(path)


def test_weights_and_card_come_back(tmp_path):
    shared_memory = torch.arange(6.0).reshape(2, 3)
    tensors = {"a": shared_memory, "b": shared_memory.T, "c": torch.tensor(3, dtype=torch.int64)}
    save_weights(tmp_path / "deep" / "w.safetensors", tensors, {"kind": "test", "scores": {"x": 1.5}})
    back = load_weights(tmp_path / "deep" / "w.safetensors")
    assert all(torch.equal(back[name], value) for name, value in tensors.items())
    assert read_card(tmp_path / "deep" / "w.safetensors") == {"kind": "test", "scores": {"x": 1.5}}
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["w.json", "w.safetensors"]
    assert read_card(tmp_path / "none.safetensors") == {}


def test_names_of_shipped_weights(tmp_path):
    with pytest.raises(ValueError, match="'nonsense'.*shipped are"):
        resolve("nonsense")
    (tmp_path / "file.pt").write_bytes(b"x")
    assert resolve(tmp_path / "file.pt") == tmp_path / "file.pt"
    folder = Path(zstar.__file__).parent / "weights"
    assert all(shipped(path.stem) == resolve(path.stem) == path for path in folder.glob("*.safetensors"))


def test_what_does_not_fit_a_network_is_named():
    network = torch.nn.Linear(2, 3)
    good = dict(network.state_dict())
    with pytest.raises(ValueError, match="f.pt lacks 'bias'"):
        load_into(network, {"weight": good["weight"]}, "f.pt")
    with pytest.raises(ValueError, match=r"'bias' is \(4,\) in f.pt, but \(3,\) in Linear"):
        load_into(network, good | {"bias": torch.zeros(4)}, "f.pt")
    with pytest.raises(ValueError, match="f.pt has 'extra', which Linear has not"):
        load_into(network, good | {"extra": torch.zeros(4)}, "f.pt")


def test_another_network_is_no_stylegan2(tmp_path):
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "linear.pt")
    with pytest.raises(ValueError, match="synthesis.b4.const.*generator=module"):
        StyleGAN2(checkpoint=str(tmp_path / "linear.pt"))


def test_conversion_of_an_official_pickle(tmp_path, shared, capsys):
    golden = shared / "golden/stylegan2_ada_64"
    convert([str(golden / "network.pkl"), str(tmp_path / "g.safetensors")])
    assert "StyleGAN2" in capsys.readouterr().out
    ours, official = load_file(tmp_path / "g.safetensors"), load_file(golden / "weights.safetensors")
    assert ours.keys() == official.keys() and all(torch.equal(ours[name], official[name]) for name in ours)
    card = read_card(tmp_path / "g.safetensors")
    assert card["network"] == "StyleGAN2" and card["settings"] == {"conv_clamp": None, "mapping_lr_multiplier": 0.01}
    with pytest.raises(SystemExit):
        convert([str(tmp_path / "absent.pkl"), str(tmp_path / "h.safetensors")])
    assert "absent.pkl" in capsys.readouterr().err and not (tmp_path / "h.safetensors").exists()


def test_settings_on_a_card_survive(tmp_path):
    network = StyleGAN2(resolution=8, z_dim=4, w_dim=4, channel_max=4, conv_clamp=0.5, mapping_lr_multiplier=0.1)
    save_weights(tmp_path / "g.safetensors", network.state_dict(), {"settings": network.settings})
    again = StyleGAN2(checkpoint=str(tmp_path / "g.safetensors"))
    assert again.settings == network.settings and again.fingerprint() == network.fingerprint()
    z = torch.randn(2, 4)
    assert torch.equal(again.synthesize(z, "z"), network.synthesize(z, "z"))


BAD_CARDS = {
    "holds a list": [1],
    "settings is a list": {"settings": [1]},
    "settings is a str": {"settings": "x"},
    "settings.widths is not": {"settings": {"widths": 3}},
    "settings.c_dim is not": {"settings": {"c_dim": "z"}},
    "settings.mapping_lr_multiplier is None": {"settings": {"mapping_lr_multiplier": None}},
    "settings.mapping_lr_multiplier is True": {"settings": {"mapping_lr_multiplier": True}},
    "settings.conv_clamp is 'a'": {"settings": {"conv_clamp": "a"}},
    "settings.conv_clamp is a list": {"settings": {"conv_clamp": [1]}},
    "settings.conv_clamp is nan": {"settings": {"conv_clamp": float("nan")}},
}


@pytest.mark.parametrize("reason", BAD_CARDS)
def test_a_bad_card_gets_one_sentence_with_its_path(reason, tmp_path):
    network = StyleGAN2(resolution=8, z_dim=4, w_dim=4, channel_max=4)
    save_weights(tmp_path / "g.safetensors", network.state_dict(), {})
    (tmp_path / "g.json").write_text(json.dumps(BAD_CARDS[reason]))
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        StyleGAN2(checkpoint=str(tmp_path / "g.safetensors"))
    assert str(tmp_path / "g.json") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ({"mapping_kwargs": [1]}, "'mapping_kwargs' in its network is no mapping"),
        ({"mapping_kwargs": {"lr_multiplier": "a"}}, "settings.mapping_lr_multiplier is 'a'"),
        ({"synthesis_kwargs": {"conv_clamp": [1]}}, "settings.conv_clamp is a list"),
        ({"synthesis_kwargs": {"activation": [1]}}, "the activation a list is unknown"),
        ({"synthesis_kwargs": {"activation": "relu"}}, "the activation 'relu' is unknown"),
    ],
)
def test_arguments_in_a_pickle_are_checked_like_a_card(arguments, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        record_settings(PickledObject("Generator", {"_init_kwargs": arguments}))


def test_a_card_that_is_too_deep_is_named(tmp_path):
    (tmp_path / "g.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="g.json is no JSON"):
        read_card(tmp_path / "g.safetensors")


@pytest.mark.parametrize(
    "name, shape",
    [("synthesis.b4.conv1.weight", (9, 4, 3, 3)), ("synthesis.b8.conv1.noise_const", (1, 1)), ("mapping.w_avg", ())],
)
def test_tensors_that_claim_another_size_are_named(name, shape, tmp_path):
    weights = StyleGAN2(resolution=8, z_dim=4, w_dim=4, channel_max=4).state_dict()
    save_weights(tmp_path / "g.safetensors", weights | {name: torch.zeros(shape)}, {})
    with pytest.raises(ValueError, match="g.safetensors holds no StyleGAN2"):
        StyleGAN2(checkpoint=str(tmp_path / "g.safetensors"))


# --- rosinality/stylegan2-pytorch -------------------------------------------------------------------------------------


def rosinality_weights(size: int = 16, dim: int = 6, depth: int = 2) -> dict[str, torch.Tensor]:
    """Random weights under the names and in the shapes of rosinality's generator; no two layers of one width."""
    channels = {4: 5, 8: 4, 16: 3}
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps) / 64 * 4
    weights = {"input.input": torch.randn(1, 5, 4, 4)}
    for i in range(1, depth + 1):
        weights |= {f"style.{i}.weight": torch.randn(dim, dim) * 100, f"style.{i}.bias": torch.randn(dim)}

    def modulated(name: str, inputs: int, outputs: int, k: int) -> None:
        weights[f"{name}.conv.weight"] = torch.randn(1, outputs, inputs, k, k)
        weights[f"{name}.conv.modulation.weight"] = torch.randn(inputs, dim)
        weights[f"{name}.conv.modulation.bias"] = 1 + torch.randn(inputs) / 4
        if k == 3:
            weights[f"{name}.noise.weight"] = torch.randn(1)
            weights[f"{name}.activate.bias"] = torch.randn(outputs)
        else:
            weights[f"{name}.bias"] = torch.randn(1, 3, 1, 1)

    modulated("conv1", 5, 5, 3)
    modulated("to_rgb1", 5, 3, 1)
    weights["noises.noise_0"] = torch.randn(1, 1, 4, 4)
    for i in range(int(math.log2(size)) - 2):
        inputs, outputs = channels[4 * 2**i], channels[8 * 2**i]
        modulated(f"convs.{2 * i}", inputs, outputs, 3)
        modulated(f"convs.{2 * i + 1}", outputs, outputs, 3)
        modulated(f"to_rgbs.{i}", outputs, 3, 1)
        weights |= {f"convs.{2 * i}.conv.blur.kernel": kernel, f"to_rgbs.{i}.upsample.kernel": kernel}
        for j in (1, 2):
            weights[f"noises.noise_{2 * i + j}"] = torch.randn(1, 1, 8 * 2**i, 8 * 2**i)
    return weights


def rosinality_image(weights: dict[str, torch.Tensor], z: torch.Tensor) -> torch.Tensor:
    """What rosinality's network draws: weights modulated for each image, plain convolutions, one image at a time."""
    w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
    for i in range(1, sum(name.startswith("style.") for name in weights) // 2 + 1):
        weight, bias = weights[f"style.{i}.weight"], weights[f"style.{i}.bias"]
        w = F.leaky_relu(F.linear(w, weight / math.sqrt(weight.shape[1]) * 0.01) + bias * 0.01, 0.2) * 2**0.5

    def blur(x: torch.Tensor, kernel: torch.Tensor, before: int, after: int) -> torch.Tensor:
        x = F.pad(x, (before, after, before, after))
        return F.conv2d(x, kernel.flip(0, 1).expand(x.shape[1], 1, 4, 4), groups=x.shape[1])

    def modulated(x: torch.Tensor, name: str, row: torch.Tensor, up: bool) -> torch.Tensor:
        weight = weights[f"{name}.weight"][0]
        dense, bias = weights[f"{name}.modulation.weight"], weights[f"{name}.modulation.bias"]
        style = F.linear(row, dense / math.sqrt(dense.shape[1]), bias)
        weight = weight / math.sqrt(weight[0].numel()) * style[0][None, :, None, None]
        if weight.shape[-1] == 1:
            return F.conv2d(x, weight)
        weight = weight * (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        if up:
            return blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), weights[f"{name}.blur.kernel"], 1, 1)
        return F.conv2d(x, weight, padding=1)

    def styled(x: torch.Tensor, name: str, row: torch.Tensor, noise: int, up: bool = False) -> torch.Tensor:
        x = modulated(x, f"{name}.conv", row, up)
        x = x + weights[f"{name}.noise.weight"] * weights[f"noises.noise_{noise}"]
        return F.leaky_relu(x + weights[f"{name}.activate.bias"][None, :, None, None], 0.2) * 2**0.5

    def rgb(x: torch.Tensor, name: str, row: torch.Tensor, image: torch.Tensor | None) -> torch.Tensor:
        y = modulated(x, f"{name}.conv", row, False) + weights[f"{name}.bias"]
        if image is None:
            return y
        stuffed = torch.zeros(1, 3, 2 * image.shape[2], 2 * image.shape[3])
        stuffed[:, :, ::2, ::2] = image
        return y + blur(stuffed, weights[f"{name}.upsample.kernel"], 2, 1)

    images = []
    for row in w.split(1):
        x = styled(weights["input.input"], "conv1", row, 0)
        image = rgb(x, "to_rgb1", row, None)
        for i in range(sum(name.startswith("to_rgbs.") and name.endswith(".bias") for name in weights) // 2):
            x = styled(x, f"convs.{2 * i}", row, 2 * i + 1, up=True)
            x = styled(x, f"convs.{2 * i + 1}", row, 2 * i + 2)
            image = rgb(x, f"to_rgbs.{i}", row, image)
        images.append(image)
    return torch.cat(images)


def test_rosinality_weights_draw_the_same_images(tmp_path):
    weights = rosinality_weights()
    path = tmp_path / "550000.pt"
    torch.save({"g": {}, "g_ema": weights, "args": argparse.Namespace(size=16), "ada_aug_p": 0.0}, path)
    network = StyleGAN2(checkpoint=str(path))
    assert (network.resolution, network.z_dim, network.num_ws) == (16, 6, 6)
    z = torch.randn(3, 6)
    expected = rosinality_image(weights, z)
    assert expected.shape == (3, 3, 16, 16) and expected.std() > 0.1
    assert (network.synthesize(z, "z") - expected).abs().max() < 1e-4 * expected.abs().max()
    # The file does not say where the mean of w is, so it is measured.
    many = network.lift(torch.randn(20_000, 6), "z", "w")
    assert (network.w_avg - many.mean(0)).abs().max() < 0.05 * many.std()
    torch.save({"g_ema": weights, "latent_avg": torch.arange(6.0)}, path)
    assert torch.equal(StyleGAN2(checkpoint=str(path)).w_avg, torch.arange(6.0))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_generators_of_any_precision_draw_in_single(kind: torch.dtype, tmp_path: Path, tiny: StyleGAN2) -> None:
    theirs = {name: value.to(kind) for name, value in rosinality_weights().items()}
    torch.save({"g_ema": theirs, "latent_avg": torch.arange(6.0).to(kind)}, tmp_path / "theirs.pt")
    torch.save({"g_ema": theirs}, tmp_path / "averaged.pt")
    torch.save({name: value.to(kind) for name, value in tiny.state_dict().items()}, tmp_path / "official.pt")
    for name in ("theirs", "averaged", "official"):
        generator = StyleGAN2(checkpoint=str(tmp_path / f"{name}.pt"))
        image = generator.synthesize(generator.sample(1, torch.Generator()), "z")
        assert image.dtype == generator.w_avg.dtype == torch.float32 and image.isfinite().all()


def test_a_fingerprint_follows_every_change_of_the_weights(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    seen = [fingerprint(network)]
    assert fingerprint(network) == seen[0]
    with torch.no_grad():
        network[0].weight.mul_(2)
    seen.append(fingerprint(network))
    network.load_state_dict({name: value + 1 for name, value in network.state_dict().items()})
    seen.append(fingerprint(network))
    network[0].bias = nn.Parameter(torch.zeros(3))
    seen.append(fingerprint(network))
    network(torch.randn(4, 2))  # which moves the running statistics
    seen.append(fingerprint(network))
    seen.append(fingerprint(network.bfloat16()))
    network[1] = nn.Identity()
    seen.append(fingerprint(network))
    assert len(set(seen)) == len(seen)
    assert fingerprint(copy.deepcopy(network)) == seen[-1]

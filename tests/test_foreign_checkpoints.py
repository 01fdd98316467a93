"""Files that others wrote: what they say of themselves is heeded, and what they can't be is named."""

import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from zstar.checkpoints.io import load_weights

# --- memory -----------------------------------------------------------------------------------------------------------


def compressed(path: Path) -> None:
    """What ``torch.save`` wrote, packed again with compression."""
    torch.save({"g_ema": {"a": torch.zeros(2**20)}}, path.with_suffix(".whole"))
    with zipfile.ZipFile(path.with_suffix(".whole")) as whole, zipfile.ZipFile(path, "w") as small:
        for entry in whole.infolist():
            small.writestr(entry.filename, whole.read(entry), compress_type=zipfile.ZIP_DEFLATED)


def repeated(path: Path) -> None:
    """One pickled tensor under so many names that copies of them would take gigabytes."""
    buffer = path.with_suffix(".storage")
    torch.save(torch.zeros(2**20)._typed_storage(), buffer, _use_new_zipfile_serialization=False)
    stored = buffer.read_bytes()
    load = b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(stored)) + stored + b"\x85Rp0\n0"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(g0\nK\x00J" + struct.pack("<i", 2**20) + b"\x85K\x01\x85\x89)tR"
    path.write_bytes(b"\x80\x04" + load + b"](" + tensor * 1000 + b"e.")


BOMBS = {
    "compressed": compressed,
    "larger than the file by far": lambda path: torch.save({"a": torch.zeros(1).expand(10, 10**9)}, path),
    "larger than the file by far ": lambda path: torch.save(
        {"a": torch.zeros(1).expand(10, 10**9)}, path, _use_new_zipfile_serialization=False
    ),
    "larger than the file by far  ": lambda path: torch.save(
        {str(i): whole for i, whole in enumerate([torch.zeros(2**20)] * 1000)}, path
    ),
    "larger than the file by far   ": repeated,
    "bytes that are not in the file": lambda path: path.write_bytes(calling("builtins", "bytearray", 10**10)),
    "makes numbers that are not in the file": lambda path: path.write_bytes(calling("torch", "FloatTensor", 10**10)),
    "of a kind that no weights are of": lambda path: torch.save({"a": torch.eye(3).to_sparse()}, path),
}


def calling(module: str, name: str, argument: int) -> bytes:
    """A file in torch's older format that calls a function which its reader allows."""
    buffer = pickle.dumps(argument, protocol=2)[2:-1]
    head = b"".join(pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, {}))
    return head + b"\x80\x02c" + f"{module}\n{name}\n".encode() + buffer + b"\x85R."


@pytest.mark.parametrize("reason", BOMBS)
def test_a_small_file_cannot_fill_the_memory(reason: str, tmp_path: Path) -> None:
    path = tmp_path / "small.pt"
    BOMBS[reason](path)
    with pytest.raises(ValueError, match=reason.strip()) as caught:
        load_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_tensors_that_share_their_numbers_are_read(tmp_path: Path) -> None:
    tied = torch.randn(2**18)
    content = {"a": tied, "b": tied, "c": tied.view(2, -1).T, "d": torch.ones(1).expand(1000)}
    for zipped in (True, False):
        torch.save(content, tmp_path / "tied.pt", _use_new_zipfile_serialization=zipped)
        back = load_weights(tmp_path / "tied.pt")
        assert all(torch.equal(back[name], value) for name, value in content.items())

"""Files that are often taken for weights of a generator and are none, each with what it is and what to do."""

import re
import zipfile
from pathlib import Path

HEADS = {
    rb"\x89HDF\r\n\x1a\n": "it is an HDF5 file, as Keras writes them; generator=module reads it for your own class",
    rb"version https://git-lfs": "it is a git-LFS pointer and not the file itself; run `git lfs pull` there",
    rb"\s*<(!doctype|html|\?xml)": "it is a web page and not the file; download it again, past what the page asks",
    rb"\x93NUMPY": "it is one array of numpy; weights are several tensors with names",
    rb"\x1f\x8b": "it is compressed by gzip; unpack it first",
}
ARCHIVES = {
    r"(.*/)?constants\.pkl": "it is a TorchScript program; load it with torch.jit.load and save its state_dict()",
    r".*\.npy": "it is an archive of numpy arrays (.npz); save them with torch.save or as safetensors",
}
OTHER_ARCHIVE = "it is a zip archive of other files; unpack it and give the file of weights in it"
LONGEST_HEAD = 64


def what_it_is(path: Path) -> str | None:
    """What a file is instead of weights, by its first bytes or, of a zip archive, by its names; half a sentence."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEAD)
    for pattern, words in HEADS.items():
        if re.match(pattern, head, re.IGNORECASE):
            return words
    if not head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return None  # whoever reads it says that it is damaged
    for pattern, words in ARCHIVES.items():
        if any(re.fullmatch(pattern, name) for name in names):
            return words
    whole = any(name.lower().rpartition("/")[2] == "data.pkl" for name in names)
    return None if whole else OTHER_ARCHIVE

"""README's commands, all of them, in the order in which they are printed.

    python experiments/readme.py                 # each made small by more words at its end: ten minutes on two cores
    python experiments/readme.py --as-printed    # nothing added: trainings of networks take days
    python experiments/readme.py --only rows     # those in which these letters occur

They run in a folder of their own, ``outputs/readme``, where pictures and networks lie under the names that README has
for those of a reader: rendered cottages are the photos, with a table of landmarks where faces are wanted, the shipped
generator is ``network.pkl``, and small networks of random weights are the other generators. Lines of ``make`` and
``pip`` are left to those who set up an environment, and those of ``paint.py``, which serves until it is ended, to its
own tests. Ends with exit code 1 if a command does.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import get_model
from torchvision.utils import save_image

from zstar.checkpoints.io import card_path, load_weights, shipped
from zstar.config.build import build
from zstar.data.cottages import Cottages
from zstar.data.landmarks import landmarks_table
from zstar.detectors.base import Face
from zstar.generators.adversarial import AbstractAdversarial
from zstar.runs.folder import write_json, write_text
from zstar.stats.streams import seed_global, stream

ROOT = Path(__file__).parents[1]
PROGRAMS = ("invert.py", "edit.py", "train.py", "dissect.py")
COUNT = 12  # photos
QUIET = ["logger=none"]
FEW = ["data.count=3", "steps=2"]
SMALL = {
    "invert.py": [*FEW, *QUIET],
    "edit.py": ["data.count=6", "steps=2", *QUIET, "frames=2", "measured=2"],
    "train.py": [*QUIET, "task.steps=2", "task.batch=4", "validation.count=4", "callbacks.samples_every=0"],
    "dissect.py": ["samples=16", *QUIET],
    "zstar.tune": ["steps=2"],
}

FAMILIES = {  # files of other generators, as README calls them: small networks of random weights
    "conditional.pkl": (
        "stylegan2.StyleGAN2",
        {"z_dim": 32, "w_dim": 32, "c_dim": 3, "label": 0, "num_mapping_layers": 2, "channel_max": 16},
    ),
    "netG.pth": ("dcgan.DCGAN", {"width": 8}),
    "pggan.pth": ("pggan.PGGAN", {"z_dim": 16, "channel_max": 16}),
    "stylegan_ffhq.pth": ("stylegan.StyleGAN", {"z_dim": 16, "w_dim": 16, "channel_max": 16}),
    "stylegan3.pkl": ("stylegan3.StyleGAN3", {"z_dim": 16, "w_dim": 16, "channel_max": 16, "num_layers": 4}),
    "G_ema.pth": ("biggan.BigGAN", {"width": 4, "z_dim": 30, "classes": 3, "label": "all"}),
    "pytorch_model.bin": ("biggan_deep.BigGANDeep", {"width": 4, "z_dim": 16, "classes": 3, "label": "all"}),
    "vae.pth": ("vae.VAE", {"z_dim": 16, "widths": [8, 8, 16]}),
    "vqvae.pt": ("vqvae2.VQVAE2", {"width": 16, "num_blocks": 1, "inner": 8, "embed_dim": 8, "num_codes": 32}),
    "glow.pt": ("glow.Glow", {"num_blocks": 2, "num_flows": 2, "width": 16}),
    "realnvp.pth": ("realnvp.RealNVP", {"num_scales": 2, "width": 8, "num_blocks": 1}),
}


def commands(page: str) -> list[str]:
    """The lines of a page's code blocks that start a program, with continued lines joined."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r" *\\\n *", " ", block).splitlines()]
    return [line for line in lines if re.match(r"(\w+=\S+ )*python (?!paint\.py)", line)]


def shrink(line: str) -> list[str]:
    """The words of a command, and more of them that make it a matter of seconds."""
    words = shlex.split(line, comments=True)
    program = next((word for word in words if word in SMALL), None)
    if program is None:  # small as it is
        return words
    words = [re.sub(r"^protocol=cottages$", "protocol=cottages_small", word) for word in words]
    if "--trials" in words:
        words[words.index("--trials") + 1] = "1"
    extra = list(SMALL[program])
    if any(word.startswith(("method=", "protocol=")) for word in words):  # their steps are their own
        extra = ["data.count=3", "budget.evaluations=48", *QUIET]  # basin_cma takes 41
    if "protocol=cottages_small" in words:  # has its own count, seeds and budgets
        extra = QUIET
    if "data=faces" in words:  # cottages have none
        extra = [*extra, "data.landmarks=points.csv", "data.detector=null"]
    if any(word.startswith("start=outputs") for word in words):  # goes on where two steps are done
        extra = [word.replace("task.steps=2", "task.steps=4") for word in extra]
    keys = {word.partition("=")[0] for word in extra}
    return [word for word in words if word.partition("=")[0] not in keys] + extra


def prepare(folder: Path) -> None:
    """Programs, pictures, networks and tables, under the names that README has for them."""
    folder.mkdir(parents=True)
    for name in PROGRAMS:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "experiments").mkdir()
    shutil.copytree(ROOT / "experiments" / "style", folder / "experiments" / "style")
    pictures(folder)
    networks(folder)
    tables(folder)


def pictures(folder: Path) -> None:
    """Folders of photos and what lies beside them, and a painting."""
    images = Cottages(count=COUNT, split="test").read(range(COUNT))
    for name in ("photos", "cats", "masks", "sources", "before", "after", "paintings", "maps"):
        (folder / name).mkdir()
        for place, image in enumerate(images.images[: 4 if name == "paintings" else None]):
            picture = torch.ones_like(image) if name == "masks" else image
            picture[:, 40:, 40:] = -1 if name == "masks" else picture[:, 40:, 40:]
            save_image(picture, folder / name / f"{place:03d}.png", normalize=True, value_range=(-1, 1))
    Image.open(ROOT / "experiments" / "style" / "swirls.png").save(folder / "painting.jpg")


def networks(folder: Path) -> None:
    """The shipped generator, and small networks of random weights in the place of a reader's."""
    weights = shipped("cottages64")
    for name in ("network", "ffhq"):
        torch.save(load_weights(weights), folder / f"{name}.pkl")
        shutil.copy(card_path(weights), folder / f"{name}.json")
    seed_global("weights of networks of a reader", 0)
    for name, (kind, settings) in FAMILIES.items():
        generator = build({"_target_": f"zstar.generators.{kind}", "resolution": 64, **settings})
        adversarial = isinstance(generator, AbstractAdversarial)
        torch.save(dict((generator if adversarial else generator.network).state_dict()), folder / name)
        card = {"kind": "generator", "settings": dict(generator.settings) if adversarial else {"resolution": 64}}
        write_json((folder / name).with_suffix(".json"), card)
    sys.path.insert(0, str(ROOT / "examples" / "grumpy"))
    from grumpy_dcgan import Generator

    torch.save(Generator().state_dict(), folder / "G_iter6400.pkl")
    segmenter = get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=21)
    torch.save(segmenter.state_dict(), folder / "lraspp.pth")
    body = get_model("vgg19", weights=None).features.state_dict()
    torch.save({f"features.{name}": value for name, value in body.items()}, folder / "vgg19.pth")


def tables(folder: Path) -> None:
    """Classes and landmarks of the photos, strokes on them, and a boundary."""
    names = [f"{place:03d}" for place in range(COUNT)]
    rows = [f"{name},{int(name) % 3}" for name in names]
    write_text(folder / "classes.csv", "\n".join(["image,class", *rows]) + "\n")
    points = np.array([[20, 26], [44, 26], [32, 36], [24, 46], [40, 46]], dtype=float)  # eyes, nose, mouth
    write_text(folder / "points.csv", landmarks_table((name, [Face(points, 1.0)]) for name in names))
    (folder / "strokes").mkdir()
    roof = Image.new("RGBA", (64, 64))
    roof.paste((200, 60, 40, 255), (20, 20, 44, 28))
    roof.save(folder / "strokes" / "roof.png")
    point = {"kind": "point", "size": [64, 64], "from": [32, 40], "to": [36, 40]}
    layers = [{"kind": "color", "file": "roof.png"}, point]
    write_json(folder / "strokes" / "strokes.json", {"kind": "layers", "version": 1, "layers": layers})
    np.save(folder / "smile_boundary.npy", torch.randn(1, 128, generator=stream("a boundary", 0)).numpy())


def project(folder: Path) -> None:
    """The finished runs that README calls ``my_run`` and ``my_faces``."""
    for name, words in (("my_run", []), ("my_faces", ["generator=stylegan2", "generator.checkpoint=ffhq.pkl"])):
        more = ["space=w", "projector=[mean,optimization]", "loss=[pixel]", f"name={name}", *FEW, *QUIET]
        subprocess.run([sys.executable, "invert.py", *words, *more], cwd=folder, check=True, capture_output=True)
        (run,) = (folder / "outputs" / "invert").glob(f"{name}_*")
        (run.parent / name).symlink_to(run.name)


def run(words: list[str], folder: Path) -> tuple[int, float, str]:
    """The exit code of a command, its seconds, and the last line that it has printed."""
    began = time.monotonic()
    settings = [word for word in words[: words.index("python")]]
    command = ["env", *settings, sys.executable, *words[words.index("python") + 1 :]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    lines = (done.stderr if done.returncode else done.stdout or done.stderr).strip().splitlines()
    return done.returncode, time.monotonic() - began, lines[-1] if lines else ""


def main() -> int:
    """Run them all; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-printed", action="store_true", help="add nothing")
    parser.add_argument("--only", default="", help="letters that a command has to have")
    parser.add_argument("--folder", type=Path, default=ROOT / "outputs" / "readme", help="is made anew")
    asked = parser.parse_args()
    folder = asked.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    prepare(folder)
    project(folder)
    failed = 0
    for line in commands((ROOT / "README.md").read_text(encoding="utf-8")):
        if asked.only in line:
            words = shlex.split(line, comments=True) if asked.as_printed else shrink(line)
            code, seconds, last = run(words, folder)
            failed += code != 0
            print(f"{code:3d} {seconds:6.1f} s  {line.partition('  #')[0].strip()}\n{'':14s}{last[:160]}", flush=True)
    print(f"{failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

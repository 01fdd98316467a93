"""The launchers that others wrote carry a sweep to other processes and machines: each cell once, all heard of."""

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COUNTED = '''
"""Cottages that write a line, with the place where they are, whenever they are read."""
import os
from pathlib import Path
from zstar.data.base import AbstractData
from zstar.data.cottages import Cottages


def place():
    if "RAY_JOB_ID" not in os.environ:
        return "here"
    import ray
    return ray.get_runtime_context().get_node_id()


class Counted(AbstractData):
    def __init__(self, log: str, seed: int):
        if seed == 3:
            raise ValueError("data.seed: 3 is bad luck; choose another")
        self.log, self.seed, self.inner = Path(log), seed, Cottages(2, seed=seed)

    def __len__(self):
        return len(self.inner)

    def read(self, indices):
        with self.log.open("a") as file:
            file.write(f"{self.seed} {place()}\\n")
        return self.inner.read(indices)

    def split(self, count):
        return self, None

    def fingerprint(self):
        return self.inner.fingerprint()
'''
CLUSTER = """
import subprocess, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000})
cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
cluster.wait_for_nodes()
try:
    done = subprocess.run([*sys.argv[1:], f"hydra.launcher.ray.init.address={cluster.address}"])
finally:
    cluster.shutdown()
raise SystemExit(done.returncode)
"""


def sweep(folder: Path, launcher: list[str], before: list[str]) -> subprocess.CompletedProcess:
    """A sweep of four cells, of which one fails, with a launcher."""
    (folder / "counted.py").write_text(COUNTED)
    (folder / "conf" / "data").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "data" / "counted.yaml").write_text(f"_target_: counted.Counted\nlog: {folder}/log\nseed: 0\n")
    words = ["-m", "--config-dir", str(folder / "conf"), "data=counted", "data.seed=range(0,4)", "steps=1"]
    words += ["loss=[pixel]", "metric=[mse]", "projector=[mean]", "space.prior_samples=10", "logger=none", "device=cpu"]
    path = os.pathsep.join([str(ROOT / "src"), str(folder)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [*before, sys.executable, str(ROOT / "invert.py"), *words, *launcher]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joblib", "submitit_local", "ray_cluster"])
def test_a_launcher_does_each_cell_once_and_all_are_heard_of(name: str, tmp_path: Path) -> None:
    package = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher"}.get(name, "ray")
    if importlib.util.find_spec(package if package == "ray" else f"hydra_plugins.{package}") is None:
        pytest.skip(f"needs {package}, an extra of its own: pip install 'zstar[joblib,slurm,ray]'")
    launcher = [f"hydra/launcher={name}", *(["hydra.launcher.n_jobs=2"] if name == "joblib" else [])]
    before = [sys.executable, "-c", CLUSTER] if name == "ray_cluster" else []
    done = sweep(tmp_path, launcher, before)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "sweep: 4 cells: 3 done, 1 failed\n" in done.stdout
    assert "failed: data.seed=3: data.seed: 3 is bad luck; choose another" in done.stdout
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert Counter(seed for seed, _ in lines) == {"0": 1, "1": 1, "2": 1}
    if name == "ray_cluster":
        assert len({node for _, node in lines}) == 2
    assert len(list(tmp_path.glob("outputs/invert/*/result.json"))) == 3
    assert len(list(tmp_path.glob("outputs/invert/failed/*.json"))) == 1

    again = sweep(tmp_path, launcher, before)
    assert "sweep: 4 cells: 3 finished before, 1 failed\n" in again.stdout and again.returncode == 1
    assert len((tmp_path / "log").read_text().splitlines()) == 3


def test_launchers_of_our_own_have_settings_that_the_plugins_take() -> None:
    """Only reading: what they name is an extra that may be absent."""
    yaml = pytest.importorskip("yaml")
    for path in (ROOT / "conf" / "hydra" / "launcher").glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        module, _, name = content["_target_"].rpartition(".")
        assert module.startswith("hydra_plugins.")
        parts = module.split(".")
        parents = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        if all(importlib.util.find_spec(parent) for parent in parents):
            launcher = getattr(importlib.import_module(module), name)
            launcher(**{key: value for key, value in content.items() if key != "_target_"})


def test_the_example_of_a_sweep_of_weights_and_biases_names_keys_that_exist() -> None:
    yaml = pytest.importorskip("yaml")
    from hydra import compose, initialize_config_dir

    content = yaml.safe_load((ROOT / "experiments" / "sweeps" / "wandb.yaml").read_text())
    assert content["command"][-1] == "${args_no_hyphens}" and content["metric"]["name"] == "psnr/mean"
    values = {
        key: (one.get("values") or [one.get("value", one.get("min"))]) for key, one in content["parameters"].items()
    }
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        for place in range(max(map(len, values.values()))):
            compose("invert", overrides=[f"{key}={some[place % len(some)]}" for key, some in values.items()])

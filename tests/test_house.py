"""The house: which folder may import which, and what stands at the root."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "zstar"
LONGEST = 250
ROOT_MODULES = {"__init__", "cli", "objective", "inversion", "callbacks", "images"}

TIERS = (  # from the ground up; a room imports from lower tiers, and within its tier one way only
    {"config", "stats"},
    {"images", "loggers", "runs", "checkpoints", "optimizers", "operators", "detectors"},
    {"generators", "discriminators", "annotators", "reports"},
    {"losses", "spaces", "data", "encoders", "edits", "metrics", "segmenters"},
    {"regularizers"},
    {"objective", "inversion", "callbacks"},
    {"projectors", "annotations", "dissection", "postprocess"},
    {"directions", "walks", "editability"},
    {"tasks", "projection", "editing", "dissecting", "benchmark"},
    {"tune", "app"},
    {"cli"},
)
TIER = {room: height for height, rooms in enumerate(TIERS) for room in rooms} | {"__init__": -1, "weights": -1}


def modules() -> Iterator[tuple[str, Path]]:
    """Room and file of each module; a module at the root is a room of its own."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield parts[0], path


def imported(path: Path) -> Iterator[str]:
    """The rooms that a module imports from, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "zstar":
            yield from (name.name for name in node.names if not name.name.startswith("__"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zstar."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[1] for name in node.names if name.name.startswith("zstar."))


@cache  # reads all modules
def arrows() -> dict[tuple[str, str], list[str]]:
    """(importing room, imported room) → the files that do it."""
    found: dict[tuple[str, str], list[str]] = {}
    for room, path in modules():
        for other in imported(path):
            if other not in (room, "conf"):
                found.setdefault((room, other), []).append(str(path.relative_to(SOURCE)))
    return found


def test_every_room_has_a_tier() -> None:
    assert {room for room, _ in modules()} <= set(TIER)


def test_no_arrow_points_upwards() -> None:
    upwards = {f"{a} → {b}": files for (a, b), files in arrows().items() if TIER[b] > TIER[a]}
    assert not upwards


def test_within_a_tier_arrows_go_one_way() -> None:
    level = {a: {b for x, b in arrows() if x == a and TIER[a] == TIER[b]} for a, _ in arrows()}
    for room in level:
        reached, ahead = set(), set(level[room])
        while ahead:
            reached |= (step := ahead)
            ahead = set().union(*(level.get(other, set()) for other in step)) - reached
        assert room not in reached, f"{room} imports itself by way of {sorted(reached)}"


def targets(path: Path) -> Iterator[str]:
    """The modules that a module imports from, with their full names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zstar"):
            folder = SOURCE.joinpath(*node.module.split(".")[1:])
            for alias in node.names:
                yield f"{node.module}.{alias.name}" if (folder / f"{alias.name}.py").is_file() else node.module


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {path: ".".join(("zstar", *path.relative_to(SOURCE).with_suffix("").parts)) for _, path in modules()}
    graph = {name: set(targets(path)) for path, name in names.items()}
    for start in graph:
        reached, ahead = set(), set(graph[start])
        while ahead:
            reached |= ahead
            ahead = set().union(*(graph.get(name, set()) for name in ahead)) - reached
        assert start not in reached, f"{start} imports itself"


def test_nothing_of_a_program_stands_at_the_root() -> None:
    assert {path.stem for path in SOURCE.glob("*.py")} == ROOT_MODULES
    assert not [path.name for path in SOURCE.iterdir() if path.is_file() and path.suffix != ".py"]


def test_files_are_short_enough_to_read() -> None:
    files = [path for path in SOURCE.rglob("*") if path.suffix in (".py", ".js", ".css", ".jinja")]
    assert not {path.name for path in files if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST}

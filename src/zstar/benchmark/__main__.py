"""Leaderboards of finished projections: ``python -m zstar.benchmark outputs/sweep``.

Reads every finished projection below the given folders, makes one leaderboard for each protocol, prints it, and writes
it as JSON, CSV, Markdown, LaTeX and HTML, with figures.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from zstar.benchmark.compare import Sampling
from zstar.benchmark.discover import Discovery, find_runs
from zstar.benchmark.leaderboard import Choices, make_boards
from zstar.benchmark.rows import Row
from zstar.benchmark.tables import write_tables
from zstar.benchmark.terminal import print_board
from zstar.config.paths import place
from zstar.runs.ending import ending_well
from zstar.runs.folder import safe_name

EPILOG = """\
Runs with the same config but for the seed are one row; rows of one method are told apart by the settings that differ
(stylegan2@120: a budget of 120 evaluations). Runs of different protocols are reported apart, in a folder each. A run
that did not finish, a cell that failed and a method that does not fit are listed with the reason.

examples:
  python -m zstar.benchmark outputs/cottages
  python -m zstar.benchmark outputs/cottages outputs/more --output board --baseline stylegan2 --sort psnr
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the leaderboards; returns the exit code, 2 (and one sentence) if there are no runs."""
    with ending_well():
        return make(parse(arguments))


def make(options: argparse.Namespace) -> int:
    """Make the leaderboards of a parsed command line; returns the exit code."""
    console = Console()
    try:
        folders = [place(folder) for folder in options.folders]
        if absent := [folder for folder in folders if not folder.is_dir()]:
            raise ValueError(f"{absent[0]} is no folder; give folders that hold runs of invert.py")
        discovery = find_runs(folders)
        if not discovery.runs:
            raise ValueError(no_runs(folders, discovery))
        sampling = Sampling(options.level, options.draws, options.seed)
        boards = make_boards(discovery, Choices(options.baseline, options.metrics, options.sort, sampling))
        output = place(options.output or folders[0] / "benchmark")
        for board, rows in boards:
            folder = output / name_of(board) if len(boards) > 1 else output
            write_board(board, rows, folder, options.metrics, options.wandb)
            print_board(board, console)
            console.print(f"written to {folder}\n", highlight=False, soft_wrap=True)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m zstar.benchmark",
        description="Leaderboard of all projections below some folders: tables, figures and a page.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", help="folders with runs of invert.py, at any depth")
    parser.add_argument("--output", help="where to write (default: <first folder>/benchmark)")
    parser.add_argument(
        "--baseline",
        help="row or method to compare with (of several rows, the one with most evaluations); default: stylegan2, "
        "else mean+optimization, else the row with most evaluations",
    )
    parser.add_argument("--metrics", type=_names, help="metrics to show, such as psnr,perceptual,seconds; default: all")
    parser.add_argument("--sort", help="metric to sort by, best first; default: lpips, else perceptual, else psnr")
    parser.add_argument("--level", type=_share, default=0.95, help="coverage of the intervals (default: 0.95)")
    parser.add_argument("--draws", type=_count, default=10_000, help="bootstrap samples (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the intervals; no test depends on it (default: 0)")
    parser.add_argument(
        "--wandb", action="store_true", help="send tables and figures to Weights & Biases, offline unless logged in"
    )
    return parser.parse_args(arguments)


def write_board(
    board: Mapping[str, Any], rows: Sequence[Row], folder: Path, metrics: Sequence[str] | None, wandb: bool
) -> None:
    """Write the tables, figures and page of a board into a folder."""
    from zstar.benchmark.figures.write import write_figures  # takes a second to import
    from zstar.benchmark.page import write_page

    folder.mkdir(parents=True, exist_ok=True)
    write_tables(board, folder)
    images = {row.id: row.pictures for row in rows}
    targets = {image: path for row in reversed(rows) for run in row.runs for image, path in run.target_of.items()}
    figures = write_figures(board, folder, images, targets, metrics)
    write_page(board, folder / "index.html", images, targets, figures)
    if wandb:
        from zstar.benchmark.wandb_report import log_board

        log_board(board, [path.with_suffix(".png") for path in figures], folder)


def name_of(board: Mapping[str, Any]) -> str:
    """Name of the folder of a board among several: name, track and hash of the protocol."""
    protocol = board["protocol"]
    words = [str(word) for word in (protocol["name"], protocol["track"], protocol["hash"]) if word]
    return safe_name("_".join(words))


def no_runs(folders: Sequence[Path], discovery: Discovery) -> str:
    """The reason why there is no board, in a sentence."""
    reasons = [*discovery.left_out, *discovery.failed]
    first = f", for example {reasons[0]['cell']}: {reasons[0]['reason']}" if reasons else ""
    return f"no finished projection below {', '.join(map(str, folders))}{first}; make some with python invert.py"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _share(text: str) -> float:
    if not 0.0 < (value := float(text)) < 1.0:
        raise argparse.ArgumentTypeError(f"{text} is no coverage; give a number between 0 and 1, such as 0.95")
    return value


def _count(text: str) -> int:
    if (value := int(text)) < 100:
        raise argparse.ArgumentTypeError(f"{text} is too few; give at least 100, such as 10000")
    return value


def program() -> None:
    """The script ``zstar-benchmark``."""
    sys.exit(main())


if __name__ == "__main__":
    program()

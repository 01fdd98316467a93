"""A table of the faces in a folder of photos: ``python -m zstar.data.find_faces photos landmarks.csv``.

``data=faces data.landmarks=landmarks.csv`` then needs no detector, starts at once, and takes what was
corrected by hand.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from zstar.config.paths import place
from zstar.data.decoding import BadImage
from zstar.data.entries import list_entries
from zstar.data.faces import find
from zstar.data.landmarks import landmarks_table
from zstar.detectors.base import AbstractDetector, Face
from zstar.detectors.mtcnn import MTCNN


def main(arguments: Sequence[str] | None = None) -> int:
    """Find the faces and write the table; returns the exit code, 2 (and one sentence) if that can't be done."""
    parser = argparse.ArgumentParser("python -m zstar.data.find_faces", description="A table of the faces in photos.")
    parser.add_argument("path", help="folder or .tar of photos")
    parser.add_argument("table", help="CSV file to write")
    parser.add_argument("--confidence", type=float, default=0.9, help="from which on a find counts (default: 0.9)")
    parser.add_argument("--smallest", type=int, default=20, help="pixels of the smallest face (default: 20)")
    options = parser.parse_args(arguments)
    try:
        detector = MTCNN(options.confidence, options.smallest)
        found = list(find_all(options.path, detector))
        place(options.table).write_text(landmarks_table(found), encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    faces = sum(len(each) for _, each in found)
    print(f"{faces} faces in {len(found)} photos; {sum(not each for _, each in found)} have none: {options.table}")
    return 0


def find_all(path: str, detector: AbstractDetector) -> Iterator[tuple[str, list[Face]]]:
    """The faces of each photo, in the order of the names; what can't be read is said, and has none."""
    for entry in sorted(list_entries(path, "path"), key=lambda entry: entry.id):
        try:
            yield entry.id, find(entry, detector)
        except BadImage as error:
            print(f"{entry.id}: {error}", file=sys.stderr)
            yield entry.id, []


if __name__ == "__main__":
    sys.exit(main())

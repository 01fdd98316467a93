"""Paint on photos with brushes for doors, trees and clouds: ``python paint.py`` opens a page."""

from zstar.cli import paint

if __name__ == "__main__":
    paint()

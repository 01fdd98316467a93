"""Find out what the units of a generator do: ``python dissect.py 'layers=[b32.conv0]'``."""

from zstar.cli import dissect

if __name__ == "__main__":
    dissect()

"""docs/edit.png: held-out pictures moved through the year and through the day, by directions that ship.

python docs/edit.py
"""

from pathlib import Path

import torch
from hydra import compose, initialize_config_module

from zstar.editing.job import make_edit_job
from zstar.editing.pictures import heading, strips
from zstar.images import enlarge, write_png
from zstar.reports.captions import labelled

ROWS = {"season": (0, 1, 4), "time_of_day": (2, 3, 5)}


def main() -> None:
    """Project six pictures, as edit.py does, and put some of its strips below each other."""
    with initialize_config_module("zstar.conf", version_base="1.3"):
        job = make_edit_job(compose("edit", ["data.count=6", f"only=[{','.join(ROWS)}]", "editability=[]"]))
    sheets = []
    for sheet in job.sheets:
        every = strips(job, sheet, slice(None))
        rows = [every[index] for index in ROWS[sheet.name]]
        labels = [label for row in rows for label in row.labels]
        cells = enlarge(torch.cat([row.cells for row in rows]))
        sheets.append(labelled(cells, labels, rows[0].columns, heading(job, sheet)))
    write_png(Path(__file__).with_name("edit.png"), torch.cat(sheets, dim=1))


if __name__ == "__main__":
    main()

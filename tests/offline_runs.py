"""What W&B has written of a run without a network, read back."""

import json
import struct
import time
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from wandb.proto import wandb_internal_pb2 as wandb_log


def records(folder: Path, patience: float = 30) -> list[wandb_log.Record]:
    """All records of the one finished W&B run in ``folder``; W&B's own process may take a moment to write the last."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    end = time.monotonic() + patience
    while not (found := whole(path.read_bytes())) or found[-1].WhichOneof("record_type") != "exit":
        assert time.monotonic() < end, "the log has no end"
        time.sleep(0.05)
    return found


def whole(data: bytes) -> list[wandb_log.Record]:
    """The records, or none where the last of them is being written: its head may be there before the rest."""
    try:
        return parse(data)
    except DecodeError:
        return []


def parse(data: bytes) -> list[wandb_log.Record]:
    """The records in a LevelDB log of protocol buffers."""
    found, part = [], b""
    assert data[:4] in (b":W&B", b"")
    position = 7
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:  # a record's header is never split over blocks
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        part += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(wandb_log.Record.FromString(part))
            part = b""
    return found


def history(found: list[wandb_log.Record]) -> dict[str, list]:
    """Name → what was logged under it, call by call; a picture or a table is a dictionary of facts about its file."""
    values: dict[str, list] = {}
    for record in found:
        if record.WhichOneof("record_type") == "history":
            row: dict = {}
            for item in record.history.item:
                name, *fact = item.nested_key
                value = json.loads(item.value_json)
                row[name] = {**row.get(name, {}), fact[0]: value} if fact else value
            for name, value in row.items():
                values.setdefault(name, []).append(value)
    return values


def summary_of(found: list[wandb_log.Record]) -> dict[str, Any]:
    """The last value of everything in the summary."""
    updates = (item for record in found if record.HasField("summary") for item in record.summary.update)
    return {item.key: json.loads(item.value_json) for item in updates}

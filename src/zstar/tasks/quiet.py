"""A context without Lightning's news and its warnings about intended settings."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric")
NOISE = (
    "Found .* in eval mode at the start of training",  # they are frozen on purpose
    ".*does not have many workers",  # the stream reads ahead in a thread
    ".*LeafSpec.* is deprecated",
    ".*functional.all_gather is deprecated",
    "find_unused_parameters=True was specified",  # whether there are some depends on the step
    "Grad strides do not match bucket view strides",  # of 1×1 convolutions, where they mean the same
)


@contextmanager
def quiet() -> Iterator[None]:
    """Within the context, Lightning's news and its warnings about what is meant as it is are not printed."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    with warnings.catch_warnings():
        for message in NOISE:
            warnings.filterwarnings("ignore", message)
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)

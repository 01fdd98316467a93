"""Detectors: where the faces are in a photo."""

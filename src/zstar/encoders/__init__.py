"""Inverting networks: E, from images to latents."""

"""Post-processing: what an edit of G(v) makes of the photo that was projected."""

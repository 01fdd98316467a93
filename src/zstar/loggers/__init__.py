"""Where numbers and pictures of a run are sent while it runs."""

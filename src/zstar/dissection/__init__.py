"""Units of a generator: what they agree with, what they cause, where things can go."""

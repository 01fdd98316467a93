"""How annotations are checked while the tests run: an int is a float, as everywhere in Python."""

from beartype import BeartypeConf, beartype

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))

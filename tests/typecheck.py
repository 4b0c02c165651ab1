"""How shapes and types are checked while the tests run: an int passes for a float, as in YAML."""

from beartype import BeartypeConf, beartype

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))

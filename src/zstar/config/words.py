"""Words of a command line that Hydra would drop without a word of its own."""

from collections import Counter
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

from zstar.config.check import MULTI_SELECT, ConfigError


def require_kept(words: Sequence[str]) -> None:
    """Refuse choices of which Hydra would keep one and drop the other.

    Errors: ``ConfigError`` with a sentence for each group of which one entry is chosen twice, as an entry's name is its
    place in the configuration, or to which ``+group=…`` adds an entry where ``group=[…]`` says what all of them are.
    """
    chosen: dict[str, list[str]] = {}
    added: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides(list(words)):
        value = override.value()
        if override.key_or_group not in MULTI_SELECT or override.package or not isinstance(value, str | list):
            continue
        names = [str(name) for name in (value if isinstance(value, list) else [value])]
        (added if override.is_add() else chosen).setdefault(override.key_or_group, []).extend(names)
    problems = []
    for group in dict.fromkeys([*chosen, *added]):
        names = [*chosen.get(group, []), *added.get(group, [])]
        whole = f"{group}=[{','.join(dict.fromkeys(names))}]"
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            problems.append(f"{group}: {twice[0]} is chosen twice, and there is one of each name; write {whole}")
        elif group in added and (group in chosen or len(added[group]) > 1):
            lost = f"+{group}={added[group][-1]}"
            problems.append(f"{group}: {lost} would be dropped beside the other choice; write {whole}")
    if problems:
        raise ConfigError("\n".join(problems))

"""How options are called: a message names one as ⟨root⟩, and whoever shows it spells it as its user writes it.

Rooms below the faces know options, not flags: `root` is `root=` to those who call Python, and `--root` on the command
line, whose entry point says so once.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NAMED = re.compile(r"⟨(\w+)⟩")
_spell: list[Callable[[str], str]] = [lambda name: f"`{name}`"]


def spelled(text: str) -> str:
    """The text with its options as the user writes them.

    Examples:
        >>> spelled("name another ⟨root⟩")
        'name another `root`'
    """
    return _NAMED.sub(lambda match: _spell[-1](match[1]), text)


def spell_as(how: Callable[[str], str]) -> None:
    """From now on, options are spelled so. For the entry point of a face."""
    _spell[:] = [how]

"""Option names in messages: a message refers to an option as ⟨root⟩, which is shown as the user writes it.

In Python an option is shown as `root`; the entry point of the command line sets it to be shown as `--root`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NAMED = re.compile(r"⟨(\w+)⟩")
_spell: list[Callable[[str], str]] = [lambda name: f"`{name}`"]


def spelled(text: str) -> str:
    """Return the text with each ⟨option⟩ shown as the user writes it.

    Examples:
        >>> spelled("name another ⟨root⟩")
        'name another `root`'
    """
    return _NAMED.sub(lambda match: _spell[-1](match[1]), text)


def spell_as(how: Callable[[str], str]) -> None:
    """Set how options are shown from now on; called by an entry point.

    Args:
        how: Returns the text for an option's name.
    """
    _spell[:] = [how]

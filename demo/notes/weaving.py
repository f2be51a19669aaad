"""Weaving: two people have changed one text, and the result holds what both have typed.

Pure.  My change is one replaced stretch of ``base``, which is what typing, pasting and deleting are.  It is made in
``theirs``: what I deleted goes, what they have typed stays, and my words stand where they stand in my box, after the
last character before them that is still there.
"""

from difflib import SequenceMatcher
from itertools import takewhile

__all__ = ["woven"]


def woven(base: str, mine: str, theirs: str) -> str:
    """``theirs`` with the change that leads from ``base`` to ``mine``."""
    before, after = _common(base, mine)
    start, end, typed = before, len(base) - after, mine[before : len(mine) - after]
    place, deleted = 0, set()
    for index, there in _kept(base, theirs):
        if index < start:
            place = there + 1
        elif index < end:
            deleted.add(there)
    rest = (character for index, character in enumerate(theirs[place:], place) if index not in deleted)
    return theirs[:place] + typed + "".join(rest)


def _kept(base: str, theirs: str) -> list[tuple[int, int]]:
    """The characters of ``base`` that are in ``theirs``, in order: index here, index there."""
    before, after = _common(base, theirs)
    here, there = base[before : len(base) - after], theirs[before : len(theirs) - after]
    blocks = SequenceMatcher(None, here, there, autojunk=False).get_matching_blocks()
    middle = [(before + a + step, before + b + step) for a, b, size in blocks for step in range(size)]
    head = [(index, index) for index in range(before)]
    return head + middle + [(len(base) - left, len(theirs) - left) for left in range(after, 0, -1)]


def _common(one: str, other: str) -> tuple[int, int]:
    """How many characters are equal at the start, and then at the end."""
    before = _equal(one, other)
    limit = min(len(one), len(other)) - before
    return before, min(limit, _equal(one[::-1], other[::-1]))


def _equal(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

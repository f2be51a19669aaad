"""Weaving: two people have changed one text, and the result holds what both have typed.

Pure.  My changes are made in ``theirs``: what I deleted goes, what they have typed stays, and my words stand where they
stand in my box, after the last character before them that is still there.
"""

from collections import defaultdict
from difflib import SequenceMatcher
from itertools import takewhile

__all__ = ["joined", "woven"]


def woven(base: str, mine: str, theirs: str) -> str:
    """``theirs`` with the changes that lead from ``base`` to ``mine``."""
    there, here = dict(_common(base, theirs)), {at: index for index, at in _common(base, mine)}
    typed, place = defaultdict(str), 0
    for at, character in enumerate(mine):
        if at not in here:
            typed[place] += character
        elif here[at] in there:
            place = there[here[at]] + 1
    deleted = {at for index, at in there.items() if index not in set(here.values())}
    kept = ("" if at in deleted else character for at, character in enumerate(theirs))
    return "".join(typed[at] + character for at, character in enumerate(kept)) + typed[len(theirs)]


def joined(mine: str, theirs: str) -> str:
    """Both texts as a whole, where nobody knows what they came from: what they share stands there once."""
    both, here, there = "", 0, 0
    for at, where in _common(mine, theirs):
        both += mine[here:at] + theirs[there : where + 1]
        here, there = at + 1, where + 1
    return both + mine[here:] + theirs[there:]


def _common(one: str, other: str) -> list[tuple[int, int]]:
    """The characters that are in both, in order, by their indexes here and there."""
    before = _equal(one, other)
    after = min(len(one) - before, len(other) - before, _equal(one[::-1], other[::-1]))
    middle = SequenceMatcher(None, one[before : len(one) - after], other[before : len(other) - after], autojunk=False)
    return [
        *((index, index) for index in range(before)),
        *((before + a + n, before + b + n) for a, b, size in middle.get_matching_blocks() for n in range(size)),
        *((len(one) - left, len(other) - left) for left in range(after, 0, -1)),
    ]


def _equal(one: str, other: str) -> int:
    """How many characters are equal at the start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

"""Findings: what the doctor says, one line each."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level", "bad", "doubtful", "good"]

Level = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``advice`` is what to do about it; "" when all is well."""

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.subject:<9}  {self.text}" + (f" → {self.advice}" if self.advice else "")


def good(subject: str, text: str) -> Finding:
    """It works."""
    return Finding(level="OK", subject=subject, text=text)


def doubtful(subject: str, text: str, advice: str) -> Finding:
    """It works, but worse than it could, or only for now."""
    return Finding(level="WARN", subject=subject, text=text, advice=advice)


def bad(subject: str, text: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(level="FAIL", subject=subject, text=text, advice=advice)

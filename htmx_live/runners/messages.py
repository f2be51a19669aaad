"""Jobs as text for a broker: signed JSON, for whoever can write there could otherwise name any callback."""

from dataclasses import asdict

from django.core import signing

from htmx_live.runners.base import Job

__all__ = ["JobUnreadable", "read_job", "write_job"]

_SALT = "htmx_live.job"


class JobUnreadable(ValueError):
    """A message from a broker is no job of this site."""


def write_job(job: Job) -> str:
    return signing.dumps(asdict(job), salt=_SALT, compress=True)


def read_job(text: str) -> Job:
    """The job in ``text``; ``JobUnreadable`` when it is forged, or of another version or ``SECRET_KEY``."""
    try:
        return Job(**signing.loads(text, salt=_SALT))
    except (signing.BadSignature, UnicodeError, TypeError, ValueError, AttributeError) as error:
        raise JobUnreadable(
            f"A message that names a job cannot be read: {error}. Web processes and workers need the same SECRET_KEY "
            "and the same version of htmx_live."
        ) from error

"""``manage.py live_doctor``: looks at a site as it runs, and says in one line each what is well and what to do."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import ERROR, run_checks
from django.core.management.base import BaseCommand, CommandError

from htmx_live.contrib.doctor.probe import SiteAddress
from htmx_live.contrib.doctor.report import Finding, check_redis, check_site, check_workers, failure, ok, warning
from htmx_live.core.conf import is_debug


class Command(BaseCommand):
    help = "Opens a real stream through --url and looks at Redis and the workers. See docs/deployment.md."
    requires_system_checks: list[str] = []  # they are among the findings

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--url", default="", help="the site's root, as browsers write it: https://example.com/")
        parser.add_argument("--beats", type=int, default=2, help="heartbeats of the stream to wait for (2)")
        parser.add_argument(
            "--patience", type=float, default=10.0, metavar="SECONDS", help="how long to wait for an answer (10)"
        )
        parser.add_argument("--insecure", action="store_true", help="take any certificate")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["url"] and not options["url"].startswith(("http://", "https://")):
            raise CommandError(f"--url is {options['url']!r}. Write it with http:// or https://.")
        styles = {"OK": self.style.SUCCESS, "WARN": self.style.WARNING, "FAIL": self.style.ERROR}
        levels = []
        for finding in _run_all_checks(options):
            levels.append(finding.level)
            self.stdout.write(styles[finding.level](str(finding)))
            self.stdout.flush()  # a heartbeat takes its time
        if "FAIL" in levels:
            raise CommandError(f"{levels.count('FAIL')} of {len(levels)} findings must be put right.")


def _run_all_checks(options: dict[str, Any]) -> Iterator[Finding]:
    yield from _run_system_checks()
    yield from check_redis()
    yield from check_workers()
    if options["url"]:
        address = SiteAddress(
            url=options["url"], timeout=options["patience"], verifies_certificate=not options["insecure"]
        )
        yield from check_site(address, heartbeats=options["beats"])
    else:
        yield warning("Site", "Not looked at.", "Give its address: --url https://example.com/.")


def _run_system_checks() -> Iterator[Finding]:
    found = [
        message
        for message in run_checks(include_deployment_checks=not is_debug())
        if str(message.id).startswith("htmx_live.") and not message.is_silenced()
    ]
    for message in found:
        make_finding = failure if message.level >= ERROR else warning
        yield make_finding("Settings", f"{message.id}: {message.msg}", str(message.hint))
    if not found:
        yield ok("Settings", "No system check of htmx_live found anything.")

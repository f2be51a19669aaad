"""People at the demo, each with a browser of their own.  No script of theirs may fail or break the policy."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect

from tests.server import Server

__all__ = ["Visitors", "connected", "visiting"]

expect.set_options(timeout=15_000)


class Visitors:
    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.complaints: list[str] = []

    def at(
        self, server: Server, path: str, *, name: str = "anna", offline_is_fine: bool = False, **options: object
    ) -> Page:
        """A new browser, in which ``name`` has signed in (nobody if "") and looks at ``path``, connected."""
        page = self.browser.new_context(**options).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if not offline_is_fine:
            page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        if name:
            page.goto(f"{server.url}/login/?next=/products/")
            page.get_by_role("button", name=f"Sign in as {name}").click()
            expect(page.get_by_role("heading", name="Products")).to_be_visible()
        if options.get("java_script_enabled", True):
            page.add_init_script("window.ups = 0; addEventListener('live:connected', () => ups++)")
        page.goto(server.url + path)
        if options.get("java_script_enabled", True):
            connected(page)
        return page


def connected(page: Page) -> None:
    """Waits for the stream.  Playwright's own way evaluates a string, which the policy forbids."""
    wait = "new Promise((go) => setTimeout(go, 10))"
    assert page.evaluate(f"async () => {{ for (let n = 0; n < 1500 && !window.ups; n++) await {wait}; return ups }}")


@contextmanager
def visiting(browser: Browser) -> Iterator[Visitors]:
    known = set(browser.contexts)
    people = Visitors(browser)
    yield people
    for context in set(browser.contexts) - known:
        context.close()
    assert people.complaints == []

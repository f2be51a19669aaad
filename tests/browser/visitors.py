"""People at the demo, each with a browser of their own.  No script of theirs may fail or break the policy."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect

from tests.server import Server

__all__ = ["Visitors", "connected", "sign_in", "visiting"]

expect.set_options(timeout=15_000)


class Visitors:
    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.complaints: list[str] = []

    def enter(self, server: Server, *, name: str = "anna", offline_is_fine: bool = False, **options: object) -> Page:
        """An empty page in a new browser, in which ``name`` has signed in, unless it is ""."""
        page = self.browser.new_context(**options).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if not offline_is_fine:
            page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        if name:
            sign_in(page, server, name)
        return page

    def at(self, server: Server, path: str, **options: object) -> Page:
        """A page as of ``enter``, which looks at ``path``, connected."""
        page = self.enter(server, **options)  # type: ignore[arg-type]
        if options.get("java_script_enabled", True):
            page.add_init_script("window.ups = 0; addEventListener('live:connected', () => ups++)")
        page.goto(server.url + path)
        if options.get("java_script_enabled", True):
            connected(page)
        return page


def sign_in(page: Page, server: Server, name: str) -> None:
    """Give the page's browser the cookies of ``name``, without showing it the login page."""
    request = page.context.request
    request.get(f"{server.url}/login/")
    token = next(one["value"] for one in page.context.cookies() if one["name"] == "csrftoken")  # type: ignore[typeddict-item]
    form = {"user": name, "csrfmiddlewaretoken": token}
    answer = request.post(f"{server.url}/login/", form=form, max_redirects=0)
    assert answer.status == 302


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

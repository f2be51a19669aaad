"""The inbox and the admin's actions in Chromium, from a real uvicorn whose work runs on threads."""

import json
import re
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def me(server: Server) -> Iterator[str]:
    """A superuser of the test's own.  What the test has left running ends with it."""
    name = f"user-{uuid4().hex[:8]}"
    ask(server, "/hold/")
    ask(server, "/user/", name=name)
    yield name
    ask(server, "/go/first/")
    ask(server, "/go/second/")


@pytest.fixture
def page(browser: Browser, me: str) -> Iterator[Page]:
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    page.add_init_script("window.ups = 0; addEventListener('live:connected', () => ups++)")
    yield page
    context.close()
    assert errors == []


def ask(server: Server, path: str, **values: str) -> bytes:
    with urllib.request.urlopen(f"{server.url}{path}?{urlencode(values)}", timeout=10) as answer:
        body: bytes = answer.read()
    return body


def sign_in(page: Page, server: Server, name: str) -> None:
    page.goto(f"{server.url}/admin/login/")
    page.fill("#id_username", name)
    page.fill("#id_password", "secret")
    page.click("[type=submit]")
    expect(page.locator("#user-tools")).to_be_visible()


def start_export(page: Page, server: Server, *numbers: int) -> None:
    page.goto(f"{server.url}/admin/auth/group/?q=Group")
    for number in numbers:
        page.get_by_role("checkbox", name=f"Select this object for an action - Group {number}").check()
    page.select_option("[name=action]", "export")
    page.get_by_role("button", name="Go", exact=True).click()


# The admin


def test_an_action_shows_its_progress_survives_a_reload_and_leads_to_its_result(
    page: Page, me: str, server: Server
) -> None:
    sign_in(page, server, me)
    start_export(page, server, 1, 2, 3)
    bar = page.get_by_role("progressbar", name="Export groups (3 groups)")
    expect(bar).to_have_attribute("aria-valuenow", "33")
    page.reload()
    expect(bar).to_have_attribute("aria-valuenow", "33")
    expect(page.locator(".live-progress-message")).to_have_text("Group 2")
    page.wait_for_function("() => ups > 0")
    ask(server, "/go/first/")
    expect(bar).to_have_attribute("aria-valuenow", re.compile("66|100"))
    ask(server, "/go/second/")
    page.get_by_role("link", name="Show the result").click()
    expect(page.locator("body")).to_have_text("Group 1,Group 2,Group 3")


def test_an_action_can_be_cancelled_and_its_card_be_hidden(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, me)
    start_export(page, server, 1, 2)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-live-done=cancelled]")).to_have_count(1)
    assert page.url.endswith("/admin/auth/group/?q=Group")
    page.get_by_role("button", name="Hide").click()
    expect(page.locator("[data-live-progress]")).to_have_count(0)


def test_all_that_match_the_filter_are_chosen_when_the_action_begins(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, me)
    page.goto(f"{server.url}/admin/auth/group/?q=Group")
    page.locator("#action-toggle").check()
    page.get_by_text(re.compile("Select all 7 groups")).click()
    page.select_option("[name=action]", "export")
    page.get_by_role("button", name="Go", exact=True).click()
    ask(server, "/go/first/")
    ask(server, "/go/second/")
    card = page.locator("[data-live-progress]", has_text="all that match").filter(has_text="Show the result")
    card.get_by_role("link", name="Show the result").click()
    expect(page.locator("body")).to_have_text(",".join(f"Group {number}" for number in range(1, 8)))


def test_what_an_action_refuses_is_told(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, me)
    page.goto(f"{server.url}/admin/auth/group/")
    page.get_by_role("checkbox", name="Group 4").check()
    page.select_option("[name=action]", "refuse")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_text("These groups are locked")).to_be_visible()


def test_another_admin_sees_nothing_of_it(page: Page, me: str, browser: Browser, server: Server) -> None:
    sign_in(page, server, me)
    start_export(page, server, 5)
    expect(page.get_by_role("progressbar", name="Export groups (1 group)")).to_be_visible()
    other = browser.new_context().new_page()
    sign_in(other, server, "bob")
    other.goto(f"{server.url}/admin/auth/group/")
    expect(other.locator("#changelist")).to_be_visible()
    assert other.locator("[data-live-progress], script[src*=htmx]").count() == 0
    other.context.close()


def test_who_may_not_is_not_offered_the_action(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, "cat")
    page.goto(f"{server.url}/admin/auth/group/")
    assert page.locator("[name=action] option").evaluate_all("(all) => all.map((one) => one.value)") == ["", "refuse"]


def test_without_the_mixin_a_message_leads_to_the_progress(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, me)
    page.goto(f"{server.url}/admin/auth/user/")
    page.get_by_role("checkbox", name=re.compile("bob")).check()
    page.select_option("[name=action]", "greet")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_role("link", name="Show the progress").click()
    expect(page.get_by_text("1 greeted")).to_be_visible()


def test_without_javascript_an_action_starts_shows_and_ends(browser: Browser, me: str, server: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, server, me)
    start_export(page, server, 4, 5)
    card = page.locator("[data-live-progress]", has_text="Export groups (2 groups)").first
    card.get_by_role("link", name="Show the progress").click()
    ask(server, "/go/first/")
    ask(server, "/go/second/")
    page.get_by_role("link", name="Show the result").click(timeout=15_000)
    expect(page.locator("body")).to_have_text("Group 4,Group 5")
    context.close()


def test_the_changelist_with_a_card_shuts_nobody_out(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, me)
    start_export(page, server, 1)
    expect(page.get_by_role("progressbar").first).to_be_visible()
    found = Axe().run(page, context=".live-admin").response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


# The inbox


def create(server: Server, name: str, user: str) -> str:
    return str(json.loads(ask(server, "/create/", name=name, user=user))["id"])


@pytest.mark.parametrize("more", ["", "?plain"], ids=["htmx", "no htmx"])
def test_a_task_comes_moves_and_ends_in_the_inbox(page: Page, me: str, server: Server, more: str) -> None:
    sign_in(page, server, me)
    page.goto(f"{server.url}/inbox/{more}")
    page.wait_for_function("() => ups > 0")
    name = f"Import{more}"
    session = create(server, name, me)
    ask(server, f"/work/{session}/start/")
    bar = page.get_by_role("progressbar", name=name)
    expect(bar).to_be_visible()
    expect(page.get_by_text("Nothing is running.")).to_be_hidden()
    ask(server, f"/work/{session}/update/", current="42", total="100")
    expect(bar).to_have_attribute("aria-valuenow", "42")
    ask(server, f"/work/{session}/complete/", message="42 rows <b>", result="/exports/?of=x")
    row = page.locator(f"#live-task-{session}")
    expect(row).to_contain_text("42 rows <b>")
    expect(row.get_by_role("link", name=f"Show the result ({name})")).to_have_attribute("href", "/exports/?of=x")
    expect(bar).to_be_hidden()
    expect(page.locator("#live-tasks-said")).to_have_text(f"{name}: complete")
    page.reload()
    expect(row).to_contain_text("complete")


@pytest.mark.parametrize("more", ["", "?plain"], ids=["htmx", "no htmx"])
def test_a_task_that_failed_is_tried_again_from_the_inbox(page: Page, me: str, server: Server, more: str) -> None:
    sign_in(page, server, me)
    page.goto(f"{server.url}/inbox/{more}")
    page.wait_for_function("() => ups > 0")
    session = create(server, "Report", me)
    ask(server, f"/run/{session}/")
    row = page.locator(f"#live-task-{session}")
    expect(row).to_contain_text(re.compile("failed.*error [0-9A-Za-z_-]{8}", re.DOTALL))
    before = row.locator(".live-task-error").inner_text()
    row.get_by_role("button", name="Try again").click()
    expect(row.locator(".live-task-error")).not_to_have_text(before)


def test_the_inbox_of_others_is_theirs(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, me)
    page.goto(f"{server.url}/inbox/")
    page.wait_for_function("() => ups > 0")
    session = create(server, "Of Ann", "ann")
    ask(server, f"/work/{session}/complete/")
    mine = create(server, "Of mine", me)
    ask(server, f"/work/{mine}/complete/")
    expect(page.locator(f"#live-task-{mine}")).to_be_visible()
    assert page.get_by_text("Of Ann").count() == 0


def test_the_inbox_shuts_nobody_out(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, me)
    running, done, failed = (create(server, name, me) for name in ("Running", "Done", "Failed"))
    ask(server, f"/work/{running}/start/")
    ask(server, f"/work/{done}/complete/", result="/exports/?of=x")
    ask(server, f"/run/{failed}/")
    page.goto(f"{server.url}/inbox/")
    expect(page.locator(f"#live-task-{failed}")).to_be_visible()
    found = Axe().run(page, context=".live-tasks").response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_the_admins_list_of_tasks_can_be_filtered(page: Page, me: str, server: Server) -> None:
    sign_in(page, server, me)
    session = create(server, "To be listed", me)
    page.goto(f"{server.url}/inbox/")
    page.wait_for_function("() => ups > 0")
    ask(server, f"/work/{session}/error/", message="No disk", error_id="abcd1234")
    expect(page.locator(f"#live-task-{session}")).to_be_visible()
    page.goto(f"{server.url}/admin/htmx_live_tasks/taskrecord/?q=abcd1234")
    page.get_by_role("link", name="failed").click()
    row = page.locator("#result_list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("To be listed")
    row.get_by_role("link", name="To be listed").click()
    expect(page.locator("#content")).to_contain_text("No disk")
    assert page.locator("[name=_save]").count() == 0

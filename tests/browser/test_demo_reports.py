"""The demo's reports page, clicked through in Chromium against a real uvicorn."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.visitors import Visitors, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A demo whose jobs take about a second."""
    with demo_server(tmp_path_factory.mktemp("quick"), DEMO_PACE="0.05") as server:
        yield server


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A demo whose jobs take so long that a test can act in the middle of them."""
    with demo_server(tmp_path_factory.mktemp("slow"), DEMO_PACE="1") as server:
        yield server


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def test_a_visitor_signs_in_by_a_click(quick: Server, visitors: Visitors) -> None:
    page = visitors.enter(quick, name="")
    page.goto(f"{quick.url}/reports/")
    page.get_by_role("button", name="Sign in as anna").click()
    expect(page.get_by_role("heading", name="Reports")).to_be_visible()


def test_rows_appear_while_a_report_is_generated_and_loading_ends_with_it(quick: Server, visitors: Visitors) -> None:
    report = visitors.at(quick, "/reports/").locator("#salesreport .card")
    generate = report.locator("button.primary")
    report.get_by_label("Year").select_option("2025")
    generate.click()
    expect(generate).to_be_disabled()
    expect(report.get_by_text("Generating…")).to_be_visible()
    expect(report.get_by_text("Generate", exact=True)).to_be_hidden()
    expect(report.locator("tbody tr")).to_have_count(12)
    expect(generate).to_be_enabled()
    expect(report.get_by_text("Generating…")).to_be_hidden()
    expect(report.locator("tfoot th")).to_have_text("2025")


def test_a_reload_in_the_middle_keeps_rows_and_loading(slow: Server, visitors: Visitors) -> None:
    page = visitors.at(slow, "/reports/")
    report = page.locator("#salesreport .card")
    report.get_by_label("Year").select_option("2024")
    report.locator("button.primary").click()
    expect(report.locator("tbody tr").first).to_be_visible()
    page.reload()
    expect(report.locator("button.primary")).to_be_disabled()
    expect(report.locator("tbody tr").first).to_contain_text("January")
    expect(report.locator("tbody tr").nth(2)).to_be_visible()
    report.get_by_role("button", name="Stop").click()
    expect(report.locator("button.primary")).to_be_enabled()


def test_a_cancelled_export_leaves_nothing_and_can_be_started_again(slow: Server, visitors: Visitors) -> None:
    report = visitors.at(slow, "/reports/").locator("#orderexport .card")
    report.locator("button.primary").click()
    expect(report.get_by_text("200 of 2044 orders written")).to_be_visible()
    report.get_by_role("button", name="Cancel").click()
    expect(report.get_by_text("Cancelled after")).to_be_visible()
    expect(report.locator("progress")).to_be_hidden()
    expect(report.get_by_role("link")).to_have_count(0)
    report.locator("button.primary").click()
    expect(report.get_by_text("200 of 2044 orders written")).to_be_visible()
    report.get_by_role("button", name="Cancel").click()
    expect(report.get_by_text("Cancelled after")).to_be_visible()


def test_a_finished_export_is_a_file_with_every_order(quick: Server, visitors: Visitors) -> None:
    page = visitors.at(quick, "/reports/")
    report = page.locator("#orderexport .card")
    report.locator("button.primary").click()
    with page.expect_download() as download:
        report.get_by_role("link", name="Download orders.csv").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert (len(lines), lines[0]) == (2045, "number,date,customer,city,status,total")


def test_text_is_streamed_line_by_line_and_survives_a_reload(quick: Server, visitors: Visitors) -> None:
    page = visitors.at(quick, "/reports/")
    report = page.locator("#stockcheck .card")
    report.locator("button.primary").click()
    expect(report.locator(".log")).to_contain_text("Rooibos vanilla")
    expect(report.locator("button.primary")).to_be_enabled()
    text = report.locator(".log").inner_text().strip()
    assert len(text.splitlines()) == 24
    page.reload()
    expect(report.locator(".log")).to_have_text(re.compile(re.escape(text.splitlines()[-1])))
    assert report.locator(".log").inner_text().strip() == text


def test_a_failed_job_shows_an_id_and_a_user_error_its_words(quick: Server, visitors: Visitors) -> None:
    report = visitors.at(quick, "/reports/").locator("#forecast .card")
    report.get_by_role("button", name="Forecast 2024").click()
    expect(report.get_by_role("alert")).not_to_be_empty()
    error = report.get_by_role("alert").inner_text()
    assert "ZeroDivision" not in error and "Traceback" not in error
    known_id = re.search(r"[0-9a-zA-Z]{6,}$|\b[0-9a-f]{6,}\b", error)
    assert known_id and known_id[0] in quick.log.read_text()
    expect(report.get_by_text("Predicting…")).to_be_hidden()
    report.get_by_role("button", name="Forecast 2020").click()
    expect(report.get_by_role("alert")).to_have_text("There are no orders in 2019 to go by.")
    report.get_by_role("button", name="Forecast 2026").click()
    expect(report.get_by_text("expected in 2026")).to_be_visible()
    expect(report.get_by_role("alert")).to_have_count(0)


def test_each_row_has_a_job_and_a_spinner_of_its_own(slow: Server, visitors: Visitors) -> None:
    rows = visitors.at(slow, "/reports/").locator("#reminders tbody tr")
    rows.nth(1).get_by_role("button").click()
    rows.nth(3).get_by_role("button").click()
    for number, is_busy in enumerate([False, True, False, True]):
        button, spinner = rows.nth(number).get_by_role("button"), rows.nth(number).locator(".live-spinner")
        (expect(button).to_be_disabled if is_busy else expect(button).to_be_enabled)()
        (expect(spinner).to_be_visible if is_busy else expect(spinner).to_be_hidden)()
    for number in (1, 3):
        expect(rows.nth(number)).to_contain_text("reminded at")
        expect(rows.nth(number).get_by_role("button")).to_be_enabled()
    expect(rows.nth(0)).not_to_contain_text("reminded at")


def test_an_overlay_covers_the_page_until_the_audit_is_done(quick: Server, visitors: Visitors) -> None:
    page = visitors.at(quick, "/reports/")
    page.get_by_role("button", name="Audit all orders").click()
    expect(page.locator(".overlay")).to_be_visible()
    box = page.locator(".overlay").bounding_box()
    assert box and page.viewport_size and (box["width"], box["height"]) == tuple(page.viewport_size.values())
    expect(page.locator(".overlay")).to_be_hidden()
    expect(page.get_by_text("2044 orders audited.")).to_be_visible()
    expect(page.locator("#audit .figure")).to_contain_text("0 wrong totals in 2044 orders")


def test_two_tabs_are_two_pages_that_do_not_disturb_each_other(slow: Server, visitors: Visitors) -> None:
    one = visitors.at(slow, "/reports/")
    two = one.context.new_page()
    two.goto(one.url)
    one.locator("#salesreport button.primary").click()
    expect(one.locator("#salesreport tbody tr").first).to_be_visible()
    expect(two.locator("#salesreport button.primary")).to_be_enabled()
    expect(two.locator("#salesreport tbody tr")).to_have_count(0)
    two.get_by_role("button", name="Forecast 2020").click()
    expect(two.locator("#forecast .card").get_by_role("alert")).to_be_visible()
    expect(one.locator("#forecast .card").get_by_role("alert")).to_have_count(0)
    one.locator("#salesreport .card").get_by_role("button", name="Stop").click()


def test_without_javascript_a_form_starts_the_work_and_a_reload_shows_it(slow: Server, visitors: Visitors) -> None:
    page = visitors.at(slow, "/reports/", java_script_enabled=False)
    page.get_by_label("Year").select_option("2025")
    page.locator("#salesreport button.primary").click()
    expect(page.locator("#salesreport [data-live-pending='generate:report']")).to_have_count(1)
    for _ in range(3):
        page.get_by_role("link", name="reload").click()
        if page.locator("#salesreport tbody tr").count():
            break
    expect(page.locator("#salesreport tbody tr").first).to_contain_text("January")
    expect(page.locator("#salesreport option[selected]")).to_have_text("2025")


def test_a_server_that_comes_back_is_used_again(slow: Server, visitors: Visitors) -> None:
    page = visitors.at(slow, "/reports/", offline_is_fine=True)
    expect(page.locator("html")).not_to_have_class(re.compile("live-offline"))
    slow.kill()
    expect(page.locator(".live-banner")).to_be_visible()
    slow.start()
    expect(page.locator(".live-banner")).to_be_hidden()
    expect(page.locator(".live-toast")).to_have_count(0)  # the old process held nothing that is not there again
    page.get_by_role("button", name="Forecast 2020").click()
    expect(page.locator("#forecast .card").get_by_role("alert")).to_have_text("There are no orders in 2019 to go by.")

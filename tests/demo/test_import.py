"""The demo's import, over HTTP and without a browser: what it saves, refuses, keeps and takes up again."""

import csv
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import Request

import pytest

from tests.demo.test_demo import Visitor
from tests.server import ROOT, Server, demo_server

pytestmark = pytest.mark.processes

HEADER = "number,placed,email,article,quantity,price"
NUMBERS = iter(range(500_000, 600_000_000, 100_000))  # the first number of a file, for each file another


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("import")) as running:
        yield running


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A demo that rests between chunks, long enough for a request in between."""
    with demo_server(tmp_path_factory.mktemp("paced"), DEMO_PACE="0.3") as running:
        yield running


def rows(server: Server, query: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(server.env["DEMO_DATABASE"], timeout=20)) as database, database:
        return database.execute(query, values).fetchall()


def python(server: Server, code: str) -> Any:
    """What a script in a process of the demo prints, as JSON."""
    command = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
    done = subprocess.run(command, cwd=ROOT, env=server.env, capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def order(server: Server, number: str, **values: object) -> str:
    """A line of a file, right but for ``values``."""
    email = rows(server, "SELECT min(email) FROM shop_customer")[0][0]
    right = {
        "number": number,
        "placed": "2026-09-30",
        "email": email,
        "article": "D-1000",
        "quantity": 2,
        "price": "1.50",
    }
    return ",".join(str(value) for value in {**right, **values}.values())


def content(server: Server, count: int) -> bytes:
    first = next(NUMBERS)
    line = order(server, "W-{}")
    return "\n".join([HEADER, *(line.format(first + number) for number in range(count))]).encode()


class Importer(Visitor):
    """Somebody at the import page without JavaScript."""

    def upload(self, content: bytes, name: str = "orders.csv") -> str:
        """Sends a file; the page that follows."""
        page = self.get("/import/")[1]
        form = page[page.index('action="/live/event/upload/"') :]
        parts = [f'name="{key}"\r\n\r\n{unescape(value)}'.encode() for key, value in HIDDEN.findall(form)]
        parts.append(f'name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'.encode() + content)
        body = b"".join(b"--X\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--X--\r\n"
        self.send("/live/event/upload/", body, {"Content-Type": "multipart/form-data; boundary=X"})
        return self.get("/import/")[1]

    def send(self, path: str, body: bytes | None, headers: dict[str, str]) -> str:
        request = Request(urljoin(self.url, path), body, {"Referer": f"{self.url}/import/", **headers})
        with self.opener.open(request, timeout=60) as answer:
            text: str = answer.read().decode()
        return text

    def press(self, page: str, word: str) -> None:
        """Presses a button of the card: its form posts to an address that ends in ``word``."""
        path = re.search(rf'action="(/live/progress/[^"]+/{word}/)"', page)
        assert path, page
        self.post(path[1])

    def watch(self, page: str, until: str) -> str:
        """Reads the progress of the page's card up to a line that matches; without one, to the end."""
        path = re.search(r'href="(/live/progress/[^"]+)"', page)
        assert path, page
        request = Request(urljoin(self.url, path[1]), headers={"Accept": "text/event-stream"})
        line = ""
        with self.opener.open(request, timeout=60) as stream:
            for line in (found.decode() for found in stream if found.startswith(b"data:")):
                if re.search(until, line):
                    return line
        return line

    def bring(self, content: bytes) -> str:
        """Uploads a file and waits for the end; the page then."""
        page = self.upload(content)
        while 'class="live-progress-message"' in page and 'data-live-done="error"' not in page:
            self.watch(page, r'^data: \{"overall_percent": \d+, [^{]*"status": "(complete|error)"')
            page = self.get("/import/")[1]
        return page


HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@pytest.fixture(scope="module")
def anna(server: Server) -> Importer:
    visitor = Importer(server)
    visitor.sign_in("anna")
    return visitor


def figures(page: str) -> list[str]:
    """Imported, skipped, left out, prices."""
    return re.findall(r"<strong>([\d,]+)</strong>", page[page.index('id="result-title"') :])


def test_the_sample_is_imported_and_its_wrong_rows_are_left_out(server: Server, anna: Importer) -> None:
    sample = anna.get("/import/sample.csv")[1].splitlines()
    beginning = "\r\n".join(sample[:4_001]).encode()
    page = anna.bring(beginning)
    added, skipped, faulty, _prices = (int(figure.replace(",", "")) for figure in figures(page))
    left_out = anna.get(re.findall(r'href="(/import/\d+/left-out.csv)"', page)[0])[1].splitlines()
    assert (len(sample), added + faulty, skipped, len(left_out)) == (20_001, 4_000, 0, faulty + 1)
    assert faulty > 0
    assert rows(server, "SELECT count(*) FROM shop_order WHERE number LIKE 'W-1_____'") == [(added,)]
    page = anna.bring(beginning)
    assert figures(page)[:3] == ["0", f"{added:,}", str(faulty)]


def test_each_wrong_value_is_reported_with_its_line_and_a_reason(server: Server, anna: Importer) -> None:
    lines = [
        order(server, "W-400000"),
        order(server, "B-10001"),
        order(server, "W-400001", placed="30.9.2026"),
        order(server, "W-400001", placed="2026-02-30"),
        order(server, "W-400001", email="<script>alert(1)</script>"),
        order(server, "W-400001", article="D-1"),
        order(server, "W-400001", quantity=0),
        order(server, "W-400001", price="=1+1"),
        "",
        "W-400001",
        order(server, "W-400001") + ",more",
        order(server, "W-400000"),
    ]
    page = anna.bring("\r\n".join([HEADER, *lines]).encode("utf-8-sig"))
    assert figures(page)[:3] == ["1", "1", "9"]
    assert "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code>" in page
    report = anna.get(re.findall(r'href="(/import/\d+/left-out.csv)"', page)[0])[1]
    assert list(csv.reader(report.splitlines()))[1:] == [
        ["3", "number", "B-10001", "expected W- and digits, such as W-100001"],
        ["4", "placed", "30.9.2026", "expected a day, such as 2026-09-30"],
        ["5", "placed", "2026-02-30", "day is out of range for month"],
        ["6", "email", "<script>alert(1)</script>", "no customer has this address"],
        ["7", "article", "D-1", "the shop has no such article"],
        ["8", "quantity", "0", "expected a whole number from 1 to 999"],
        ["9", "price", "'=1+1", "expected euros with a point, such as 12.90"],
        ["11", "placed", "", "expected a day, such as 2026-09-30"],
        ["12", "", "more", "there are more values than columns"],
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HEADER.encode()[:-6] + b"\n", "The first line must name the columns. Missing: price."),
        (b"\xff\xfe\x00", "This is no text in UTF-8. Save it as “CSV UTF-8” and try again."),
        (f"{HEADER}\n{'x' * 200_000}".encode(), "Line 2 is no CSV."),
    ],
    ids=["columns", "encoding", "length"],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why_and_imports_nothing(anna: Importer, content: bytes, reason: str) -> None:
    page = anna.bring(content)
    assert f'<span class="live-progress-message">{reason}<span class="live-progress-final"></span></span>' in page
    assert "Nothing of orders.csv was imported." in page
    assert 'action="/live/event/upload/"' in page


def test_a_cancelled_import_keeps_whole_chunks_and_goes_on_after_them(paced: Server) -> None:
    ben = Importer(paced)
    ben.sign_in("ben")
    page = ben.upload(content(paced, 4_000))
    ben.watch(page, r'"add": \{[^}]*"status": "running"[^}]*"current": [1-9]')
    ben.press(ben.get("/import/")[1], "cancel")
    kept = (
        "SELECT position, added, (SELECT count(*) FROM shop_order WHERE number LIKE ?) FROM imports_import ORDER BY id"
    )
    prefix = f"W-{rows(paced, 'SELECT max(number) FROM shop_order')[0][0][2:4]}____"
    position, added, orders = rows(paced, kept, prefix)[-1]
    assert (added, orders, position % 500) == (position, position, 0)
    assert 0 < position < 4_000
    page = ben.get("/import/")[1]
    assert f"{position:,} orders of orders.csv are in the shop and stay there" in page
    ben.press(page, "retry")
    ben.watch(page, r'^data: \{"overall_percent": 100, [^{]*"status": "complete"')
    assert figures(ben.get("/import/")[1])[:3] == ["4,000", "0", "0"]
    assert rows(paced, kept, prefix)[-1] == (4_000, 4_000, 4_000)


def test_what_is_cancelled_in_the_middle_of_a_chunk_is_rolled_back(server: Server) -> None:
    """The second chunk is being saved when its import is cancelled: the first alone stays."""
    text = content(server, 1_200).decode()
    state = python(
        server,
        f"""
import json
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.db import connection
from demo.imports import steps
from demo.imports.models import Import
from demo.shop.models import Order, OrderLine
from htmx_live import Cancelled
from htmx_live.progress import ProgressSession

before, seen = Order.objects.count(), []
run = Import.objects.create(owner=User.objects.first(), name="a.csv", rows=1200, file=ContentFile({text!r}, "a.csv"))
session = ProgressSession.create(steps.TASKS)

def cancel_in_the_second_chunk(execute, sql, *given):
    if sql.startswith('INSERT INTO "shop_orderline"'):
        seen.append(Order.objects.count() - before)
        if seen[-1] > steps.CHUNK:
            session.cancel()
    return execute(sql, *given)

try:
    with connection.execute_wrapper(cancel_in_the_second_chunk), session.task("add"):
        steps.add(run.pk)
except Cancelled:
    run.refresh_from_db()
    lines = OrderLine.objects.filter(order__number__startswith={text.splitlines()[1][:4]!r}).count()
    print(json.dumps([max(seen), Order.objects.count() - before, run.position, run.added, str(session.status)]))
""",
    )
    assert state == [1_000, 500, 500, 500, "cancelled"]


def test_a_file_takes_no_more_memory_than_a_chunk_of_it(server: Server) -> None:
    peaks = python(
        server,
        """
import json, tracemalloc
from django.core.files.base import ContentFile
from demo.imports.reading import opened
from demo.imports.sample import sample_lines
from demo.shop.models import private_files
from types import SimpleNamespace

def peak(count):
    name = private_files().save("imports/memory.csv", ContentFile("".join(sample_lines(count))))
    tracemalloc.start()
    with opened(SimpleNamespace(storage=private_files(), name=name)) as rows:
        assert sum(1 for row in rows) == count
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    private_files().delete(name)
    return most

peak(10)
print(json.dumps([peak(2_000), peak(20_000)]))
""",
    )
    assert peaks[1] < 1.5 * peaks[0]


def test_an_import_whose_server_died_goes_on_where_it_stood(tmp_path: Path) -> None:
    with demo_server(tmp_path, DEMO_PACE="0.3") as server:
        anna = Importer(server)
        anna.sign_in("anna")
        page = anna.upload(content(server, 3_000))
        anna.watch(page, r'"add": \{[^}]*"status": "running"[^}]*"current": [1-9]')
        server.kill()
        server.env["DEMO_PACE"] = "0"
        position = rows(server, "SELECT position FROM imports_import")[0][0]
        server.start()
        page = anna.get("/import/")[1]
        assert (0 < position < 3_000, "The process that did it is gone." in page) == (True, True)
        form = page[page.index('action="/live/event/resume/"') :]
        anna.post("/live/event/resume/", **{name: unescape(value) for name, value in HIDDEN.findall(form)[:2]})
        anna.watch(anna.get("/import/")[1], r'^data: \{"overall_percent": 100, [^{]*"status": "complete"')
        assert figures(anna.get("/import/")[1])[:3] == ["3,000", "0", "0"]


def test_an_import_that_ends_between_two_reads_is_shown_as_ended(server: Server) -> None:
    """The view has read the row of a running import; before it reads the progress, the import ends."""
    shown = python(
        server,
        """
import json
from django.contrib.auth.models import User
from django.test.utils import setup_test_environment
from django.utils.timezone import now
from demo.imports.models import Import
from demo.imports.views import ImportOrders
from htmx_live.progress import ProgressSession
from htmx_live.progress.store import override_progress_store
from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.testing import ManualClock
from htmx_live.testing.client import PageClient
from htmx_live.testing.environment import live_environment

class EndsWhileItIsShown(ImportOrders):
    def _shown(self):
        run = super()._shown()
        Import.objects.filter(pk=run.pk, ended_at=None).update(added=7, ended_at=now())
        session.complete("prices")
        clock.advance(60)
        return run

setup_test_environment()
clock = ManualClock()
with live_environment(), override_progress_store(MemoryProgressStore(clock=clock)):
    user = User.objects.create(username="late")
    session = ProgressSession.create({"prices": "Update prices"}, owner=user)
    Import.objects.create(owner=user, name="late.csv", session=session.session_id)
    client = PageClient(EndsWhileItIsShown, "/", {})
    client.force_login(user)
    print(json.dumps(client.get("/").content.decode()))
""",
    )
    assert figures(shown)[0] == "7"
    assert "Nothing of late.csv was imported." not in shown
    assert 'http-equiv="refresh"' in shown  # the view may have been rendered while the import was running


def test_nobody_sees_the_imports_of_others(server: Server, anna: Importer) -> None:
    anna.bring(content(server, 3))
    pk = rows(server, "SELECT max(id) FROM imports_import")[0][0]
    ben = Importer(server)
    ben.sign_in("ben")
    for path in (f"/import/{pk}/", f"/import/{pk}/left-out.csv"):
        assert anna.get(path)[0] == path
        with pytest.raises(HTTPError, match="404") as refused:
            ben.get(path)
        refused.value.close()
    assert re.findall(r'href="/import/\d', ben.get("/import/")[1]) == []


def test_a_larger_file_is_written_by_a_command_which_overwrites_nothing(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "demo/manage.py"), "sampleorders", "orders.csv", "--rows", "30000"]
    for is_first in (True, False):
        done = subprocess.run(command, cwd=tmp_path, env=server.env, capture_output=True, text=True, timeout=60)
        assert (done.returncode == 0, "File exists" in done.stderr) == (is_first, not is_first)
    text = (tmp_path / "orders.csv").read_text(encoding="utf-8")
    assert (text.splitlines()[0], len(text.splitlines())) == (HEADER, 30_001)

"""What a stranger may expect of the installed wheel."""

import re
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import SimpleTestCase

import htmx_live

ASSET = re.compile(r'(?:src|href)="([^"]+\.(?:js|css))"')


class Wheel(SimpleTestCase):
    def test_the_library_comes_from_the_wheel(self):
        self.assertIn("site-packages", Path(htmx_live.__file__).parts)

    def test_components_and_static_files_are_real_folders_in_it(self):
        names = {Path(*file.parts[:2]) for file in distribution("htmx-live").files}
        self.assertLessEqual({Path("htmx_live/components"), Path("htmx_live/static")}, names)
        self.assertFalse((Path(htmx_live.__file__).parent / "static").is_symlink())

    def test_no_tests_and_no_demo_in_it(self):
        tops = {file.parts[0] for file in distribution("htmx-live").files}
        self.assertEqual([top for top in tops if not top.startswith("htmx_live")], [])


class Page(StaticLiveServerTestCase):
    def test_it_shows_the_live_view_and_every_asset_is_served(self):
        with urlopen(self.live_server_url) as answer:
            page = answer.read().decode()
        self.assertIn("<output>0</output>", page)
        assets = ASSET.findall(page)
        self.assertTrue(any("htmx_live/htmx-live" in asset for asset in assets), assets)
        for asset in assets:
            with urlopen(urljoin(self.live_server_url, asset)) as answer:
                self.assertTrue(answer.read(), asset)

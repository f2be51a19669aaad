"""``manage.py sampleorders``: a file for the import page, as large as wanted."""

import sys
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from demo.imports.sample import ROWS, sample_lines


class Command(BaseCommand):
    help = "Write a CSV file of made-up orders for the import page. The same command writes the same file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="where to; a file that is there stays as it is. - is the standard output")
        parser.add_argument("--rows", type=int, default=ROWS, help=f"how many orders; {ROWS} if nothing is said")

    def handle(self, *args: object, file: str, rows: int, **options: object) -> None:
        if rows < 1:
            raise CommandError(f"--rows {rows}: expected a number from 1 on.")
        try:
            lines = sample_lines(rows)
        except ValueError as error:
            raise CommandError(str(error)) from None
        if file == "-":
            sys.stdout.writelines(lines)
            return
        try:
            with Path(file).open("x", encoding="utf-8", newline="") as out:
                out.writelines(lines)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}.") from None
        self.stdout.write(f"{file} holds {rows} orders, {Path(file).stat().st_size // 1024} KB.")

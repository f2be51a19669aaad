from django.db import migrations

CONTENT = """Saturday's tasting, 11 to 16 h

- Olives and bread on the long table
- Three oils: Kalamata, lemon, walnut
- Somebody has to fetch the ice
"""


def write(apps, schema_editor):
    apps.get_model("notes", "Note").objects.create(pk=1, title="Plan for Saturday", content=CONTENT)


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]

    operations = [migrations.RunPython(write, migrations.RunPython.noop)]

"""What is known of drivers is written down once in the code, and the same in the documentation."""

from pathlib import Path

import clnd
from clnd.opencl.quirks import INTEL, MESA, ORACLE, POCL, QUIRKS
from clnd.opencl.source import template_folder

NAMES = {POCL: "PoCL", INTEL: "Intel", MESA: "rusticl", ORACLE: "Oclgrind"}
HOUSE = Path(__file__).resolve().parents[2]


def test_the_files_are_there():
    for quirk in QUIRKS:
        folder, _, file = quirk.where.rpartition("/")
        assert ((template_folder() if folder == "templates" else Path(clnd.__file__).parent / folder) / file).is_file(), quirk


def test_the_documentation_has_each():
    rows = [
        f"| {', '.join(NAMES[part] for part in quirk.drivers) or 'all'} | {quirk.does} | {quirk.met} | `{quirk.where}` |"
        for quirk in QUIRKS
    ]
    text = (HOUSE / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert "\n".join(rows) in text, "give ARCHITECTURE.md these rows:\n" + "\n".join(rows)

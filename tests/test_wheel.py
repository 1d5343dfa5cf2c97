"""What is built from the checkout holds all that runs, and computes from anywhere."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted(path.name for path in (CHECKOUT / "templates").glob("*.mako"))

pytestmark = pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").is_file(), reason="there is no checkout to build from")


def python(*arguments: str, folder: Path, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of a wheel and a source distribution, built without the network."""
    folder = tmp_path_factory.mktemp("built")
    python("-m", "hatchling", "build", "--directory", str(folder), folder=CHECKOUT)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


def test_the_wheel_holds_package_templates_and_licence(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert TEMPLATES
    assert sorted(name.removeprefix("clnd/templates/") for name in names if name.startswith("clnd/templates/")) == TEMPLATES
    modules = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "clnd").rglob("*.py")}
    assert modules <= set(names)
    assert "clnd/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("clnd/", "clnd-"))]


def test_the_wheel_offers_command_and_extras(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    (scripts,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
    assert "clnd = clnd.cli:main" in scripts
    extras = {line.removeprefix("Provides-Extra: ") for line in metadata.splitlines() if line.startswith("Provides-Extra: ")}
    assert extras == {"cpu", "examples", "intel", "pocl", "test"}
    assert "License-Expression: Apache-2.0" in metadata


def test_the_source_distribution_can_be_tested_and_built(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"templates/{name}" for name in TEMPLATES} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "clnd/__init__.py", "tests/test_wheel.py", "tests/conftest.py"} <= names


def test_an_installed_wheel_computes_outside_the_checkout(wheel, tmp_path):
    target = tmp_path / "site"
    command = (
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        "--target",
        str(target),
        str(wheel),
    )
    python(*command, folder=tmp_path)
    code = "import clnd as mx; print(mx.__file__); print((mx.nd.arange(3) * 2 + 1).asnumpy().tolist())"
    where, values = python("-c", code, folder=tmp_path, PYTHONPATH=str(target), CLND_CACHE=str(tmp_path / "cache")).splitlines()
    assert Path(where).is_relative_to(target)
    assert values == "[1.0, 3.0, 5.0]"

"""Kernel sources: rendered from templates, each a pure function of the templates' text and the parameters."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clnd.errors import MXNetError
from clnd.opencl.counters import counters
from clnd.opencl.files import write_whole

_TAKES_IN = re.compile(r"""<%(?:namespace|include|inherit)\b[^>]*?\bfile\s*=\s*["']([^"'$]+)["']""")
_LONGEST_NAME = 200  # file systems take 255 bytes


@cache
def template_folder() -> Path:
    """Find the templates: inside the installed package, or beside it in a checkout.

    Examples
    --------
    >>> template_folder().name
    'templates'
    """
    package = Path(__file__).resolve().parent.parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


def template_text(template: str) -> str:
    """Give the text of a template and of all templates that it takes in.

    Raises
    ------
    MXNetError
        When one of them is missing.
    """
    return _texts(template_folder(), f"{template}.cl.mako")


@cache
def _texts(folder: Path, file: str) -> str:
    texts: dict[str, str] = {}
    waiting = [file]
    while waiting:
        name = waiting.pop().lstrip("/")
        if name in texts:
            continue
        try:
            texts[name] = (folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise MXNetError(f"the kernel template {name} is missing from {folder}") from error
        waiting += _TAKES_IN.findall(texts[name])
    return "\0".join(f"{name}\0{texts[name]}" for name in sorted(texts))


@cache
def _lookup(folder: Path) -> Any:
    from mako.lookup import TemplateLookup  # here, since a warm run renders nothing

    return TemplateLookup(directories=[str(folder)], strict_undefined=True, input_encoding="utf-8")


def tidy(source: str) -> str:
    """Indent OpenCL C by its braces and drop needless blank lines: a template's own layout serves the template.

    Examples
    --------
    >>> print(tidy("void f(int n)\\n{\\n\\n  if (n)\\n  g();\\n\\n\\n      }"), end="")
    void f(int n)
    {
        if (n)
            g();
    }
    """
    lines: list[str] = []
    depth, unfinished = 0, False
    for text in map(str.strip, source.splitlines()):
        if not text:
            if lines and lines[-1] and not lines[-1].endswith("{"):
                lines.append("")
            continue
        if text.startswith("}") and lines and not lines[-1]:
            lines.pop()
        plain = text.startswith(("#", "//"))
        closing = len(text) - len(text.lstrip("})"))
        level = depth - closing + (unfinished and not plain and not text.startswith("{"))
        lines.append("    " * max(0, level) + text)
        if not plain:
            depth += sum(text.count(mark) for mark in "{(") - sum(text.count(mark) for mark in "})")
            unfinished = not text.partition("//")[0].rstrip().endswith((";", "{", "}", ",", "(")) and depth > 0
    return "\n".join(lines).strip() + "\n"


def render(template: str, name: str, parameters: Mapping[str, Any]) -> str:
    """Render a kernel's source.

    Parameters
    ----------
    template
        The template's name: the file is ``NAME.cl.mako``.
    name
        The kernel's name, which the template gets as `name`.
    parameters
        All else that the template reads.

    Returns
    -------
    str
        OpenCL C.

    Raises
    ------
    MXNetError
        When the template is missing or fails; it says where.
    """
    from mako import exceptions

    counters.renders += 1
    try:
        source: str = _lookup(template_folder()).get_template(f"{template}.cl.mako").render_unicode(name=name, **parameters)
    except Exception as error:
        where = exceptions.text_error_template().render()
        raise MXNetError(f"kernel {name}: rendering {template}.cl.mako failed: {error}\n{where}") from error
    lanes = parameters.get("lanes", 1)
    if parameters.get("schedule") == "cpu" and lanes > 1:
        # A compiler that would make vectors of work-items is told that they are vectors already. Intel's takes half the time then.
        source = source.replace("__kernel void ", f"__kernel __attribute__((vec_type_hint(float{lanes})))\nvoid ")
    return tidy(source)


def dump(folder: str, name: str, source: str) -> None:
    """Write a source as ``NAME.cl``, with a digest in the name where another source has it already.

    Raises
    ------
    MXNetError
        When the folder cannot be written.
    """
    stem, data = name[:_LONGEST_NAME], source.encode()
    path = Path(folder, f"{stem}.cl")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_bytes() != data:
            path = path.with_name(f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}.cl")
        write_whole(path, data)
    except OSError as error:
        raise MXNetError(f"CLND_DUMP={folder}: cannot write {path.name}: {error}") from error

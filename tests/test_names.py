"""The namespaces beside MXNet's: every name is there, and takes the parameters that it takes there. Of what is left out, errors tell."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import clnd as mx
from clnd import nd

NAMES = [line for line in Path(__file__).with_name("mxnet_names.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
SPACES = {
    "nd": nd,
    "NDArray": nd.NDArray,
    "nd.random": nd.random,
    "random": mx.random,
    "nd.linalg": nd.linalg,
    "nd.contrib": nd.contrib,
    "autograd": mx.autograd,
    "context": mx.context,
}


def parsed(line: str) -> tuple[str, str, list[str] | None]:
    """The namespace, the name, and the parameters (None for a property) of a line."""
    space, rest = line.split(" ", 1)
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", rest)
    assert match is not None, line
    return space, match[1], None if match[2] is None else [p for p in match[2].split(", ") if p]


def accepted(function: object, parameter: str) -> bool:
    """Can the function be given the parameter by its name?"""
    known = inspect.signature(function).parameters  # type: ignore[arg-type]
    kinds = {p.kind for p in known.values()}
    if parameter.startswith("*"):
        return inspect.Parameter.VAR_POSITIONAL in kinds
    return parameter in known or inspect.Parameter.VAR_KEYWORD in kinds


def test_every_name_is_there():
    assert [line for line in NAMES if not hasattr(SPACES[parsed(line)[0]], parsed(line)[1])] == []


@pytest.mark.parametrize("space", SPACES)
def test_every_parameter_is_taken(space):
    refused = []
    for line in NAMES:
        of, name, parameters = parsed(line)
        found = getattr(SPACES[of], name, None)
        if of != space or parameters is None or found is None:
            continue
        refused += [f"{name}: {p}" for p in parameters if not (space == "NDArray" and p == "*args") and not accepted(found, p)]
    assert refused == []


def test_functions_of_operators_take_out_and_name():
    refused = []
    for line in NAMES:
        space, name, parameters = parsed(line)
        found = getattr(SPACES[space], name, None)
        if parameters is None or not hasattr(found, "__signature__"):
            continue
        refused += [f"{line}: {p}" for p in ("out", "name") if not accepted(found, p)]
    assert refused == []


@pytest.mark.parametrize(
    ("of", "name", "advice"),
    [
        (mx, "sym", "no symbols: call nd's operators under autograd.record"),
        (nd, "sparse", "dense: take, Embedding and where"),
        (nd, "csr_matrix", "dense: take, Embedding and where"),
        (nd.contrib, "quantize_v2", "no quantised operators: astype"),
        (nd, "no_such_name", "nd has no no_such_name"),
    ],
)
def test_what_is_left_out_says_what_to_use_instead(of, name, advice):
    assert not hasattr(of, name)
    with pytest.raises(mx.MXNetError, match=re.escape(advice)):
        getattr(of, name)


@pytest.mark.parametrize(
    "call", [lambda: nd.zeros(3, stype="csr"), lambda: nd.ones(3).tostype("row_sparse"), lambda: nd.ones(3).attach_grad(stype="csr")]
)
def test_sparse_storage_is_refused(call):
    with pytest.raises(mx.MXNetError, match=r"clnd has no \w+ storage"):
        call()


def test_bfloat16_is_refused():
    with pytest.raises(TypeError, match=r"bfloat16.* is not supported; the dtypes are float16"):
        nd.ones(3).astype("bfloat16")

"""The example that trains a network on handwritten digits."""

import importlib
import re
import subprocess
import sys

import numpy as np
import pytest

import clnd as mx
from clnd import nd
from clnd.examples import digits


def test_a_short_run_learns_and_draws(tmp_path, capsys):
    picture = tmp_path / "short.png"
    digits.main(epochs=6, batch_size=32, seed=0, context=digits.ContextName.cpu, picture=picture)
    out = " ".join(capsys.readouterr().out.split())
    assert f"on cpu(0): {' '.join(mx.cpu().device_name.split())}" in out
    assert "Training on 1438 images, 359 held out" in out
    assert re.search(r"[\d.]+ s an epoch, [\d,]+ images/s", out)
    right = float(re.search(r"([\d.]+)% of the held-out images are right", out)[1])
    assert right > 93
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.stat().st_size > 5000


def test_the_same_seed_trains_the_same_network():
    images, labels, _, _ = digits.split_digits()

    def train(seed):
        mx.random.seed(seed)
        parameters = digits.initial_parameters()
        velocities = [nd.zeros_like(parameter) for parameter in parameters]
        return digits.train_epoch(images, labels, parameters, velocities, 100), *(parameter.asnumpy() for parameter in parameters)

    first, again, other = train(1), train(1), train(2)
    for a, b in zip(first, again):
        np.testing.assert_array_equal(a, b)
    assert first[0] != other[0]


def test_held_out_images_are_never_trained_on():
    images, labels, held_out_images, held_out_labels = (part.asnumpy() for part in digits.split_digits())
    assert (len(images), len(held_out_images)) == (1438, 359)
    assert (len(labels), len(held_out_labels)) == (1438, 359)
    trained_on = {image.tobytes() for image in images}
    assert not [i for i, image in enumerate(held_out_images) if image.tobytes() in trained_on]
    assert 0 <= images.min() < images.max() == 1
    assert (np.bincount(held_out_labels.astype(int)) > 20).all()


def test_runs_as_a_command(tmp_path):
    command = [sys.executable, "-m", "clnd.examples.digits", "--epochs", "1", "--batch-size", "256", "--seed", "3", "--context", "cpu"]
    finished = subprocess.run([*command, "--picture", "own.png"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["own.png"]


@pytest.mark.parametrize("missing", ["matplotlib", "sklearn"])
def test_a_missing_package_names_the_extra(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure" if missing == "matplotlib" else "sklearn.datasets", None)
    monkeypatch.delitem(sys.modules, "clnd.examples.digits")
    with pytest.raises(SystemExit, match=rf"needs {missing}.*pip install 'clnd\[examples\]'"):
        importlib.import_module("clnd.examples.digits")

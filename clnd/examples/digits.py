"""Train a multilayer perceptron on scikit-learn's handwritten digits, with `nd` and `autograd` alone.

Run it with ``python -m clnd.examples.digits``; ``--help`` lists its options.
"""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np

import clnd as mx
from clnd import autograd, nd

try:
    import typer
    from matplotlib.figure import Figure
    from rich import print
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from sklearn.datasets import load_digits
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install 'clnd[examples]'") from error

PIXELS, HIDDEN, CLASSES = 64, 128, 10
LEARNING_RATE, MOMENTUM = 0.1, 0.9
HELD_OUT = 0.2  # the part of the images that is never trained on
SPLIT_SEED = 0  # the same split whatever --seed says, so that runs can be compared

ContextName = Enum("ContextName", {"cpu": "cpu", "gpu": "gpu"}, type=str)


def split_digits() -> tuple[nd.NDArray, nd.NDArray, nd.NDArray, nd.NDArray]:
    """Give training images, training labels, held-out images and held-out labels; a pixel is between 0 and 1."""
    images, labels = load_digits(return_X_y=True)
    shuffled = np.random.RandomState(SPLIT_SEED).permutation(len(images))
    held_out, training = np.split(shuffled, [round(HELD_OUT * len(images))])
    return nd.array(images[training] / 16), nd.array(labels[training]), nd.array(images[held_out] / 16), nd.array(labels[held_out])


def initial_parameters() -> list[nd.NDArray]:
    """Draw the weights and biases of both layers and attach a gradient to each."""
    weight1 = nd.random.normal(scale=(2 / PIXELS) ** 0.5, shape=(PIXELS, HIDDEN))
    weight2 = nd.random.normal(scale=(2 / HIDDEN) ** 0.5, shape=(HIDDEN, CLASSES))
    parameters = [weight1, nd.zeros(HIDDEN), weight2, nd.zeros(CLASSES)]
    for parameter in parameters:
        parameter.attach_grad()
    return parameters


def scores(images: nd.NDArray, parameters: list[nd.NDArray]) -> nd.NDArray:
    """Compute the network: one hidden layer, and one score a class."""
    weight1, bias1, weight2, bias2 = parameters
    hidden = nd.relu(nd.dot(images, weight1) + bias1)
    return nd.dot(hidden, weight2) + bias2


def train_epoch(
    images: nd.NDArray, labels: nd.NDArray, parameters: list[nd.NDArray], velocities: list[nd.NDArray], batch_size: int
) -> float:
    """Show every image once, in a new order, and give the mean loss."""
    order = nd.random.shuffle(nd.arange(len(images)))
    images, labels = nd.take(images, order), nd.take(labels, order)
    total = nd.zeros(1)
    for start in range(0, len(images), batch_size):
        batch, batch_labels = images[start : start + batch_size], labels[start : start + batch_size]
        with autograd.record():
            loss = nd.softmax_cross_entropy(scores(batch, parameters), batch_labels)
            mean_loss = loss / len(batch)
        mean_loss.backward()
        for parameter, velocity in zip(parameters, velocities, strict=True):
            velocity[:] = MOMENTUM * velocity - LEARNING_RATE * parameter.grad
            parameter[:] = parameter + velocity
        total += loss
    return float(total.asscalar()) / len(images)


def draw(picture: Path, losses: list[float], images: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> None:
    """Write one picture with the loss of each epoch and the held-out images that the network gets wrong."""
    wrong = np.flatnonzero(predicted != labels)
    shown = wrong[:24]
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = figure.subfigures(1, 2)  # type: ignore[misc]  # its stub does not know the number
    curve = left.subplots()
    curve.plot(range(1, len(losses) + 1), losses)
    curve.set(title="Training loss", xlabel="epoch", ylabel="mean cross-entropy", yscale="log")
    more = f" (the first {len(shown)})" if len(shown) < len(wrong) else ""
    right.suptitle(f"{len(wrong)} of {len(labels)} held-out images are wrong{more}: true → predicted")
    for axes in (grid := right.subplots(4, 6)).flat:
        axes.axis("off")
    for axes, i in zip(grid.flat, shown, strict=False):
        axes.imshow(images[i].reshape(8, 8), cmap="gray_r")
        axes.set_title(f"{labels[i]:.0f} → {predicted[i]:.0f}", fontsize=9)
    figure.savefig(picture, dpi=100)


def main(
    epochs: Annotated[int, typer.Option(min=1, help="How often every training image is shown.")] = 30,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the order of the images.")] = 0,
    context: Annotated[ContextName, typer.Option(help="Where to compute.")] = ContextName.cpu,
    picture: Annotated[Path, typer.Option(help="The picture file to write.", dir_okay=False)] = Path("digits.png"),
) -> None:
    """Train a multilayer perceptron on handwritten digits and draw its loss and its mistakes."""
    device = mx.gpu() if context is ContextName.gpu else mx.cpu()
    with device:
        mx.random.seed(seed)
        images, labels, held_out_images, held_out_labels = split_digits()
        print(f"Training on {len(images)} images, {len(held_out_images)} held out, on {mx.current_context()}: {device.device_name}")

        parameters = initial_parameters()
        velocities = [nd.zeros_like(parameter) for parameter in parameters]
        losses, seconds = [], []
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns) as progress:
            task = progress.add_task("epochs", total=epochs)
            for _ in range(epochs):
                began = time.perf_counter()
                losses.append(train_epoch(images, labels, parameters, velocities, batch_size))
                seconds.append(time.perf_counter() - began)
                progress.update(task, advance=1, description=f"loss {losses[-1]:.4f}, {len(images) / seconds[-1]:,.0f} images/s")

        predicted = nd.argmax(scores(held_out_images, parameters), axis=1).asnumpy()
        truth = held_out_labels.asnumpy()
        epoch = median(seconds[1:] or seconds)
        print(f"{epoch:.3f} s an epoch, {len(images) / epoch:,.0f} images/s")
        print(f"The first epoch took {seconds[0]:.2f} s, with building its kernels")
        print(f"{(predicted == truth).mean():.2%} of the held-out images are right")
        draw(picture, losses, held_out_images.asnumpy(), truth, predicted)
        print(f"The loss and the mistakes are drawn in {picture}")


if __name__ == "__main__":
    typer.run(main)

"""Images and spectra: what is refused, results in given arrays, and work that takes several launches."""

from __future__ import annotations

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.engine import launch, repeats
from clnd.ops import registry
from measures import CONTEXTS, allocated, launches
from ops.cases_vision import CASES, roi_align
from ops.checks import check_case

DIVIDED = {"resample", "resample_back", "correlation_back", "roi_places", "nms_order"}  # at these sizes, at least
CALLS = [case for case in CASES if all(0 not in shape for shape in case.shapes)]


@pytest.fixture(params=CONTEXTS, ids=str)
def device(request):
    return request.param.device


@pytest.mark.portability
@pytest.mark.parametrize("case", CALLS, ids=str)
def test_work_in_several_launches(case, device, seeded, monkeypatch):
    dtype = np.dtype(case.dtypes[0] if case.dtypes[0] != "float16" else "float32")

    def check():
        check_case(case, dtype, device, np.random.default_rng(seeded))

    once = launches(check)
    monkeypatch.setattr(engine, "ROUNDS", 4)
    repeats._known.clear()
    often = launches(check)
    assert often > once if case.operator in DIVIDED else often >= once


contrib, NAN, INFINITY = nd.contrib, float("nan"), float("inf")


def images(*shape):
    return nd.ones(shape or (2, 3, 4, 5))


REFUSED = [
    (lambda: nd.BilinearSampler(images(3, 4), images(2, 2, 3, 3)), r"BilinearSampler: data .*\(3, 4\)"),
    (lambda: nd.BilinearSampler(images(), images(2, 2, 3)), r"BilinearSampler: the grid .*\(2, 2, 3\)"),
    (lambda: nd.BilinearSampler(images(), images(1, 2, 3, 3)), r"BilinearSampler: the grid .*\(1, 2, 3, 3\)"),
    (lambda: nd.BilinearSampler(images()), "BilinearSampler: the array 'grid' is missing"),
    (lambda: nd.GridGenerator(nd.ones((2, 5)), transform_type="affine", target_shape=(2, 2)), r"GridGenerator: .*\(2, 5\)"),
    (lambda: nd.GridGenerator(nd.ones((2, 6)), transform_type="affine"), r"GridGenerator: target_shape .*\(0, 0\)"),
    (lambda: nd.GridGenerator(nd.ones((2, 6)), transform_type="shear", target_shape=(2, 2)), "GridGenerator: transform_type 'shear'"),
    (lambda: nd.GridGenerator(images(), transform_type="warp"), r"GridGenerator: .*\(2, 3, 4, 5\)"),
    (lambda: nd.SpatialTransformer(images(), nd.ones((2, 6)), target_shape=(2, 2), transform_type="warp"), "SpatialTransformer .*'warp'"),
    (lambda: nd.SpatialTransformer(images(), nd.ones((1, 6)), target_shape=(2, 2)), r"SpatialTransformer: loc .*\(2, 6\).*\(1, 6\)"),
    (lambda: nd.SpatialTransformer(images(), nd.ones((2, 6))), r"SpatialTransformer: target_shape .*\(0, 0\)"),
    (lambda: contrib.AdaptiveAvgPooling2D(images(3, 4, 5), output_size=2), r"AdaptiveAvgPooling2D: data .*\(3, 4, 5\)"),
    (lambda: contrib.AdaptiveAvgPooling2D(images(1, 1, 0, 5)), r"AdaptiveAvgPooling2D: .*\(1, 1, 0, 5\)"),
    *[
        (lambda size=size: contrib.AdaptiveAvgPooling2D(images(), output_size=size), "AdaptiveAvgPooling2D: output_size")
        for size in (-1, (1, 2, 3), (1, 0), 2.5, "large")
    ],
    (lambda: contrib.BilinearResize2D(images(), height=0, width=3), "BilinearResize2D: .*0 rows and 3 columns"),
    (lambda: contrib.BilinearResize2D(images(), scale_height=0.1, scale_width=2.0), "BilinearResize2D: .*0 rows and 10 columns"),
    (lambda: contrib.BilinearResize2D(images(), height=3, width=3, mode="cubic"), "BilinearResize2D: mode 'cubic'"),
    (lambda: contrib.BilinearResize2D(images(), mode="like"), "BilinearResize2D: mode 'like'"),
    (lambda: contrib.BilinearResize2D(images(3), height=3, width=3), r"BilinearResize2D: data .*\(3,\)"),
    (lambda: nd.UpSampling(images(), scale=0, sample_type="nearest"), "UpSampling: scale 0"),
    (lambda: nd.UpSampling(images(), scale=2, sample_type="cubic"), "UpSampling: no sample_type 'cubic'"),
    (lambda: nd.UpSampling(images(), scale=2, sample_type="bilinear", num_filter=3), "UpSampling: bilinear takes the data and a weight"),
    (lambda: nd.UpSampling(images(), images(2, 3, 3, 2), scale=2, sample_type="nearest"), r"UpSampling: .*\(2, 3, 3, 2\)"),
    (lambda: nd.Correlation(images(), images(2, 3, 4, 4)), r"Correlation: .*\(2, 3, 4, 5\) and \(2, 3, 4, 4\)"),
    (lambda: nd.Correlation(images(), images(), kernel_size=2), "Correlation: kernel_size must be odd"),
    (lambda: nd.Correlation(images(), images(), max_displacement=10), "Correlation: .* too small .* larger pad_size"),
    *[
        (lambda given=given: nd.Correlation(images(), images(), **given), "Correlation: strides are positive")
        for given in ({"stride1": 0}, {"stride2": 0}, {"pad_size": -1}, {"max_displacement": -1})
    ],
    (lambda: nd.ROIPooling(images(), nd.ones((2, 4)), pooled_size=(2, 2), spatial_scale=1), r"ROIPooling: rois .*\(2, 4\)"),
    (lambda: nd.ROIPooling(images(), nd.ones((2, 5)), pooled_size=(0, 2), spatial_scale=1), r"ROIPooling: pooled_size .*\(0, 2\)"),
    (lambda: nd.ROIPooling(images(), nd.ones((2, 5)), pooled_size=(2, 2)), "ROIPooling: the attribute spatial_scale"),
    (lambda: nd.ROIPooling(images(3), nd.ones((2, 5)), pooled_size=(2, 2), spatial_scale=1), r"ROIPooling: data .*\(3,\)"),
    (lambda: contrib.ROIAlign(images(), nd.ones((5,)), pooled_size=(2, 2), spatial_scale=1), r"ROIAlign: rois .*\(5,\)"),
    (
        lambda: contrib.ROIAlign(images(), nd.ones((2, 5)), pooled_size=(2, 2), spatial_scale=1, position_sensitive=True),
        r"ROIAlign: 3 channels are not 2 \* 2 equal parts",
    ),
    (lambda: contrib.box_iou(nd.ones((2, 5)), nd.ones((2, 4))), r"box_iou: .*\(2, 5\)"),
    (lambda: contrib.box_iou(nd.array(1).reshape(()), nd.ones((2, 4))), r"box_iou: .*\(\)"),
    (lambda: contrib.box_iou(nd.ones((2, 4)), nd.ones((2, 4)), format="edges"), "box_iou: format 'edges'"),
    (lambda: contrib.box_nms(nd.ones((6,))), r"box_nms: .*\(6,\)"),
    (lambda: contrib.box_nms(nd.ones((2, 6), dtype="int32")), "box_nms: .*int32"),
    (lambda: contrib.box_nms(nd.ones((2, 5))), "box_nms: coord_start 2"),
    (lambda: contrib.box_nms(nd.ones((2, 6)), id_index=6), "box_nms: .*id_index 6"),
    (lambda: contrib.box_nms(nd.ones((2, 6)), in_format="edges"), "box_nms: in_format 'edges'"),
    (lambda: contrib.fft(nd.array(1).reshape(())), "fft: an array of no axes"),
    (lambda: contrib.ifft(nd.ones((2, 3))), r"ifft: .*\(2, 3\)"),
    (lambda: contrib.ifft(nd.array(1).reshape(())), r"ifft: .*\(\)"),
]


@pytest.mark.parametrize(("call", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_what_is_no_image_box_or_line_is_refused(call, text):
    with pytest.raises(mx.MXNetError, match=text):
        call()


@pytest.mark.portability
@pytest.mark.parametrize("n", [1, 2, 8, 12, 35, 64, 131])
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_many_lines_are_transformed_as_one_is(n, context):
    x = np.random.default_rng(n).normal(size=(37, n)).astype(np.float32)
    lines = nd.array(x, ctx=context)
    found = contrib.fft(lines).asnumpy().reshape(37, n, 2)
    expected = np.fft.fft(x.astype(float))
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    back = contrib.ifft(contrib.fft(lines)).asnumpy() / n
    np.testing.assert_allclose(back, x, rtol=0, atol=4e-6 * np.abs(x).max())


def test_results_go_into_parts_of_arrays_on_every_context():
    for context in CONTEXTS:
        data = nd.arange(24, ctx=context).reshape((1, 2, 3, 4))
        whole = nd.full((2, 1, 2, 2, 2), -1, ctx=context)
        contrib.AdaptiveAvgPooling2D(data, output_size=2, out=whole[1])
        np.testing.assert_array_equal(whole[0].asnumpy(), -1)
        np.testing.assert_array_equal(whole[1].asnumpy(), contrib.AdaptiveAvgPooling2D(data, output_size=2).asnumpy())
        lines = nd.full((3, 8), -1, ctx=context)
        contrib.fft(data[0, 0, :1], out=lines[1:2])
        np.testing.assert_allclose(lines.asnumpy(), [[-1] * 8, [6, 0, -2, 2, -2, 0, -2, -2], [-1] * 8], atol=1e-6)


@pytest.mark.portability
@pytest.mark.parametrize("place", [NAN, INFINITY, -INFINITY, 1e30, -1e30])
def test_places_that_are_none_give_zeros_and_no_gradient(place):
    data, grid = images(), nd.full((2, 2, 3, 3), place)
    regions = nd.full((2, 5), place)
    data.attach_grad()
    with autograd.record():
        found = [
            nd.BilinearSampler(data, grid),
            nd.ROIPooling(data, regions, pooled_size=(2, 2), spatial_scale=1),
            contrib.ROIAlign(data, regions, pooled_size=(2, 2), spatial_scale=1),
            contrib.ROIAlign(data, regions, pooled_size=(2, 2), spatial_scale=1, sample_ratio=2),
        ]
    autograd.backward(found)
    for array in (*found, data.grad):
        np.testing.assert_array_equal(array.asnumpy(), 0)


def test_an_array_that_is_image_and_grid_gets_both_gradients(seeded):
    x = np.random.default_rng(seeded).uniform(-0.9, 0.9, (1, 2, 4, 5))
    both, data, grid = (nd.array(x) for _ in range(3))
    for array in (both, data, grid):
        array.attach_grad()
    with autograd.record():
        results = [nd.BilinearSampler(both, both), nd.BilinearSampler(data, grid)]
    autograd.backward(results)
    np.testing.assert_allclose(both.grad.asnumpy(), data.grad.asnumpy() + grid.grad.asnumpy(), rtol=1e-6)


def test_regions_far_larger_than_their_image_take_no_more_samples_than_lie_in_it():
    data = nd.arange(20).reshape((1, 1, 4, 5))
    regions = nd.array([[0, 0, 0, 1e9, 3], [0, -1000, -2000, 5000, 3001], [0, 0, 0, NAN, 3]])
    with allocated(mx.cpu().device) as sizes:
        found = contrib.ROIAlign(data, regions, pooled_size=(1, 1), spatial_scale=1).asnumpy()
    assert max(sizes) < 100_000
    expected = roi_align(data.asnumpy().astype(float), regions.asnumpy()[1:2], (1, 1), 1.0)
    np.testing.assert_allclose(found[1], expected[0], rtol=1e-4)
    np.testing.assert_array_equal(found[2], 0)


@pytest.mark.portability
def test_boxes_without_a_score_and_of_no_size():
    boxes = nd.array([[0, NAN, 0, 0, 2, 2], [0, 0.5, 1, 1, 1, 1], [0, 0.25, 1, 1, 1, 1], [0, 0.125, NAN, 0, 1, 1]])
    found = contrib.box_nms(boxes).asnumpy()
    np.testing.assert_array_equal(found[:2], boxes.asnumpy()[1:3])
    assert contrib.box_iou(boxes[:, 2:], boxes[:, 2:]).asnumpy()[1, 2] == 0


@pytest.mark.portability
def test_sums_have_the_same_bits_wherever_they_stand(seeded):
    """In vectors, in shorter ones at the end of a row, and alone; of more terms than weights are computed at a time."""
    image = np.random.default_rng(seeded).standard_normal((2, 1, 40, 21)).astype(np.float32)
    whole, row = (contrib.AdaptiveAvgPooling2D(nd.array(x), output_size=(2, 21)).asnumpy() for x in (image, image[1:]))
    columns = [contrib.AdaptiveAvgPooling2D(nd.array(image[..., i : i + 1]), output_size=(2, 1)).asnumpy() for i in range(21)]
    np.testing.assert_array_equal(whole, np.concatenate(columns, axis=3))
    np.testing.assert_array_equal(whole[1:], row)


@pytest.mark.parametrize("narrow", [launch.NARROW, 0], ids=["int", "long"])
def test_weighted_sums_are_added_up_in_order(narrow, seeded, monkeypatch):
    """Whatever a compiler could make of a loop: with indices of 64 bits Intel's made two sums of it."""
    monkeypatch.setattr(launch, "NARROW", narrow)
    generator = np.random.default_rng(seeded)
    data, weights = (generator.standard_normal(shape, np.float32) for shape in ((1, 3, 4, 9), (5, 1, 2, 3, 6)))
    x = generator.integers(0, 9, weights.shape, np.int32)
    one, zeros = np.ones((1,) * 5, np.float32), np.zeros((5,), np.int32)
    given = (data, one, weights, zeros[:1].reshape((1,) * 5), x, zeros)
    found = engine.to_numpy(registry["resample"](*(nd.array(array, dtype=array.dtype).value for array in given)))
    expected = np.zeros_like(found)
    for i in range(6):
        expected += weights[..., i] * np.moveaxis(data[0, :, 0][:, x[:, 0, ..., i]], 0, 1)
    np.testing.assert_array_equal(found, expected)

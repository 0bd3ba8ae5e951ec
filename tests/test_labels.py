"""Labels of classes to codes and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from fastlogreg.data.labels import (
    check_class_weight,
    check_classes,
    check_labels_of_model,
    encode_classes,
    encode_known_classes,
)

INTEGERS = [np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)]


def labels_of(dtype):
    """Return a strategy for 2 to 12 different labels of a dtype, near each other or not."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    near = st.integers(low, high).flatmap(
        lambda at: st.sets(st.integers(max(low, at - 50), min(high, at + 50)), min_size=2)
    )
    anywhere = st.sets(st.integers(low, high), min_size=2, max_size=12)
    return st.one_of(near, anywhere).map(lambda chosen: np.array(sorted(chosen), dtype))


# NumPy drops zero characters at the end
TEXT = st.text(st.characters(exclude_characters="\0"), max_size=5)
ANY = st.one_of(
    st.sampled_from(INTEGERS).flatmap(labels_of),
    st.sets(TEXT, min_size=2, max_size=12).map(lambda s: np.array(sorted(s))),
    st.sets(TEXT, min_size=2, max_size=12).map(lambda s: np.array(sorted(s), object)),
    st.sets(st.integers(-(2**52), 2**52), min_size=2, max_size=12).map(
        lambda s: np.array(sorted(s), np.float64)
    ),
    st.sets(st.integers(-2000, 2000), min_size=2, max_size=12).map(
        lambda s: np.array(sorted(s), np.float16)
    ),
    st.just(np.array([False, True])),
)


@settings(max_examples=300, deadline=None)
@given(labels=ANY, seed=st.integers(0, 2**32 - 1))
def test_codes_are_those_of_unique(labels, seed):
    rng = np.random.default_rng(seed)
    places = np.concatenate([np.arange(labels.size), rng.integers(0, labels.size, 30)])
    y = labels[rng.permutation(places)]
    found, codes = encode_classes(y)
    expected, inverse = np.unique(y, return_inverse=True)
    assert_array_equal(found, expected)
    assert found.dtype == y.dtype
    assert codes.dtype == np.float64 and codes.shape == y.shape
    assert_array_equal(codes, inverse)
    assert_array_equal(found[codes.astype(int)], y)
    assert_array_equal(encode_known_classes(y, found), codes)
    assert_array_equal(check_classes(y), found)


@settings(max_examples=100, deadline=None)
@given(
    y=hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(0, 3).map(float)),
    weights=st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=40, max_size=40),
)
def test_every_class_needs_weight(y, weights):
    weights = np.array(weights[: y.size])
    held = np.unique(y[weights > 0.0])
    if held.size == np.unique(y).size >= 2:
        labels, codes = encode_classes(y, weights)
        assert_array_equal(labels[codes.astype(int)], y)
    else:
        with pytest.raises(ValueError, match="at least 2 classes"):
            encode_classes(y, weights)


def test_codes_are_not_copied():
    y = np.array([0.0, 2.0, 1.0, 2.0])
    assert encode_classes(y)[1] is y
    assert encode_known_classes(y, np.arange(3)) is y
    strided = np.repeat(y, 2)[::2]
    assert encode_classes(strided)[1].flags.c_contiguous


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2**63 + 1, 2**63 + 3, 2**63 + 2], np.uint64),  # no float64 tells them apart
        np.array([-128, 127, 0], np.int8),  # their differences are no int8
        np.array([-(2**15), 2**15 - 1, 5], np.int16),
        np.array([-30_000, 1, 2], np.float16),
        np.array([2**53, 2**53 + 2, 2**53 + 4], np.float64),
        np.array([1e18, -1e18, 0.0]),
        np.array([0, 1 << 40, 7]),
    ],
)
def test_numbers_at_the_ends_of_their_dtypes(labels):
    y = labels[[0, 1, 2, 2, 0, 1]]
    found, codes = encode_classes(y)
    expected, inverse = np.unique(y, return_inverse=True)
    assert_array_equal(found, expected)
    assert_array_equal(codes, inverse)


def test_many_classes():
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(70_000) * 3, 2))
    labels, codes = encode_classes(y)
    assert_array_equal(labels, np.arange(70_000) * 3)
    assert_array_equal(codes, y // 3)


@pytest.mark.parametrize(
    ("y", "labels", "message"),
    [
        (np.array([0, 3, 1]), np.array([0, 1, 2]), r"y has 3 at index 1.*none of the classes"),
        (np.array(["b", "d"]), np.array(["a", "b", "c"]), "y has 'd' at index 1"),
        (np.array(["b", "d"]), np.array([0, 1, 2]), "y has 'b' at index 0"),
        (np.array([1, 2]), np.array(["a", "b", "c"]), "y has 1 at index 0"),
        (np.array([0.5, 1.0]), np.array([0, 1, 2]), "y has 0.5 at index 0"),
        (np.array([-1]), np.array([0, 1]), "y has -1 at index 0"),
        (np.array([None, 1], object), np.array([0, 1, 2]), "y has None at index 0"),
    ],
)
def test_labels_that_are_not_known(y, labels, message):
    with pytest.raises(ValueError, match=message):
        encode_known_classes(y, labels)


def test_classes_of_models():
    assert check_classes(["b", "a", "b", "c"]).tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="two different labels or more"):
        check_classes([1, 1])
    assert check_labels_of_model(["x", "y", "z"], 3).tolist() == ["x", "y", "z"]
    with pytest.raises(ValueError, match=r"classes_ must be two labels, got shape \(3,\)"):
        check_labels_of_model(["x", "y", "z"], 2)


def test_class_weights():
    labels, codes = np.array(["a", "b", "c"]), np.array([0.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    given = {"b": 2.0, "a": 0.5}
    assert check_class_weight(given, labels, codes, None).tolist() == [0.5, 2.0, 1.0]
    assert_allclose(check_class_weight("balanced", labels, codes, None), [2.0, 1.0, 2 / 3])
    weights = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    assert_allclose(check_class_weight("balanced", labels, codes, weights), [1.0, 1.0, 1.0])
    # a name of no class is for other data, where each class has one
    every = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.0}
    assert check_class_weight(every, labels, codes, None).tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="class_weight names 'd', which is no class of y"):
        check_class_weight({"a": 1.0, "d": 9.0}, labels, codes, None)
    with pytest.raises(ValueError, match="class_weight must be a dict, 'balanced' or None"):
        check_class_weight("equal", labels, codes, None)
    with pytest.raises(ValueError, match=r"class_weight\['b'\]"):
        check_class_weight({"b": -1.0}, labels, codes, None)

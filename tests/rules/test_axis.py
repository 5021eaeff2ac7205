"""One place knows whether tensors have a dimension of lanes."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import numbers

from experiments.rules.axis import Axis


@given(count=st.integers(1, 4), size=st.integers(1, 5))
def test_what_is_joined_has_the_tensors_as_its_rows(count: int, size: int) -> None:
    axis, tensors = Axis(count), [numbers(size, seed=n) for n in range(count)]
    joined = axis.join(tensors)
    assert joined.shape == ((size,) if count == 1 else (count, size))
    assert all(row.equal(one) for row, one in zip(axis.rows(joined), tensors, strict=True))
    assert axis.of_rows(axis.rows(joined)).equal(joined)


@given(count=st.integers(1, 4), places=st.data())
def test_some_lanes_are_copies_and_one_is_a_run_of_its_own(
    count: int, places: st.DataObject
) -> None:
    axis = Axis(count)
    some = places.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=4, unique=True))
    tensor = axis.join([numbers(3, seed=n) for n in range(count)])
    taken = axis.taken(tensor, some)
    assert taken.equal(Axis(len(some)).join([axis.rows(tensor)[place] for place in some]))
    taken.zero_()
    assert tensor.abs().sum() > 0


@given(count=st.integers(1, 4))
def test_a_function_is_mapped_over_lanes_and_left_alone_for_one_run(count: int) -> None:
    axis, tensor = Axis(count), Axis(count).join([numbers(3, seed=n) for n in range(count)])
    norms = axis.map(torch.linalg.vector_norm)(tensor)
    assert axis.values(norms) == [row.norm().item() for row in axis.rows(tensor)]
    assert axis.values(torch.tensor(2.0)) == [2.0] * count
    assert axis.total(norms).item() == sum(axis.values(norms))
    assert axis.same(torch.ones(2)).shape == ((2,) if count == 1 else (count, 2))

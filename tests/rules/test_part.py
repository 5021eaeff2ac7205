"""What a plugin of a rule sees of the parameters."""

import pytest
import torch
from descents import given
from problems import follow, numbers, params_of, rule_of, tensors_only

GRADIENTS = numbers(5, 7, seed=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_number_is_a_parameter_as_a_vector_of_one_is(dtype: torch.dtype) -> None:
    paths = []
    for shape in [(), (1,)]:
        tensors = tensors_only(matrix=numbers(3, 2), scale=torch.full(shape, 2.0))
        params = params_of([tensors], dtype)
        rule = rule_of(params, given("optimizer", "lamb"))
        paths.append(follow(rule, params, lambda t, _: GRADIENTS[t - 1], 5))
    torch.testing.assert_close(*paths, rtol=0, atol=0)
    assert not paths[0][-1].equal(paths[0][0])

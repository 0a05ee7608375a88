"""Arrays go back into the variables they came from, or nowhere."""

import numpy as np
import pytest

from simrefine.errors import UserError
from simrefine.methods.state import assign


def test_arrays_of_another_architecture_are_refused_before_any_is_assigned(tmp_path):
    class Variable:
        def __init__(self, shape):
            self.shape = shape

        def assign(self, _):
            raise AssertionError("half loaded")

    with pytest.raises(UserError, match=r"another architecture.*array 1 .*\(4,\).*\(5,\)"):
        assign([Variable((3,)), Variable((4,))], [np.zeros(3), np.zeros(5)], tmp_path)
    with pytest.raises(UserError, match=r"another architecture.*array 1 .*\(4,\).*None"):
        assign([Variable((3,)), Variable((4,))], [np.zeros(3)], tmp_path)

"""Warnings: each points at the line of the caller, not at ours."""

import inspect

import numpy as np
import pytest

import fastfid
from fastfid.messages import Messages, warn
from pictures import pictures

MADE_BY = fastfid.Provenance("m", "a" * 64, "pytorch", 2)


def line():
    return inspect.currentframe().f_back.f_lineno


@pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
@pytest.mark.parametrize(
    "call",
    [
        lambda: warn("x"),
        lambda: Messages().warn("x"),
        lambda: Messages().warn_once(1, "x"),
        lambda: fastfid.score(pictures(3), pictures(3, seed=1), model="inception-v3-random", dims=64),
        lambda: fastfid.score(*[fastfid.Statistics(2).update(np.eye(2))] * 2),
        lambda: (
            fastfid.Statistics(2, MADE_BY)
            .update(np.eye(2))
            .merge(fastfid.Statistics(2, fastfid.Provenance("m", "a" * 64, "pytorch", 2, "cuda:0")).update(np.eye(2)))
        ),
    ],
)
def test_a_warning_points_at_the_callers_line(call):
    with pytest.warns(fastfid.FastFIDWarning) as told:
        call()
    assert {warning.filename for warning in told} == {__file__}


def test_it_points_at_the_very_line():
    with pytest.warns(fastfid.FastFIDWarning) as told:
        here = line(), Messages().warn("x")
    assert told[0].lineno == here[0]

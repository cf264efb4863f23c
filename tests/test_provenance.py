"""Provenance: what must agree before two statistics are compared, and what a file may contain."""

import dataclasses
import json
import re

import pytest

from fastfid import FastFIDWarning, InputError, Provenance, StatisticsMismatch
from fastfid.fit import Facts, Side
from fastfid.messages import Messages
from fastfid.provenance import FORMAT, differences
from fastfid.sides import check_sides

A = Provenance("inception-v3", "6726825d" * 8, "pytorch", 2048, "cuda", "fp32", 64, {"fastfid": "1.0", "pillow": "12"})
NAMES = ("a.npz", "b.npz")


def changed(**fields):
    return dataclasses.replace(A, **fields)


def test_equal_is_silent():
    assert differences(A, changed(), NAMES) == ([], False)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (changed(sha256="f" * 64), r"model inception-v3 \(6726825d6726\) in a\.npz, inception-v3 \(f{12}\) in b\.npz"),
        (changed(mode="tensorflow"), r"mode pytorch in a\.npz, tensorflow in b\.npz"),
        (changed(dims=64), r"dims 2048 in a\.npz, 64 in b\.npz"),
        (changed(sha256="f" * 64, mode="clean", dims=64), "model .*; mode .*; dims "),
    ],
)
def test_what_makes_them_incomparable_is_named_on_both_sides(other, message):
    with pytest.raises(StatisticsMismatch, match=f"cannot be compared: {message}.*force"):
        differences(A, other, NAMES)
    (warning,), forced = differences(A, other, NAMES, force=True)
    assert forced
    assert warning.startswith("forced: compared because of force")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (changed(device="cpu"), "device cuda and cpu"),
        (changed(precision="fp16"), "precision fp32 and fp16"),
        (changed(versions={"fastfid": "2.0", "pillow": "12"}), "fastfid 1.0 and 2.0"),
        (
            changed(device="cpu", precision="tf32", versions={"pillow": "11"}),
            "device .*; precision .*; pillow 12 and 11",
        ),
    ],
)
def test_what_only_moves_the_last_digits_is_a_warning(other, message):
    (warning,), _ = differences(A, other, NAMES)
    assert warning.startswith("a.npz and b.npz were made differently: ")
    assert re.search(message, warning)


@pytest.mark.parametrize(
    "other",
    [changed(model="another name"), changed(batch_size=1), changed(versions={}), changed(versions={"torch": "2"})],
)
def test_what_changes_nothing_is_silent(other):
    assert differences(A, other, NAMES) == ([], False)


def test_force_keeps_the_other_warnings():
    (forced, soft), _ = differences(A, changed(mode="clean", device="cpu"), NAMES, force=True)
    assert "mode pytorch in a.npz, clean in b.npz" in forced
    assert "device cuda and cpu" in soft


@pytest.mark.parametrize(("a", "b", "named"), [(None, A, "a.npz"), (A, None, "b.npz"), (None, None, "a.npz and b.npz")])
def test_unknown_is_a_warning_that_names_the_side(a, b, named):
    sides, told = [Side(name, 5, provenance=made) for name, made in zip(NAMES, (a, b), strict=True)], Messages()
    with pytest.warns(FastFIDWarning, match="no record"):
        check_sides(sides, Facts({}), force=False, messages=told)
    assert told.warnings == [f"no-record: {named}: no record of the model and mode that made these statistics"]


def test_plain_features_never_say_and_are_told_of_only_beside_a_record():
    told, sides = Messages(), [Side(name, 5, features=True) for name in NAMES]
    check_sides(sides, Facts({}), force=False, messages=told)
    assert told.warnings == []
    with pytest.warns(FastFIDWarning, match="no record"):
        check_sides([sides[0], Side("b.npz", 5, provenance=A)], Facts({}), force=False, messages=told)
    with pytest.warns(FastFIDWarning, match="no record"):
        check_sides([sides[0], Side("b.npz", 5)], Facts({}), force=False, messages=told)
    assert told.warnings == [
        "no-record: a.npz: no record of the model and mode that made these features",
        "no-record: a.npz and b.npz: no record of the model and mode that made these statistics",
    ]


def test_json_round_trip():
    assert Provenance.from_json(A.to_json(), "f") == A
    assert json.loads(A.to_json())["format"] == FORMAT


def test_a_newer_format_asks_for_an_upgrade():
    text = json.dumps({**json.loads(A.to_json()), "format": FORMAT + 1, "unheard": "of"})
    with pytest.raises(InputError, match=r"f\.npz was written by a newer fastfid; upgrade"):
        Provenance.from_json(text, "f.npz")


def edited(**fields):
    return json.dumps({**json.loads(A.to_json()), **fields})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"format": 1}',
        edited(format="one"),
        edited(unheard="of"),
        edited(dims="2048"),
        edited(sha256=7),
        edited(versions=None),
    ],
)
def test_broken_json_names_the_file(text):
    with pytest.raises(InputError, match=r"f\.npz: its provenance cannot be read"):
        Provenance.from_json(text, "f.npz")

"""Every reader with damaged and malicious input: what once failed, and new cases in every run (`fuzz`)."""

import pytest

from fuzz import CASES, SEED
from fuzz.damage import named
from fuzz.every import EVERY

CORPUS = [(reader.name, path) for reader in EVERY.values() for path in reader.corpus()]


@pytest.mark.parametrize("name", [reader.name for reader in EVERY.values() if not reader.child])
def test_new_cases(name, tmp_path):
    print(f"FASTFID_TEST_SEED={SEED}")
    reader, said = EVERY[name], set()
    for data in reader.good():
        assert reader.judge(data, tmp_path) == "read"
    for case in range(CASES):
        try:
            said.add(reader.judge(reader.case(case), tmp_path))
        except BaseException as error:
            raise AssertionError(named(name, case)) from error
    assert said == {"read", "refused"}

"""Damaged and malicious input, made anew in every run: each reader of the package gets thousands of cases.

``damage`` makes cases from good input, ``reader`` judges what a reader does with one, and the other modules have the
readers by subject: `all_readers` collects them. ``corpus/READER/`` keeps the input that once failed.
`tests/test_fuzz.py` runs the corpus and `CASES` new cases of each, and ``python tests/fuzz/run.py`` any number, in
processes with bounds of memory and time.
"""

from .damage import CASES, SEED, mutants, rng_of

__all__ = ["CASES", "SEED", "mutants", "rng_of"]

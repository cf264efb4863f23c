"""A gate as a JUnit report, the form of test results that CI systems such as Jenkins and GitLab show."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from .files.reading import failures
from .files.writing import atomic_write
from .verdicts import FAILED, PASSED, UNSURE, Gate
from .xml_text import xml_text

_SUITE = "fastfid"
START = f"<?xml version='1.0' encoding='utf-8'?>\n<testsuites name=\"{_SUITE}\"".encode()  # of each report
_ERROR = "error"
_KINDS = {FAILED: ("failure", "failures"), _ERROR: ("error", "errors"), UNSURE: ("skipped", "skipped")}


def report(
    gate: Gate | None,
    conditions: Sequence[str],
    classname: str,
    seconds: float,
    time: datetime,
    *,
    error: str = "",
    warnings: Sequence[str] = (),
) -> bytes:
    """Return the report: a test case for each condition.

    Parameters
    ----------
    gate : Gate or None
        None if the run ended with an error, so that no condition was checked.
    conditions : sequence of str
        What was to be checked.
    classname : str
        What was compared.
    seconds : float
        How long the run took.
    time : datetime
        When it began.
    error : str
        The error.
    warnings : sequence of str
        Of the run. Each test case has them, because GitLab shows the text of a failure and nothing of the suite.
    """
    cases = [(check.condition, check.verdict, check.sentence) for check in gate.checks] if gate is not None else []
    cases = cases or [(condition, _ERROR, error) for condition in conditions]
    counts = {"tests": len(cases)}
    counts |= {count: sum(found == verdict for _, found, _ in cases) for verdict, (_, count) in _KINDS.items()}
    shared = {**{name: str(count) for name, count in counts.items()}, "time": f"{seconds:.3f}"}
    every = {name: value for name, value in shared.items() if name != "skipped"}  # Jenkins' schema has none here
    suites = ET.Element("testsuites", {"name": _SUITE, **every})
    facts = {"name": _SUITE, **shared, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S")}
    suite = ET.SubElement(suites, "testsuite", facts)
    told = "".join(f"\nwarning: {text}" for text in warnings)
    for name, verdict, text in cases:
        each = {"classname": xml_text(classname), "name": xml_text(name), "time": f"{seconds / len(cases):.3f}"}
        case = ET.SubElement(suite, "testcase", each)
        if verdict == PASSED:
            ET.SubElement(case, "system-out").text = xml_text(text + told)
        else:
            found = ET.SubElement(case, _KINDS[verdict][0], {"message": xml_text(text), "type": verdict})
            found.text = xml_text(text + told)
    ET.indent(suites)
    content: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def write(path: Path, content: bytes) -> None:
    """Write a report; raise `InputError` if that is not possible."""
    with failures(f"cannot write {path}"), atomic_write(path) as file:
        file.write(content)

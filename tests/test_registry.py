"""The registry of protocols: how it is read, what each entry needs, and the pages made from it."""

import re
from pathlib import Path

import pytest

import fastfid
from fastfid.cli.main import main
from fastfid.images.crops import CROPS
from fastfid.protocols import PROTOCOLS
from fastfid.protocols.registry import read
from fastfid.protocols.shown import markdown

PAGE = Path(__file__).parents[1] / "docs" / "protocols.md"
ENTRY = """
[mine]
tool = "mine 1"
sources = ["mine.py"]
mode = "pytorch"
metrics = ["fid", "is:adm"]
lines = [["FID", "fid"]]
n = { generated = 5_000 }
quantise = "round"
"""


def test_an_entry():
    text = ENTRY + '[yours]\nlike = "mine"\nsources = ["yours.py"]\nsize = 512\nseed = 7\nbounds = { fid = [1, 2.5] }\n'
    mine, yours = read(text).values()
    assert (mine.n, mine.seed, mine.size, mine.reference, mine.bounds) == ((5000, None), None, None, None, {})
    assert (yours.name, yours.base, yours.tool, yours.sources) == ("yours", "mine", "mine 1", ("yours.py",))
    assert (yours.n, yours.seed, yours.size, yours.quantise) == ((5000, None), 7, 512, "round")
    assert yours.bounds == {"fid": (1.0, 2.5)}
    assert [metric.name for metric in yours.metrics] == ["fid", "is"]
    assert yours.metrics[1].convention == "adm"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("colour = 3", "no key 'colour'"),
        ("like = 'no'", "there is no 'no'"),
        ("sources = []", "it states no source"),
        ("mode = 'clip'", "mode clip does not fit its network"),
        ("mode = 'cubist'", "mode must be one of"),
        ("crop = 'round'", "crop must be one of whole, .* got 'round'"),
        ("quantise = 'floor'", "quantise must be one of"),
        ("metrics = ['fod']", "there is no 'fod'"),
        ("metrics = ['kid']", "a metric that it does not compute"),
        ("lines = []", "prints no line"),
        ("n = { fake = 3 }", "n has no 'fake'"),
        ("bounds = { kid = [1, 2] }", "bounds of kid"),
        ("bounds = { fid = [2, 1] }", "bounds of fid"),
        ("reference = { path = 'x' }", "path"),
        ("network = { name = 'x' }", "missing"),
    ],
)
def test_a_bad_entry_is_named(line, error):
    key = line.partition(" =")[0]
    text = re.sub(rf"^{key} = .*\n", "", ENTRY, flags=re.MULTILINE) + line
    with pytest.raises(fastfid.InputError, match=f"protocol mine: .*{error}"):
        read(text)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_entry_states_what_a_run_needs(name):
    protocol = PROTOCOLS[name]
    assert protocol.tool
    assert all(re.match(r"(same, |[\w.-]+/[\w./-]+[ :,])", source) for source in protocol.sources), protocol.sources
    if protocol.reference is None:
        assert (protocol.data, protocol.size, protocol.crop) == ("", None, "")
        return
    assert protocol.data
    assert protocol.size
    assert protocol.n[0]
    assert protocol.crop in ("", *CROPS)
    assert not re.search(r"[/\\]", protocol.reference.file)
    for digest, length in ((protocol.reference.sha256, 64), (protocol.reference.git, 40)):
        assert re.fullmatch(rf"([0-9a-f]{{{length}}})?", digest)


def test_no_two_protocols_share_a_file_of_another_address():
    seen = {}
    for protocol in PROTOCOLS.values():
        if protocol.reference:
            address = protocol.reference.url or protocol.name
            assert seen.setdefault(protocol.reference.file, address) == address


def test_the_page_has_the_table_of_the_registry():
    assert "\n".join(markdown()) in PAGE.read_text()


def test_the_page_tells_of_every_crop():
    assert all(f"| `{name}` | {crop.told} |" in PAGE.read_text() for name, crop in CROPS.items())


def test_the_commands_that_print_it(capsys):
    assert main(["protocols"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(PROTOCOLS)
    assert main(["protocols", "list", "--markdown"]) == 0
    assert capsys.readouterr().out.splitlines() == list(markdown())
    for name, protocol in PROTOCOLS.items():
        assert main(["protocols", "show", name]) == 0
        shown = capsys.readouterr().out
        assert all(source in shown for source in (*protocol.sources, protocol.tool))
        if protocol.reference and protocol.reference.url:
            assert protocol.reference.url in shown
            assert (protocol.reference.git or "no source states it") in shown


def test_an_unknown_name_is_answered_with_near_ones(capsys):
    for command in (["protocols", "show", "imagenet256"], ["a", "b", "--protocol", "imagenet256"]):
        with pytest.raises(SystemExit, match="2"):
            main(command)
        assert "near it are imagenet-256-" in capsys.readouterr().err
    with pytest.raises(fastfid.InputError, match=r"protocol must be one that `fastfid protocols` lists, got 'zzz'$"):
        fastfid.compare("a", "b", protocol="zzz")

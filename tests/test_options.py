"""Every function, docstring and flag agrees with the table of options, and refuses the bad values that it states."""

import dataclasses
import inspect
import re
import typing

import numpy as np
import pytest

import fastfid
from fastfid.arguments import Option, default, given
from fastfid.cli.main import main
from fastfid.cli.parser import expand, flag_of
from fastfid.cli.score import make_parser
from fastfid.extraction.device import parse_devices
from fastfid.options import Options

FUNCTIONS = {name: getattr(fastfid, name) for name in ("score", "compare", "statistics", "fit", "reference", "shard")}
PATHS = {name: ("no-such-a",) if name in ("statistics", "fit") else ("no-such-a", "no-such-b") for name in FUNCTIONS}
OWN = {"reference": ["images", "overwrite"], "shard": ["index", "of"]}  # keywords that are not options
REQUIRED = {"shard": {"index": 0, "of": 1}}
OF_THE_GATE = {"fail_if", "max_delta", "fail_on_warning", "junit", "append", "note"}
ONLY_FLAGS = {"help", "path", "save_stats", "format", "with_metrics", "silence", "json", "version", *OF_THE_GATE}


class Row(typing.NamedTuple):
    kind: object
    default: object
    option: Option


SCOPE = {"Extractor": fastfid.Extractor}  # defined later in the flow than the table


def table() -> dict[str, Row]:
    kinds = typing.get_type_hints(Options, localns=SCOPE)
    return {f.name: Row(kinds[f.name], f.default, f.metadata["option"]) for f in dataclasses.fields(Options)}


TABLE = table()


def described(function) -> dict[str, str]:
    """Types of the parameters in a numpydoc docstring; "" for one without a description."""
    section = re.search(r"^Parameters\n-+\n((?:.*\n)*?)(?=\S.*\n-+\n|\Z)", inspect.getdoc(function), re.MULTILINE)
    found = re.findall(r"^(\S.*?) : (.*)\n((?: +.*\n)*)", section[1] if section else "", re.MULTILINE)
    return {name: kind if text else "" for names, kind, text in found for name in names.split(", ")}


def disagreements(rows: dict[str, Row]) -> list[str]:
    """Say where the functions, their docstrings and the flags differ from a table."""
    return [*_of_signatures(rows), *_of_docstrings(rows), *_of_flags(rows)]


def _of_signatures(rows):
    for name, function in FUNCTIONS.items():
        parameters = inspect.signature(function).parameters
        own = OWN.get(name, [])
        found = {key: p for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY and key not in own}
        wanted = {key: row for key, row in rows.items() if name in row.option.functions}
        if list(found) != list(wanted):
            yield f"{name} has {list(found)}, not {list(wanted)}"
        kinds = typing.get_type_hints(function, localns=SCOPE)
        for key in found.keys() & wanted.keys():
            value = found[key].default
            if (value, type(value)) != (wanted[key].default, type(wanted[key].default)):
                yield f"{name}: the default of {key} is {value!r}"
            if kinds[key] != wanted[key].kind:
                yield f"{name}: the type of {key} is {kinds[key]}"


def _of_docstrings(rows):
    in_score = described(fastfid.score)
    for name, function in FUNCTIONS.items():
        own = described(function)
        found = {**in_score, **own} if re.search("[Pp]arameters.* `score`", function.__doc__) else own
        for key, row in rows.items():
            if name not in row.option.functions:
                continue
            choices = ", ".join(f'"{choice}"' for choice in row.option.choices)
            if not found.get(key):
                yield f"the docstring of {name} says nothing of {key}"
            elif choices and not found[key].startswith(f"{{{choices}}}"):
                yield f"the docstring of {name} has other choices for {key}: {found[key]}"
        for key in own.keys() - rows.keys() - {"a", "b", "source", "path", "folder", *OWN.get(name, [])}:
            yield f"the docstring of {name} has {key}"


def _of_flags(rows):
    actions = {action.dest: action for action in make_parser()._actions}
    if set(actions) != set(rows) | ONLY_FLAGS:
        yield f"the flags are {sorted(actions)}"
    for key in actions.keys() & rows.keys():
        action, (_, value, option) = actions[key], rows[key]
        said = value[0] if isinstance(value, tuple) else value
        told = "" if option.switch is not None or value is None or value is False else f" (default: {said})"
        for fact, found, wanted in (
            ("flag", action.option_strings, [option.flag or "--" + key.replace("_", "-")]),
            ("metavar", action.metavar, option.metavar),
            ("choices", action.choices, option.choices or None),
            ("switch", action.const, option.switch),
            ("help", action.help % {}, option.help + told),
        ):
            if found != wanted:
                yield f"the {fact} of {key} is {found!r}"


def test_functions_docstrings_and_flags_agree_with_the_table():
    assert disagreements(TABLE) == []


def changed(name, **facts):
    return {**TABLE, name: TABLE[name]._replace(option=dataclasses.replace(TABLE[name].option, **facts))}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ({key: row for key, row in TABLE.items() if key != "limit"}, "has limit"),
        ({"no_such" if key == "limit" else key: row for key, row in TABLE.items()}, "says nothing of no_such"),
        ({**TABLE, "no_such": TABLE["limit"]}, "the flags are"),
        ({"dims": TABLE["dims"], **TABLE}, "score has"),
        ({**TABLE, "seed": TABLE["seed"]._replace(default=1)}, "the default of seed is 0"),
        ({**TABLE, "dims": TABLE["dims"]._replace(default=2048)}, "the default of dims is 2048"),
        ({**TABLE, "seed": TABLE["seed"]._replace(kind=str)}, "the type of seed"),
        (changed("force", functions=("compare",)), "score has"),
        (changed("method", choices=("auto", "schur", "newton")), "other choices for method"),
        (changed("endings", help="something else"), "the help of endings"),
        (changed("endings", metavar="X"), "the metavar of endings"),
        (changed("recursive", flag=""), "the flag of recursive"),
        (changed("recursive", switch=True), "the switch of recursive"),
    ],
)
def test_a_table_that_differs_is_noticed(rows, text):
    assert text in "; ".join(disagreements(rows))


def test_an_extractor_has_the_same_defaults():
    found = inspect.signature(fastfid.Extractor).parameters
    for name in ("model", "mode", "dims", "device", "precision", "batch_size"):
        assert (found[name].default, given(found[name].default)) == (TABLE[name].default, given(TABLE[name].default))


def cases(values):
    return [pytest.param(name, value, id=f"{name}={value!r:.30}") for name in TABLE for value in values(name)]


def good(name):
    row = TABLE[name]
    return [row.default, *row.option.choices, *row.option.good]


@pytest.mark.parametrize(("name", "value"), cases(lambda name: TABLE[name].option.bad))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_bad_values_are_refused_before_any_file_is_opened(function, name, value):
    option = TABLE[name].option
    if function not in option.functions:
        with pytest.raises(TypeError):
            FUNCTIONS[function](*PATHS[function], **REQUIRED.get(function, {}), **{name: value})
        return
    with pytest.raises(option.error) as raised:
        FUNCTIONS[function](*PATHS[function], **REQUIRED.get(function, {}), **{name: value})
    assert raised.type is option.error
    assert "no-such" not in str(raised.value)


def test_every_option_has_bad_values():
    assert all(row.option.bad for row in TABLE.values())


@pytest.mark.parametrize(("name", "value"), cases(good))
def test_good_values_pass(name, value):
    found = getattr(Options.of({name: value}), name)
    assert given(found) == given(value)
    assert found == (tuple(value) if name == "metrics" else value)


@pytest.fixture
def taken(monkeypatch, tmp_path):
    """Return what the commands pass on."""
    calls = []

    def function(*_, **options):
        calls.append(options)
        raise fastfid.InputError("stopped")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastfid.compare", function)
    monkeypatch.setattr("fastfid.fit", function)
    return calls


def typed(name, values):
    """Return the values that a flag can be given, as they are typed."""
    option = TABLE[name].option
    kinds = (str,) if option.read is str or name == "metrics" else (int, float)
    fits = [value for value in values if type(value) in kinds and name != "model"]
    return [] if option.switch is not None else [str(value) for value in fits]


@pytest.mark.parametrize(("name", "text"), cases(lambda name: typed(name, TABLE[name].option.bad)))
def test_bad_values_of_a_flag_are_bad_usage(taken, capsys, name, text):
    if name == "metrics":
        text = f"{text},"
    with pytest.raises(SystemExit) as raised:
        main(["a", "b", f"{flag_of(name)}={text}"])
    assert raised.value.code == 2
    assert f"error: argument {flag_of(name)}: " in capsys.readouterr().err
    assert taken == []


@pytest.mark.parametrize(("name", "text"), cases(lambda name: typed(name, good(name))))
def test_what_is_typed_is_passed_on_and_nothing_else(taken, name, text):
    arguments = ["a", "b", f"{flag_of(name)}={text}"]
    value = TABLE[name].option.read(text)
    assert main(arguments) == 1
    assert taken == [{name: value}]
    if "fit" not in TABLE[name].option.functions:
        with pytest.raises(SystemExit):
            main([*arguments, "--save-stats"])
        return
    assert main([*arguments, "--save-stats"]) == 1
    assert taken[1] == {"metrics": ("fid",), name: value}
    assert given(taken[0][name])


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.option.switch is not None])
def test_switches_are_passed_on(taken, name):
    main(["a", "b", flag_of(name)])
    main(["a", "b"])
    assert taken == [{name: TABLE[name].option.switch}, {}]


def test_metrics_and_model_are_passed_on(taken):
    main(["a", "b", "--metrics", "fid, kid", "--model", "x.onnx"])
    assert taken == [{"metrics": ("fid", "kid"), "model": "x.onnx"}]


def test_the_checks_come_in_the_order_of_the_table():
    refused = {"bootstrap": 5, "mode": "cubist", "seed": -1}
    for name in ("mode", "seed", "bootstrap"):
        with pytest.raises(fastfid.InputError, match=name):
            Options.of(refused)
        refused.pop(name)


def test_values_become_plain():
    options = Options.of(
        {"dims": np.int64(64), "seed": np.uint8(3), "metrics": ["fid"], "force": np.bool_(True), "x": 1}
    )
    assert [type(value) for value in (options.dims, options.seed, options.force)] == [int, int, bool]
    assert options.metrics == ("fid",)
    assert options.limit is None


def test_not_given_is_told_from_given_as_the_default():
    options = Options.of({"mode": default("pytorch"), "dims": 2048})
    assert (given(options.mode), given(options.dims), given(Options().dims)) == (False, True, False)


def test_an_extractor_is_a_model():
    extractor = fastfid.Extractor("inception-v3-random", dims=64)
    assert Options.of({"model": extractor}).model is extractor


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("auto", ("auto",)),
        ("cpu:0", ("cpu:0",)),
        ("cpu,cpu", ("cpu", "cpu")),
        ("cuda:0, cuda:1,cpu", ("cuda:0", "cuda:1", "cpu")),
        ("cuda:all", ("cuda:all",)),
    ],
)
def test_lists_of_devices(text, names):
    assert parse_devices(text) == names


@pytest.mark.parametrize("text", ["", ",", "cpu,", "cuda:0,gpu", "gpu", "cuda:ALL", None, ["cpu"]])
def test_what_is_no_list_of_devices(text):
    with pytest.raises(fastfid.InputError, match="^device must be auto, cpu, cuda or cuda:N, or one of .*; got"):
        parse_devices(text)


@pytest.mark.parametrize("text", ["auto,auto", "cpu,auto", "cuda:all,cpu"])
def test_what_stands_alone(text):
    with pytest.raises(fastfid.InputError, match="cannot be part of a list; got '"):
        parse_devices(text)


FLAGS_OF_0_1_0 = (
    *("--help", "--save-stats", "--model", "--mode", "--dims", "--method", "--batch-size", "--num-workers", "--device"),
    *("--precision", "--limit", "--seed", "--on-error", "--no-recursive", "--endings", "--force", "--bootstrap"),
    *("--silence", "--json", "--quiet", "--version"),
)


def test_every_abbreviation_of_0_1_0_stays():
    ours = [flag for action in make_parser()._actions for flag in action.option_strings]
    beginnings = {flag[:end] for flag in FLAGS_OF_0_1_0 for end in range(3, len(flag) + 1)}
    unique = {text: [flag for flag in FLAGS_OF_0_1_0 if flag.startswith(text)] for text in beginnings}
    for text, (meant, *others) in unique.items():
        if not others:
            (found,) = expand([text])
            assert [flag for flag in ours if flag.startswith(found)] == [meant], text


@pytest.mark.parametrize(("text", "option"), [("--en=png", "endings"), ("--met=schur", "method")])
def test_an_abbreviation_of_0_1_0(taken, text, option):
    main(["a", "b", text])
    assert list(taken[0]) == [option]


def test_the_help_fits_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(row.option.help[0].islower() and not row.option.help.endswith(".") for row in TABLE.values())

from __future__ import annotations

import time
from importlib import resources

import pytest

from dovetail.arch import presets
from dovetail.errors import AcceleratorError, UnknownNameError


def error(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AcceleratorError) as caught:
        presets.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 1
    return message.removeprefix(str(path))


@pytest.mark.parametrize("name", presets.names("systolic"))
def test_presets_are_legal_and_carry_their_source(name):
    accelerator = presets.load(name)
    assert accelerator.name == name
    assert accelerator.validate() == []
    text = (resources.files(presets) / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    given = {line.split(":")[0] for line in text.splitlines() if line[:1] not in ("#", "")}
    parameters = {name for name, *_ in accelerator.parameters()}
    # One array goes without saying, and so does what chooses another machine.
    silent = {"arrays", "machine", "fold_overlap", "bus_bits"}
    assert given | silent == parameters | {"family"}


@pytest.mark.parametrize(
    ("name", "tera_ops", "square_mm"),
    [
        ("tpu_v1", 92, 331),  # Jouppi, ISCA 2017: 92 TOPS; the die is at most half a Haswell's 662
        ("tpu_v4i", 138, 400),  # Jouppi, ISCA 2021: 138 TFLOPS on less than 400 mm2
        ("gemmini", 0.512, 16),  # 16 x 16 x 2 x 1 GHz; a 16 mm2 floorplan holds it and a CPU
        ("edge", 1.024, 4),
    ],
)
def test_presets_are_inside_published_figures(name, tera_ops, square_mm):
    accelerator = presets.load(name)
    peak = 2 * accelerator.peak_macs_per_cycle * accelerator.clock_mhz * 1e6 / 1e12
    assert peak == pytest.approx(tera_ops, rel=0.005)
    assert 0 < accelerator.area_mm2 < square_mm


def test_a_file_loads_as_a_preset_does(tmp_path):
    path = tmp_path / "chip.yaml"
    path.write_text("family: systolic\nname: chip\nrows: 8\ncols: 16\n")
    accelerator = presets.load(str(path))
    assert (accelerator.name, accelerator.rows, accelerator.cols) == ("chip", 8, 16)
    assert accelerator == presets.load(path)
    path.write_text("{}")
    assert presets.load(path).validate() == []


def test_unknown_names_suggest_known_ones():
    with pytest.raises(UnknownNameError, match="did you mean gemmini"):
        presets.load("gemini")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("rows: 4\nrows: 8\n", "line 1: key 'rows' stands twice"),
        ("row: 4\n", "unknown key 'row'"),
        ("rows: four\n", "rows = 'four': must be a whole number within 1 to 4096 PEs"),
        ("rows: .nan\n", "rows = nan"),
        ("rows: -.inf\n", "rows = -inf"),
        ("rows: yes\n", "rows = True"),
        ("rows: 1e400\n", "rows = "),
        ("rows: 0x" + "f" * 5000, "write decimal numbers"),
        ("rows: " + "9" * 5000, "not valid YAML"),
        ("rows: 0\n", "1 to 4096"),
        ("rows:\n", "rows = None"),
        ("clock_mhz: 10:20\n", "line 1: '10:20': write decimal numbers"),
        ("clock_mhz: 10:20.5\n", "line 1: '10:20.5': write decimal numbers"),
        ("clock_mhz: 1_000\n", "line 1: '1_000': write decimal numbers"),
        ("name: 5\n", "name = 5: must be a text"),
        ("name: 2020-13-45\n", "not valid YAML"),
        ("family: spatal\n", "family = 'spatal': must be one of systolic, spatial"),
        ("family: [1]\n", "family = [1]"),
        ("- rows\n- cols\n", "must hold 'key: value' lines"),
        ("rows\n", "must hold 'key: value' lines"),
        ("", "must hold 'key: value' lines"),
        ("1: 2\n", "must hold 'key: value' lines"),
        ("[1, 2]: 3\n", "not valid YAML"),
        ("rows: [\n", "not valid YAML"),
        ("rows: !!python/object:os.system 1\n", "not valid YAML"),
        ("<<: 1\n", "not valid YAML"),
        ("rows: &r *r\n", "not valid YAML"),
        ("[" * 20000, "nested deeper than 40 levels"),
        ("{a: " * 5000, "nested deeper than 40 levels"),
        (b"\x00\x01\x02", "not valid YAML"),
        (b"\xff\xfe\xfd", "not UTF-8 text"),
        (b"\x7fELF" + bytes(range(256)), "not UTF-8 text"),
        (b"#" * (2**20 + 1), "larger than 1 MiB"),
        (BOMB, "aliases are not read"),
        (BOMB.replace("a: &a", "x: &a").replace("i: &i", "rows: &i"), "aliases are not read"),
        ("rows: " + BOMB.split("\n")[0].removeprefix("a: ") + "\n", "rows = ["),
    ],
    ids=lambda value: None,
)
def test_wrong_files_are_refused_in_one_line(tmp_path, content, words):
    start = time.process_time()
    assert words in error(tmp_path / "chip.yaml", content)
    assert time.process_time() - start < 5


def test_an_alias_bomb_as_a_value_stays_short(tmp_path):
    nested = "[" + ", ".join(["&a [x, x, x, x, x, x, x, x, x]"] + ["*a"] * 8) + "]"
    for name in "bcdefghij":
        nested = f"[&{name} {nested}, " + ", ".join([f"*{name}"] * 8) + "]"
    assert len(error(tmp_path / "chip.yaml", f"rows: {nested}\n")) < 300


def test_many_keys_take_no_quadratic_time(tmp_path):
    start = time.process_time()
    error(tmp_path / "chip.yaml", "".join(f"k{i}: 1\n" for i in range(20000)))
    assert time.process_time() - start < 10


@pytest.mark.parametrize("name", ["missing.yaml", "folder.yaml", "nul\0.yaml"])
def test_files_that_cannot_be_read(tmp_path, name):
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(AcceleratorError, match="cannot be read"):
        presets.load(str(tmp_path / name))

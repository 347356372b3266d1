"""What is wrong in a file of a spatial array is named by its path."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dovetail.arch import presets
from dovetail.errors import AcceleratorError

GOOD = """\
family: spatial
name: chip
array: {x: 4, y: 2}
unrolls: {x: [K], y: [C]}
memories:
  - name: rf
    operands: [input, weight, output]
    capacity_bytes: 64
  - name: glb
    operands: [input, output]
    serves: [x, y]
    capacity_kib: 8
    write_bits_per_cycle: shared
  - name: dram
    operands: [input, weight, output]
    serves: [x, y]
    read_bits_per_cycle: 64
"""


def load(tmp_path, text):
    path = tmp_path / "chip.yaml"
    path.write_text(text)
    return presets.load(path)


def test_a_good_file_loads(tmp_path):
    chip = load(tmp_path, GOOD)
    assert chip.validate() == []
    assert (chip.name, chip.peak_macs_per_cycle) == ("chip", 8)
    assert chip.stores[1].write_bits_per_cycle is None
    assert chip.stores[1].capacity_bytes == 8192


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("capacity_kib: 8", "capacity_kib: -3", "memories[1].capacity_kib = -3: must be a number"),
        ("capacity_kib: 8", "capacity_kib: .nan", "memories[1].capacity_kib = nan"),
        ("capacity_kib: 8", "capacity_kib: big", "memories[1].capacity_kib = 'big'"),
        ("capacity_kib: 8", "capacity_kib:", "memories[1].capacity_kib = None"),
        ("capacity_kib: 8", "capacity_kib: 0", "within 0.00012207"),
        ("capacity_kib: 8", "capacity_kib: 0x" + "f" * 5000, "write decimal numbers"),
        ("capacity_kib: 8", "capacity_kib: [8]", "memories[1].capacity_kib = [8]"),
        ("capacity_kib: 8", "capacity_kb: 8", "memories[1]: unknown key 'capacity_kb'; legal keys"),
        ("capacity_kib: 8", "capacity_kib: 8\n    capacity_bytes: 8", "give one of them"),
        ("capacity_kib: 8", "capacity_kib: 8\n    capacity_kib: 9", "stands twice"),
        ("    operands: [input, output]\n", "", "memories[1]: needs 'operands'"),
        ("operands: [input, output]", "operands: [inputs]", "memories[1].operands = ['inputs']"),
        ("operands: [input, output]", "operands: [input, input]", "distinct names"),
        ("operands: [input, output]", "operands: 7", "memories[1].operands = 7"),
        ("operands: [input, output]", "operands: {input: 1}", "memories[1].operands"),
        ("- name: glb", "- name: 5", "memories[1].name = 5: must be a text"),
        ("- name: glb", "- name: g.l.b", "memories[1].name = 'g.l.b': must be letters"),
        ("- name: glb\n   ", "- 5\n  -", "memories[1] = 5: must hold 'key: value' lines"),
        ("write_bits_per_cycle: shared", "write_bits_per_cycle: both", "memories[1].write_bits"),
        ("array: {x: 4, y: 2}", "array: {x: 0, y: 2}", "array.x = 0: must be a whole number"),
        ("array: {x: 4, y: 2}", "array: {x: 4.5, y: 2}", "array.x = 4.5"),
        ("array: {x: 4, y: 2}", "array: {x: yes, y: 2}", "array.x = True"),
        ("array: {x: 4, y: 2}", "array: {}", "array has 0 dimensions"),
        ("array: {x: 4, y: 2}", "array: 8", "array = 8: must be PEs by dimension"),
        ("array: {x: 4, y: 2}", "array: {4: 4}", "array = {4: 4}"),
        ("array: {x: 4, y: 2}", "array: {x: 4, x: 2}", "key 'x' stands twice"),
        ("array: {x: 4, y: 2}\n", "", "array = None: must be PEs by dimension"),
        ("unrolls: {x: [K], y: [C]}", "unrolls: [K]", "unrolls = ['K']: must be ranks"),
        ("unrolls: {x: [K], y: [C]}", "unrolls: {x: 3}", "unrolls.x = 3"),
        ("unrolls: {x: [K], y: [C]}", "unrolls: {x: [3]}", "unrolls.x = [3]"),
        ("name: chip", "names: chip", "unknown key 'names'"),
        ("name: chip", "name: 7", "name = 7: must be a text"),
        ("name: chip", "clock_mhz: fast", "clock_mhz = 'fast'"),
        ("name: chip", "clock_mhz: 1e400", "clock_mhz = "),
        ("name: chip", "memory.glb.capacity_kib: 4", "unknown key 'memory.glb.capacity_kib'"),
        ("name: chip", "family: [1]", "stands twice"),
        ("family: spatial", "family: [1]", "family = [1]: must be one of systolic, spatial"),
        ("family: spatial", "family: systolic", "unknown key"),
    ],
)  # fmt: skip
def test_a_bad_file_names_the_path(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(AcceleratorError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'chip.yaml'}: ")
    assert words in message
    assert len(message.splitlines()) == 1
    assert len(message) < 500


@pytest.mark.parametrize("memories", ["3", "[]", "{rf: 1}", "", "[" + "{name: a}, " * 40 + "]"])
def test_memories_are_a_list(tmp_path, memories):
    text = GOOD[: GOOD.index("memories:")] + f"memories: {memories}\n"
    with pytest.raises(AcceleratorError, match=r"memories = .*: must be a list of 1 to 32"):
        load(tmp_path, text)


def test_the_example_of_the_docs_is_a_legal_design(tmp_path):
    page = Path(__file__).resolve().parents[2] / "docs" / "accelerators.md"
    example = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[0]
    assert load(tmp_path, example).validate() == []

"""A device under test, cycle by cycle, and a memory at its read channels.

Inputs are driven at falling edges; what is read after `cycle` is what the next rising edge samples.
"""

from collections import deque

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer


class Clocked:
    """Drives a device; inputs that a cycle does not name are 0."""

    def __init__(self, dut, *inputs):
        self.dut, self.inputs, self.now = dut, inputs, 0

    async def reset(self):
        Clock(self.dut.clk_i, 4, unit="step").start()
        self.dut.rst_ni.value = 0
        await self.cycle()
        await self.cycle()
        self.dut.rst_ni.value = 1
        self.now = 0

    async def cycle(self, **values):
        """Runs to the next cycle, in which `values` are at the inputs."""
        await FallingEdge(self.dut.clk_i)
        self.now += 1
        for name in self.inputs:
            getattr(self.dut, name).value = values.get(name, 0)
        await Timer(1, unit="step")

    def read(self, name):
        return int(getattr(self.dut, name).value)


def bursts(address, beats, bus_bytes):
    """(address, beats) of the AXI bursts of one run."""
    while beats:
        length = min(beats, 256, (4096 - address % 4096) // bus_bytes)
        yield address, length
        address, beats = address + length * bus_bytes, beats - length


class Memory:
    """Serves reads of `image`: beat j comes latency + ceil(j bus / bandwidth) cycles after the
    first request, counted anew whenever all has been served; or at random, if `rng` is given."""

    def __init__(self, image, bus_bytes, latency=5, bandwidth=None, rng=None):
        self.image, self.bus_bytes, self.rng = image, bus_bytes, rng
        self.latency, self.bandwidth = latency, bandwidth or bus_bytes
        self.beats, self.requests = deque(), []
        self.served = self.accepted_at = 0

    def inputs(self, now):
        """Of the device in cycle `now`."""
        due = self.accepted_at + self.latency
        due += -(-(self.served + 1) * self.bus_bytes // self.bandwidth)
        ready = self.rng is None or self.rng.random() < 0.5
        valid = bool(self.beats) and (self.rng.random() < 0.6 if self.rng else now >= due)
        if not valid:
            return {"arready_i": ready, "rvalid_i": 0, "rdata_i": self.noise(), "rlast_i": 0}
        address, last = self.beats.popleft()
        self.served += 1
        data = int.from_bytes(self.image[address : address + self.bus_bytes], "little")
        return {"arready_i": ready, "rvalid_i": 1, "rdata_i": data, "rlast_i": last}

    def noise(self):
        return int.from_bytes(b"\x5a" * self.bus_bytes, "little")

    def watch(self, device, inputs):
        """Takes the device's request of the cycle with these inputs."""
        if not (device.read("arvalid_o") and inputs["arready_i"]):
            return
        if not self.beats and not inputs["rvalid_i"]:
            self.served, self.accepted_at = 0, device.now
        address, beats = device.read("araddr_o"), device.read("arlen_o") + 1
        assert address // 4096 == (address + beats * self.bus_bytes - 1) // 4096
        self.requests.append((address, beats))
        for i in range(beats):
            self.beats.append((address + i * self.bus_bytes, int(i == beats - 1)))

"""Whole networks on the gates: exact in bits and cycles, and as accurate as promised.

    python experiments/rtl_networks.py [--images N] [--subs N]

Runs the four networks of MLPerf Tiny (their shapes, with random weights) and the largest
sub-network of digits on the RTL under Verilator, and compares every byte of memory and the cycles
of every instruction. Then compares the integers of many sub-networks, computed by plain arithmetic,
with the accuracy oracle of the co-design environment on all held-out images. Exits with 1 if the
gates disagree anywhere, or answer fewer images correctly than promised.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.envs.supernet import build_oracle
from dovetail.networks.elastic.accuracy import AccuracyOracle
from dovetail.networks.elastic.deploy import deploy, stored_images
from dovetail.networks.elastic.inference import Classifier
from dovetail.networks.registry import load_network
from dovetail.sim.values_network import reference
from dovetail.verify.networks import (
    MICRO,
    Verdict,
    random_subject,
    trained_subject,
    verify_network,
)

TINY = ("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder")
DATAFLOWS = ("ws", "os")


def main() -> int:
    """Prints both tables; 1 if a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, help="images of digits; all by default")
    parser.add_argument("--subs", type=int, default=20, help="random sub-networks to compare")
    options = parser.parse_args()
    print(f"gates of {MICRO.rows} x {MICRO.cols}, Verilator against sim.cycle and sim.interpreter")
    print(f"{'network':20s}{'flow':>5s}{'images':>7s}{'exact':>7s}{'cycles':>10s}{'correct':>9s}"
          f"{'promised':>9s}{'Verilator':>11s}{'sim.cycle':>11s}")  # fmt: skip
    verdicts = []
    for name in TINY:
        for design in designs():
            subject = random_subject(load_network(name), design, 1, 0)
            verdicts.append(verify_network(subject, design))
            show(name, design.dataflow, verdicts[-1])
    oracle = build_oracle({"dataset": "digits"})[0].oracle
    for design in designs():
        largest = (oracle.family.space.cardinalities - 1).tolist()
        subject = trained_subject(oracle, largest, design, options.images)
        verdicts.append(verify_network(subject, design, jobs=2))
        show("digits", design.dataflow, verdicts[-1])
    compare(oracle, options.subs)
    return int(any(v.failures or (v.correct or 0) < (v.promised or 0) for v in verdicts))


def designs() -> tuple[SystolicArray, ...]:
    """One of each dataflow."""
    return tuple(MICRO.replace({"dataflow": dataflow}) for dataflow in DATAFLOWS)


def show(name: str, dataflow: str, verdict: Verdict) -> None:
    """One line."""
    count = len(verdict.results)
    seconds = sum(result.seconds for result in verdict.results) / count
    correct = "" if verdict.correct is None else str(verdict.correct)
    promised = "" if verdict.promised is None else str(verdict.promised)
    print(
        f"{name:20s}{dataflow:>5s}{count:7d}{count - len(verdict.failures):7d}"
        f"{verdict.timing.total:10,d}{correct:>9s}{promised:>9s}{seconds:9.2f} s"
        f"{verdict.simulate_seconds * 1e3:8.2f} ms",
        flush=True,
    )


def compare(oracle: AccuracyOracle, count: int) -> None:
    """Logits and accuracy of deployed sub-networks against the oracle's."""
    begin = time.perf_counter()
    classifier, labels = Classifier(oracle.net, oracle.dataset), oracle.dataset.y_test
    limits = oracle.family.space.cardinalities
    choices = [limits - 1, 0 * limits, *oracle.family.space.sample(np.random.default_rng(1), count)]
    other, gaps = 0, []
    for choice in choices:
        sub = oracle.family.decode(choice)
        network, images = deploy(classifier, sub), stored_images(classifier, sub)
        ours = np.stack([reference(network, image)["logits"][:, 0, 0] for image in images])
        theirs = classifier.logits(sub).numpy()
        other += int((ours != theirs).any(axis=1).sum())
        gaps.append(int((ours.argmax(1) == labels).sum() - (theirs.argmax(1) == labels).sum()))
    print(
        f"\n{len(choices)} sub-networks of digits, {len(labels)} held-out images each: {other} of "
        f"{len(choices) * len(labels)} images have other logits than the oracle's; correct answers "
        f"differ by {min(gaps)} to {max(gaps)} ({time.perf_counter() - begin:.0f} s)"
    )


if __name__ == "__main__":
    sys.exit(main())

"""Elastic families: one network whose shape and precision are knobs, and its supernet."""

from dovetail.networks.elastic.family import ElasticFamily, Slot
from dovetail.networks.elastic.subnetwork import Block, SubNetwork

__all__ = ["Block", "ElasticFamily", "Slot", "SubNetwork"]

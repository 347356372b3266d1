"""The optimal mapper: branch and bound with a proof."""

from dovetail.mappers.found import Found
from dovetail.mappers.optimal.mapper import optimal

__all__ = ["Found", "optimal"]

"""Moved to `dovetail.arch.kernels`, where budgets are checked."""

from dovetail.arch.kernels import COLUMNS as COLUMNS
from dovetail.arch.kernels import KernelCost as KernelCost
from dovetail.arch.kernels import find as find
from dovetail.arch.kernels import read_table as read_table
from dovetail.arch.kernels import write_table as write_table

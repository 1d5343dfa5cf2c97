"""When and as what kernel a record runs: values, records, fusion, launch. Knows no operator and no convention of any namespace."""

from clnd.opencl import describe_site

from .code import Expression, cast
from .launch import MARGIN, ROUNDS, check_dtype, grid, index_type, kept, together
from .layout import Layout, compact, is_compact
from .plan import copied, defer, evaluate, finish, gathered, held, launch_due, lock, ready
from .recipe import BoundRecipe, Recipe, recipe
from .reduce import Folding
from .repeats import again
from .transfer import Slot, from_numpy, held_alone, mapped, reads, to_numpy, write_region
from .value import Record, Step, Value, called, eager, next_order, operations, state, user_site
from .work import work

__all__ = [
    "MARGIN",
    "ROUNDS",
    "BoundRecipe",
    "Expression",
    "Folding",
    "Layout",
    "Recipe",
    "Record",
    "Slot",
    "Step",
    "Value",
    "again",
    "called",
    "cast",
    "check_dtype",
    "compact",
    "copied",
    "defer",
    "describe_site",
    "eager",
    "evaluate",
    "finish",
    "from_numpy",
    "gathered",
    "grid",
    "held",
    "held_alone",
    "index_type",
    "is_compact",
    "kept",
    "launch_due",
    "lock",
    "mapped",
    "next_order",
    "operations",
    "reads",
    "ready",
    "recipe",
    "state",
    "to_numpy",
    "together",
    "user_site",
    "work",
    "write_region",
]

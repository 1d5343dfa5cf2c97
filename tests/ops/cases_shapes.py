"""Cases of the table of operators: shapes beyond those of the foundation."""

from __future__ import annotations

from ops.case import Case

CASES: list[Case] = []

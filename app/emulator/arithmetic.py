"""Sums that people type, computed without evaluating anything else."""

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

_EXPRESSION = re.compile(r"[-(]*\d[\d\s.+*/x×÷()-]*[+*/x×÷-][\d\s.+*/x×÷()-]*\d[)]*")
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST = 200


def sum_in(text: str) -> tuple[str, str] | None:
    """Return the first sum of a text and its result, None if there is none."""
    found = _EXPRESSION.search(text[:_LONGEST])
    if found is None:
        return None
    expression = found[0].strip()
    plain = expression.replace("x", "*").replace("×", "*").replace("÷", "/")
    try:
        value = _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None
    shown = str(value.numerator) if value.denominator == 1 else f"{float(value):.10g}"
    return expression, shown


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    raise ValueError("not a sum")

r"""Read a displayed equation as it is printed, and evaluate it.

The TeX of an equation is cut out of the notebook, brought into a form that SymPy's
LaTeX parser reads correctly, parsed, and evaluated at random points; all sides of the
equation have to agree. `notation.md` says how to write formulas so that this works.

The way of :func:`check`: TeX → tokens (`_lex`) → sides (`_split`) → tokens in which a
name is one token (`_canonical`) → SymPy's expression (`_Reader`) → number (`_Value`).
"""

import functools
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sympy
import torch
import yaml
from antlr4.atn.ParserATNSimulator import ParserATNSimulator
from antlr4.atn.PredictionMode import PredictionMode
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from sympy.core.function import AppliedUndef
from sympy.parsing.latex import parse_latex
from sympy.parsing.latex.errors import LaTeXParsingError


@dataclass(frozen=True)
class Draw:
    """How the value of a symbol is drawn: uniformly in (low, high), or an integer."""

    low: float
    high: float
    whole: bool = False
    sizes: tuple[int | str, ...] = ()  # of an array; a name stands for its value
    first: int = 1  # index of its first elements


real = Draw(-2.0, 2.0)
positive = Draw(0.3, 2.5)
unit = Draw(0.05, 0.95)


def integer(low: int, high: int) -> Draw:
    """Draw an integer from low to high, both included; none twice before all came."""
    return Draw(low, high, whole=True)


def data(*sizes: int | str, of: Draw = real, first: int = 1) -> Draw:
    """Draw an array, which the equation indexes from `first`."""
    return Draw(of.low, of.high, sizes=sizes, first=first)


@dataclass
class Form:
    r"""What the sides of a displayed equation are compared with.

    Args:
        given: Symbol, as TeX, and how to draw it.
        stated: TeX of a side, or of a symbol such as ``\bar{x}``, and its value
            computed another way from the drawn values.
        functions: Name that is followed by a parenthesis, and the function.
        rtol: Relative tolerance of ``=``.
        approx: Relative tolerance of ``\approx``.
        points: Number of random points.
    """

    given: dict[str, Draw] = field(default_factory=dict)
    stated: dict[str, Callable] = field(default_factory=dict)
    functions: dict[str, Callable] = field(default_factory=dict)
    rtol: float = 1e-9
    approx: float | None = None
    points: int = 5


# -- equations in Markdown, cut out as MyST does --------------------------------------


@functools.cache
def _markdown():
    book = yaml.safe_load((Path(__file__).parent.parent / "_config.yml").read_text())
    extensions = set(book["parse"]["myst_enable_extensions"])
    config = MdParserConfig(enable_extensions=extensions, dmath_double_inline=True)
    return create_md_parser(config, RendererHTML)


def displays(markdown: str) -> list[tuple[str | None, str]]:
    """Label (None where there is none) and TeX of each displayed formula."""
    found = []
    tokens = list(_markdown().parse(markdown))
    while tokens:
        token = tokens.pop(0)
        tokens[:0] = token.children or []
        directive = re.match(r"\{([\w:-]+)\}", token.info.strip())
        if token.type == "math_block_label":
            found.append((token.info, token.content.strip()))
        elif token.type in ("math_block", "math_inline_double", "amsmath"):
            found.append((None, token.content.strip()))
        elif token.type.endswith("fence") and directive:
            if directive[1] == "math":
                found.append((None, token.content.strip()))
            elif not re.match("code|raw|eval", directive[1]):
                found.extend(displays(token.content))
    return found


def equations(notebook: dict) -> list[tuple[str | None, str, int]]:
    """Label, TeX, and index of the cell of each displayed formula of a notebook."""
    return [
        (label, tex, index)
        for index, cell in enumerate(notebook["cells"])
        if cell["cell_type"] == "markdown"
        for label, tex in displays("".join(cell["source"]))
    ]


# -- from TeX to sides ----------------------------------------------------------------

DROPPED = re.compile(
    r"\\(?:begin|end)\{(?:aligned|gathered|split)\}(?:\[\w\])?|\\(?:left|right)\s*\."
    r"|\\(?:left|right|middle|[bB]igg?[lrm]?|limits|displaystyle)(?![A-Za-z])|\\!|&"
    r"|(?<=\\\\)\s*\[-?[\d.]+\w\w\]"  # \\[2pt]
    r"|(?<=\d)(?:\\,|\{,\})(?=\d{3})"  # 10\,000
)
TOKEN = re.compile(
    r"\\(?:begin|end)\{\w+\*?\}|\\[A-Za-z]+\*?|\\.|\d+(?:\.\d+)?|\S", re.DOTALL
)
RELATIONS = {"=", r"\approx", r"\le", r"\leq", r"\ge", r"\geq", "<", ">"}
OPEN = {"(", "[", r"\{", "{", r"\lfloor", r"\lceil"}
CLOSE = {")", "]", r"\}", "}", r"\rfloor", r"\rceil"}
WIDE = {r"\quad", r"\qquad"}
THIN = {r"\,", r"\;", r"\:", "\\ ", "~"}


def _lex(tex: str) -> list[str]:
    return TOKEN.findall(DROPPED.sub(lambda m: " " * (m[0] not in (r"\,", "{,}")), tex))


def _depths(tokens: Sequence[str]) -> list[int]:
    """How many groups and parentheses are open around each token."""
    depth, depths = 0, []
    for token in tokens:
        depth -= token in CLOSE or token.startswith(r"\end")
        depths.append(depth)
        depth += token in OPEN or token.startswith(r"\begin")
    return depths


def _closing(tokens: Sequence[str], start: int) -> int:
    """Index of the token that closes the group that opens at `start`."""
    depths = _depths(tokens)
    for end in range(start + 1, len(tokens)):
        if depths[end] == depths[start]:
            return end
    raise ValueError(f"{tokens[start]} is not closed")


def _rows(tokens: list[str]) -> Iterator[list[tuple[str, bool]]]:
    r"""Rows, split at \\; with each token, whether it is outside parentheses."""
    row = []
    for token, depth in [*zip(tokens, _depths(tokens), strict=True), (r"\\", 0)]:
        if depth or token != r"\\":
            row.append((token, depth == 0))
            continue
        while row and row[0][0] in WIDE | THIN:
            row.pop(0)
        while row and row[-1][0] in WIDE | THIN:
            row.pop()
        if row:
            yield row
        row = []


def _split(tokens: list[str]) -> list[list]:
    """Equations, each a list of side, relation, side, ...; a side is tokens."""
    found: list[list] = []
    for row in _rows(tokens):
        first = row[0][0]
        related = any(token in RELATIONS for token, outside in row if outside)
        before = found[-1][-1][-1:] if found else ["nothing"]
        if not (
            (found and (first in RELATIONS or first == "+"))
            or before in ([], ["+"], ["-"], [r"\cdot"])
            or (found and not related and first in ("-", r"\cdot", r"\times"))
        ):
            found.append([[]])  # the row does not go on with the row above
        for (token, outside), (after, _) in zip(row, [*row[1:], ("", 0)], strict=True):
            comma = token in (",", ";") and after in WIDE | THIN - {r"\,"}
            if outside and token in RELATIONS:
                found[-1] += [token, []]
            elif outside and (token == r"\qquad" or comma):
                found.append([[]])
            else:
                found[-1][-1].append(token)
    for equation in found:
        while equation[-1] and equation[-1][-1] in WIDE | THIN | {".", ",", ";"}:
            equation[-1].pop()
    return [equation for equation in found if equation != [[]]]


# -- from a side to a side in which a name is one token -------------------------------

STYLES = r"hat bar tilde dot vec widehat widetilde overline mathbf mathrm mathcal"
STYLES += r" mathbb mathit mathsf boldsymbol text operatorname"
STYLES = {"\\" + style for style in STYLES.split()}
ELEMENTARY = "exp ln log sin cos tan sinh cosh tanh arcsin arccos arctan"
ELEMENTARY = {"\\" + name for name in ELEMENTARY.split()}  # functions SymPy knows
SIGNS = dict.fromkeys([r"\times", r"\odot", r"\cdot", "*"], r"\cdot")
SIGNS |= {r"\{": "(", r"\}": ")", "[": "(", "]": ")", r"\lvert": "|", r"\rvert": "|"}
SIGNS |= {sign: sign for sign in [*"+-/!,()|", *RELATIONS]}
SIGNS |= {sign: sign for sign in OPEN | CLOSE | {r"\sum", r"\prod"} if sign[2:]}
APART = {*"+-,;:.|", r"\|", r"\mid", r"\to", r"\in", r"\sim", r"\ne", r"\neq", r"\ll"}
APART |= {r"\gg", r"\propto", r"\equiv", r"\implies", r"\iff", r"\dots", r"\cdots"}


class Name(str):
    """A token that is a symbol or a function, with all that belongs to its name."""

    __slots__ = ()


def _text(tokens: Sequence[str]) -> str:
    """Tokens as one string, the same for all ways to space them."""
    text = ""
    for token in tokens:
        if token not in THIN | WIDE:
            command = re.search(r"\\[A-Za-z]+$", text)
            text += " " * bool(command and token[0].isalpha()) + token
    return text


def _argument(rest: list[str]) -> list[str]:
    """Take one argument, as TeX does: a group without its braces, or one token."""
    if not rest:
        raise ValueError("an argument is missing at the end")
    if rest[0] == "{":
        end = _closing(rest, 0)
        argument, rest[:] = rest[1:end], rest[end + 1 :]
        return argument
    token = rest.pop(0)
    if token[0].isdigit():
        rest[:0] = [token[1:]] if token[1:] else []
        return [token[0]]
    return [token, "{", *_argument(rest), "}"] if token in STYLES else [token]


def _group(rest: list[str], arrays: dict[str, int]) -> list[str]:
    return ["{", *_canonical(_argument(rest), arrays), "}"]


def _canonical(tokens: list[str], arrays: dict[str, int]) -> list[str]:
    """Join names, give arguments their braces, and give arrays their indices."""
    rest, out = list(tokens), []
    while rest:
        token = rest.pop(0)
        if token in THIN:
            if out and isinstance(out[-1], Name) and rest and rest[0] in ("(", "["):
                out.append(r"\cdot")
        elif token in (r"\frac", r"\tfrac", r"\dfrac"):
            over, under = _argument(rest), _argument(rest)
            if over[:1] == under[:1] == [r"\partial"]:  # a derivative is one name
                cut = under.index("_") if "_" in under else len(under)
                after = under[cut + 1 :]
                index = _argument(after) if under[cut:] else None
                under = under[:cut] + after  # after the index: h_j^{(l)}
                base = rf"\frac{{{_text(over)}}}{{{_text(under)}}}"
                out += _indexed(base, index, arrays)
            else:
                out.append(r"\frac")
                out += _group(["{", *over, "}"], arrays)
                out += _group(["{", *under, "}"], arrays)
        elif token == r"\binom":
            out += [token, *_group(rest, arrays), *_group(rest, arrays)]
        elif token == r"\sqrt":
            end = _closing(rest, 0) + 1 if rest[:1] == ["["] else 0
            out += [token, *rest[:end]]
            del rest[:end]
            out += _group(rest, arrays)
        elif token in ("_", "^"):
            out += [token, *_group(rest, arrays)]
        elif token == "{":
            rest.insert(0, token)
            group = _group(rest, arrays)
            out += group if group != ["{", "}"] else []
        elif token in ELEMENTARY or token[0].isdigit():
            out.append(token)
        elif token in SIGNS:
            out.append(SIGNS[token])
        elif token not in WIDE | {r"\\"}:
            out += _name(token, rest, arrays)
    return out


def _name(token: str, rest: list[str], arrays: dict[str, int]) -> list[str]:
    """Take all that belongs to a name, and the power that it is raised to."""
    base, index, power = token, None, []
    if token.rstrip("*") in STYLES:
        base = f"{token.rstrip('*')}{{{_text(_argument(rest))}}}"
    while rest and (rest[0] in ("'", "^") or (rest[0] == "_" and index is None)):
        mark = rest.pop(0)
        argument = [] if mark == "'" else _argument(rest)
        part = "".join(argument)
        if mark == "_":
            index = argument
        elif mark == "'" or re.fullmatch(r"\*|\\prime|\(([a-z]([-+]\d)?|\d+)\)", part):
            base += mark + f"{{{part}}}" * bool(part)  # x', x^*, x^{(l)}
        else:
            power += [mark, "{", *_canonical(argument, arrays), "}"]
    if rest[:1] == ["["] and not power:  # Var[X] is one name
        end = _closing(rest, 0)
        base += f"[{_text(_canonical(rest[1:end], {}))}]"
        del rest[: end + 1]
    return _indexed(base, index, arrays) + power


def _indexed(base: str, index: list[str] | None, arrays: dict[str, int]) -> list[str]:
    """Let an index of data be an argument, and any other a part of the name."""
    if index is None:
        return [Name(base)]
    if base not in arrays:
        return [Name(f"{base}_{{{_text(_canonical(index, {}))}}}")]
    index = _canonical(index, arrays)
    if arrays[base] == len(index):  # w_{ij} is w_{i,j}
        index = [token for letter in index for token in (",", letter)][1:]
    return [Name(base + "_"), "(", *index, ")"]


def _factor(tokens: Sequence[str], start: int) -> int:
    r"""Where the factor that begins at `start` ends: f(x)^{2}, (a + b)!, \frac{}{}."""
    end = start
    while end < len(tokens):
        end = (_closing(tokens, end) if tokens[end] in OPEN else end) + 1
        after = tokens[end] if end < len(tokens) else ""
        first = isinstance(tokens[start], Name) or tokens[start] in ELEMENTARY
        called = first and after == "(" and end == start + 1
        if not called and after not in ("^", "!", "{"):
            break
    return end


def lint(tex: str) -> None:
    """Refuse what readers and parsers take differently.

    Raises:
        ValueError: With what to write instead.
    """
    if re.search(r"\\begin\{(align|eqnarray|equation|multline)\*?\}", tex):
        raise ValueError("write aligned inside $$ ... $$ (label) instead of align")
    if re.search(r"\de[-+]?\d", tex):
        raise ValueError("write numbers out, 0.00001 instead of 1e-5")
    for equation in _split(_lex(tex)):
        for side in equation[::2]:
            tokens = _canonical(side, {})
            for start, token in enumerate(tokens, 1):
                if token == "/":
                    while tokens[start : start + 1] in (["-"], [r"\partial"]):
                        start += 1
                    after = tokens[_factor(tokens, start) :][:1]
                    if after and after[0] not in CLOSE | RELATIONS | APART:
                        raise ValueError(rf"write \frac: {after[0]} follows a quotient")


# -- from a side to an expression -----------------------------------------------------

CONSTANTS = {"e": math.e, r"\pi": math.pi}
FUNCTIONS = {
    "|": abs,
    r"\max": max,
    r"\min": min,
    r"\operatorname{erf}": math.erf,
    r"\operatorname{erfc}": math.erfc,
    r"\operatorname{sigmoid}": lambda z: 1 / (1 + math.exp(-z)),
    r"\operatorname{ReLU}": lambda z: max(z, 0.0),
}

_init = ParserATNSimulator.__init__


def _init_quickly(self: ParserATNSimulator, *args, **kwargs) -> None:
    _init(self, *args, **kwargs)
    self.predictionMode = PredictionMode.SLL  # the same trees, ten times faster


ParserATNSimulator.__init__ = _init_quickly


@functools.cache
def _sympy(tex: str) -> sympy.Expr:
    return parse_latex(tex, strict=True)  # without strict: silently a part of it


@dataclass
class _Side:
    tex: str
    tokens: tuple[str, ...]
    expression: sympy.Expr | None  # None where the value is stated
    names: dict[str, str]  # name in the expression, name here


class _Reader:
    """Knows what each symbol of a form is; turns sides into expressions."""

    def __init__(self, form: Form) -> None:
        self.arrays: dict[str, int] = {}  # name, number of indices
        self.atoms: dict[tuple[str, ...], Name] = {}  # what is one symbol: s^{2}
        self.names: dict[str, str] = {}  # key of the form, name here
        for key, how in form.given.items():
            if how.sizes:
                base, _, index = "".join(self.tokens(_lex(key))).rpartition("_{")
                if not index.endswith("}"):
                    raise ValueError(f"{key} is data: give it with its index, as x_i")
                self.arrays[base] = len(how.sizes)
                self.names[key] = base + "_"
        for key in [*form.given, *form.stated, *form.functions]:
            if key not in self.names:
                tokens = self.tokens(_lex(key))
                self.names[key] = _text(tokens)
                if len(tokens) > 1 and _is_atom(tokens):
                    self.atoms[tokens] = Name(self.names[key])
        self.stated = {self.tokens(_lex(k)): self.names[k] for k in form.stated}
        self.values = {self.names[k] for k in [*form.given, *form.stated]} | {
            *CONSTANTS
        }
        self.called = {self.names[k] for k in form.functions} | {*FUNCTIONS}
        self.called |= {base + "_" for base in self.arrays}

    def tokens(self, side: list[str]) -> tuple[str, ...]:
        tokens = _canonical(side, self.arrays)
        for atom in sorted(self.atoms, key=len, reverse=True):
            size = len(atom)
            for k in range(len(tokens) - size, -1, -1):
                if tuple(tokens[k : k + size]) == atom:
                    tokens[k : k + size] = [self.atoms[atom]]
        return tuple(tokens)

    def side(self, tex: list[str]) -> _Side:
        tokens = self.tokens(tex)
        if tokens in self.stated:
            return _Side(_text(tex), tokens, None, {"": self.stated[tokens]})
        try:
            return _Side(_text(tex), tokens, *self.expression(tokens))
        except LaTeXParsingError as error:
            raise ValueError(f"side {_text(tex)} cannot be read: {error}") from error
        except ValueError as error:
            raise ValueError(f"side {_text(tex)}: {error}") from error

    def expression(self, side: tuple[str, ...]) -> tuple[sympy.Expr, dict[str, str]]:
        tokens = _with_parentheses(_without_bars(side))
        indices = {
            name
            for sign, name in zip(tokens, tokens[3:], strict=False)
            if sign in (r"\sum", r"\prod")
        }
        codes: dict[str, str] = {}
        text = []
        for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
            if token[0].isdigit() and after[:1].isdigit():
                raise ValueError(f"the numbers {token} and {after} stand side by side")
            if isinstance(token, Name):
                if after == "(" and token not in self.called:
                    raise ValueError(
                        f"{token} before a parenthesis is not declared a function;"
                        r" for a product write \cdot or \, between them"
                    )
                if after != "(" and token not in self.values | indices:
                    raise ValueError(f"{token} has no value")
                letters = "".join("abcdefghij"[int(d)] for d in str(len(codes)))
                token = "\\" + codes.setdefault(token, "zz" + letters)
            text.append(token)
        return _sympy(" ".join(text)), {code: name for name, code in codes.items()}


def _is_atom(tokens: tuple[str, ...]) -> bool:
    r"""One factor wherever it stands: a name, a fraction, \|...\|, \nabla f(...)."""
    if tokens[0] == r"\|":
        return tokens.index(r"\|", 1) == len(tokens) - 1
    if tokens[0] == r"\nabla":
        return tokens[2] == "(" and tokens.index(")") == len(tokens) - 1
    starts = isinstance(tokens[0], Name) or tokens[0] == r"\frac"
    return starts and _factor(tokens, 0) == len(tokens)


def _without_bars(tokens: Sequence[str]) -> list[str]:
    """Write |x| as a function; a bar opens at the start and after an operator."""
    opened, out = 0, []
    for token in tokens:
        if token != "|":
            out.append(token)
        elif not opened or not out or out[-1] in OPEN | {*"+-/,", r"\cdot"}:
            opened += 1
            out += [Name("|"), "("]
        else:
            opened -= 1
            out.append(")")
    return out


def _with_parentheses(tokens: list[str]) -> list[str]:
    r"""Write \ln(f(x)) for \ln f(x), which SymPy does not read as a function of f."""
    for k in range(len(tokens) - 2, -1, -1):
        if tokens[k] in ELEMENTARY:
            call = isinstance(tokens[k + 1], Name) and tokens[k + 2 : k + 3] == ["("]
            if call or tokens[k + 1] in ELEMENTARY | {r"\sqrt"}:
                end = _factor(tokens, k + 1)
                tokens[k + 1 : end] = ["(", *tokens[k + 1 : end], ")"]
    return tokens


# -- from an expression to a number ---------------------------------------------------


def _whole(value: float) -> int:
    if value != round(value):
        raise ValueError(f"{value} must be an integer")
    return round(value)


SYMPY = "log exp sin cos tan sinh cosh tanh asin acos atan floor"
SYMPY = {name: getattr(math, name) for name in SYMPY.split()} | {
    "ceiling": math.ceil,
    "factorial": lambda n: math.factorial(_whole(n)),
    "binomial": lambda n, k: math.comb(_whole(n), _whole(k)),
}


@dataclass
class _Value:
    """Computes an expression; `largest` is the largest term of a sum on the way."""

    names: dict[str, str]
    values: dict[str, float | torch.Tensor]
    functions: dict[str, Callable]
    first: dict[str, int]  # index of each array
    largest: float = 1.0

    def of(self, node: sympy.Basic, indices: dict[str, int]) -> float:
        value = self.compute(node, indices)
        if isinstance(value, complex) or not math.isfinite(value):
            raise ValueError(f"a part of it is {value}")
        return value

    def sum(self, terms: list[float]) -> float:
        self.largest = max([self.largest, *map(abs, terms)])
        return math.fsum(terms)

    def compute(self, node: sympy.Basic, indices: dict[str, int]) -> float:
        if node.is_Symbol:
            name = self.names[node.name]
            if node.name not in indices and name not in self.values:
                raise ValueError(f"{name} has no value here")
            return float(indices.get(node.name, self.values.get(name)))
        if not node.args:
            return float(node)
        if isinstance(node, sympy.Sum | sympy.Product):
            body, *inner, (index, *ends) = node.args
            body = node.func(body, *inner) if inner else body
            first, last = (_whole(self.of(end, indices)) for end in ends)
            terms = [
                self.of(body, indices | {index.name: k}) for k in range(first, last + 1)
            ]
            return (self.sum if isinstance(node, sympy.Sum) else math.prod)(terms)
        parts = [self.of(part, indices) for part in node.args]
        if isinstance(node, AppliedUndef):
            return self.call(self.names[node.func.__name__], parts)
        if node.is_Pow:
            return parts[0] ** parts[1]
        if node.is_Add or node.is_Mul:
            return (self.sum if node.is_Add else math.prod)(parts)
        return SYMPY[node.func.__name__](*parts)

    def call(self, name: str, parts: list[float]) -> float:
        if name in self.functions:
            return _number(self.functions[name](*map(_tensor, parts)))
        if name in FUNCTIONS:
            return float(FUNCTIONS[name](*parts))
        index, array = [_whole(part) for part in parts], self.values[name]
        place = [k - self.first[name] for k in index]
        if not all(0 <= k < n for k, n in zip(place, array.shape, strict=True)):
            raise ValueError(f"{name[:-1]} has no element {index}")
        return array[tuple(place)].item()


def _tensor(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _number(value: torch.Tensor | float) -> float:
    return float(torch.as_tensor(value, dtype=torch.float64).detach())


# -- the check ------------------------------------------------------------------------


def check(label: str, tex: str, form: Form) -> None:
    """Evaluate all sides of an equation at random points and compare them.

    Raises:
        AssertionError: Two sides differ.
        ValueError: The equation cannot be read, a symbol has no value, or something
            in the form is not used.
    """
    try:
        lint(tex)
        reader = _Reader(form)
        chains = _split(_lex(tex))
        for chain in chains:
            chain[::2] = [reader.side(side) for side in chain[::2]]
        _require_all_used(chains, reader.names, form)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error
    names = reader.names
    functions = {names[key]: function for key, function in form.functions.items()}
    first = {names[key]: how.first for key, how in form.given.items() if how.sizes}
    for drawn in _draw(label, form):
        values = CONSTANTS | {names[key]: value for key, value in drawn.items()}
        for key, function in form.stated.items():
            values[names[key]] = _number(function(dict(drawn)))
        at = "at " + ", ".join(
            f"{key} = {_show(value)}" for key, value in drawn.items()
        )
        for number, chain in enumerate(chains, 1):
            results = []
            for side in chain[::2]:
                value = _Value(side.names, values, functions, first)
                try:
                    stated = side.expression is None
                    result = (
                        values[side.names[""]]
                        if stated
                        else value.of(side.expression, {})
                    )
                except (ArithmeticError, RuntimeError, ValueError) as error:
                    where = f"{label}, equation {number}, side {side.tex}"
                    raise ValueError(f"{where}: {error} {at}") from error
                results.append((result, value.largest))
            for k, relation in enumerate(chain[1::2]):
                (a, size_a), (b, size_b) = results[k : k + 2]
                assert _holds(relation, a, b, 1e-12 * max(size_a, size_b), form), (
                    f"{label}, equation {number}, sides {k + 1} and {k + 2}:"
                    f" {chain[2 * k].tex} {relation} {chain[2 * k + 2].tex} fails,"
                    f" {a:.12g} against {b:.12g} {at}"
                )


def _require_all_used(chains: list[list], names: dict[str, str], form: Form) -> None:
    for key in form.given.keys() & form.stated.keys():
        raise ValueError(f"{key} is both given and stated")
    sides = [side for chain in chains for side in chain[::2]]
    used = {name for side in sides for name in side.names.values()}
    texts = [_lex(key) for key in form.stated if names[key] in used]
    for key, name in names.items():
        symbol = _lex(name[:-1] if key in form.given and form.given[key].sizes else key)
        if name not in used and not (
            key in form.given and any(_occurs(symbol, text) for text in texts)
        ):
            raise ValueError(f"{key} is in the form, but not in the equation")
    for chain in chains:
        if len(chain) < 3:
            raise ValueError(f"{chain[0].tex} is compared with nothing")
        if all(side.expression is None for side in chain[::2]):
            raise ValueError(f"no side of {chain[0].tex} = ... is read, all are stated")
    if (form.approx is None) == any(r"\approx" in chain for chain in chains):
        raise ValueError(r"approx must be given if there is an \approx, else not")


def _occurs(part: list[str], whole: list[str]) -> bool:
    size = len(part)
    return any(whole[k : k + size] == part for k in range(len(whole) - size + 1))


def _draw(label: str, form: Form) -> Iterator[dict[str, int | torch.Tensor]]:
    """Values of the given symbols, point after point; the same for a label always."""
    generator = torch.Generator().manual_seed(zlib.crc32(label.encode()))
    integers = {
        key: how.low + torch.randperm(how.high - how.low + 1, generator=generator)
        for key, how in form.given.items()
        if how.whole
    }
    for point in range(form.points):
        drawn = {
            key: every[point % len(every)].item() for key, every in integers.items()
        }
        for key, how in form.given.items():
            if not how.whole:
                sizes = [drawn[n] if isinstance(n, str) else n for n in how.sizes]
                uniform = torch.rand(sizes, dtype=torch.float64, generator=generator)
                drawn[key] = how.low + (how.high - how.low) * uniform
        yield drawn


def _holds(relation: str, left: float, right: float, floor: float, form: Form) -> bool:
    rtol = form.approx if relation == r"\approx" else form.rtol
    slack = rtol * max(abs(left), abs(right)) + floor
    if relation in ("=", r"\approx"):
        return abs(left - right) <= slack
    if relation in ("<", ">"):
        return left < right if relation == "<" else left > right
    return left <= right + slack if "l" in relation else left + slack >= right


def _show(value: int | torch.Tensor) -> str:
    numbers = torch.as_tensor(value).flatten().tolist()
    text = ", ".join(f"{number:.4g}" for number in numbers)
    return text if len(numbers) == 1 else f"[{text}]"

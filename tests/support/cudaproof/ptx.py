"""Runs the PTX that NVRTC writes in the emulator, translated to C++.

    ptx.load(text, "trace", arch=80)["saxpy"](grid, block, x, y, ...)

This check does not depend on how g++ compiles the source. It does not cover the assembler from PTX
to machine code, the hardware, and approximate instructions, which are computed exactly here. An
unknown instruction raises Unsupported: nothing is skipped.

A register is a C++ variable with its bits, which an instruction reads as the type that it names.
Addresses in shared memory have 32 bits: offsets into one array, and dynamic shared memory from
DYNAMIC on.
Source: NVIDIA, PTX ISA 8.8, https://docs.nvidia.com/cuda/parallel-thread-execution/.
"""

import re
from functools import cache

from . import emulator, instructions, nvrtc
from .instructions import Unsupported

HEAD = """\
#define DYNAMIC (1u << 24)
#define SHARED(a) ((a) < DYNAMIC ? shared + (a) : (char*)emu_dynamic_shared() + ((a) - DYNAMIC))
template <class T, class B> static inline T as(B bits)
{
    T value;
    memcpy(&value, &bits, sizeof(T));
    return value;
}
template <class T> static inline uint64_t bits(T value)
{
    uint64_t found = 0;
    memcpy(&found, &value, sizeof(T));
    return found;
}
"""
C_TYPES = {
    f"{kind}{size}": f"{'' if kind == 's' else 'u'}int{size}_t"
    for kind in "usb"
    for size in (8, 16, 32, 64)
} | {"f32": "float", "f64": "double", "pred": "bool"}
SPECIAL = {
    f"%{ptx}.{axis}": f"{cuda}.{axis}"
    for ptx, cuda in {
        "tid": "threadIdx",
        "ctaid": "blockIdx",
        "ntid": "blockDim",
        "nctaid": "gridDim",
    }.items()
    for axis in "xyz"
} | {"%laneid": "emu_lane()", "WARP_SZ": "32"}
COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="} | {
    "lo": "<",
    "ls": "<=",
    "hi": ">",
    "hs": ">=",
}
LOGIC = {"and": "&", "or": "|", "xor": "^"}
UNARY = {  # of floating point; also approximate ones are computed with the accuracy of C++
    "abs": "fabs({0})",
    "neg": "-{0}",
    "sqrt": "sqrt({0})",
    "rcp": "1 / {0}",
    "rsqrt": "1 / sqrt({0})",
    "ex2": "exp2({0})",
    "lg2": "log2({0})",
    "sin": "sin({0})",
    "cos": "cos({0})",
}
ROUND = {"rzi": "trunc", "rni": "nearbyint", "rmi": "floor", "rpi": "ceil"}


@cache
def load(
    text: str,
    mode: str = "fast",
    arch: int = 80,
    options: tuple[str, ...] = ("--std=c++17",),
    contract: bool = True,
):
    """{name: emulator.Kernel} of the PTX that NVRTC makes of the source `text`. mode: fast or
    trace.

    contract : whether NVRTC may fuse a * b + c, which is its default.
    """
    fused = () if contract else ("--fmad=false",)
    compiled = nvrtc.compile(text, arch, (*options, *fused))
    defines = tuple(o for o in options if o.startswith("-D"))
    source = emulator.load(text, "fast", defines)
    signatures = {name: kernel.parameters for name, kernel in source.items()}
    return emulator.load(translate(compiled.ptx, signatures), mode, contract=False)


def translate(ptx: str, signatures: dict[str, tuple[emulator.Parameter, ...]]) -> str:
    """C++ for the emulator, with every entry of the PTX and the parameters of the source."""
    ptx = re.sub(r"//[^\n]*", "", ptx)
    if re.search(r"^\s*(?:\.visible |\.weak )?\.func\b", ptx, re.M):
        raise Unsupported("functions that are not inlined")
    at_file = re.findall(r"^(?:\.\w+ )?\.shared \.align (\d+) \.b8 (\w+)\[(\d*)\];", ptx, re.M)
    entries = re.findall(r"\.entry\s+(\w+)\s*\((.*?)\)([^{]*)\{(.*?)\n\}", ptx, re.S)
    return HEAD + "\n".join(
        _Entry(name, parameters, body, at_file).text(signatures[name])
        for name, parameters, _, body in entries
    )


class _Entry:
    def __init__(self, name, parameters, body, at_file):
        self.name, self.symbols = name, {}
        self.parameters = re.findall(r"\.param\s+\.(\w+)\b[^,]*?\b(\w+)\s*(?:,|$)", parameters)
        if ".b8" in parameters:
            raise Unsupported(f"{name}: structures as parameters")
        self.size = 0
        here = re.findall(r"\.shared \.align (\d+) \.b8 (\w+)\[(\d+)\];", body)
        for align, symbol, size in [*at_file, *here]:
            if not size:
                self.symbols[symbol] = "DYNAMIC"
                continue
            # at an odd multiple of its alignment, so that wider accesses are misaligned
            at, twice = int(align), 2 * int(align)
            at -= (at - self.size) // twice * twice
            self.symbols[symbol] = f"{at}u"
            self.size = at + int(size)
        self.registers = re.findall(r"\.reg \.(\w+)\s+%(\w+?)(?:<(\d+)>)?;", body)
        self.local = re.findall(r"\.local \.align (\d+) \.b8\s+(\w+)\[(\d+)\];", body)
        self.statements = _statements(body)

    def text(self, signature) -> str:
        if len(signature) != len(self.parameters):
            raise Unsupported(f"{self.name}: {self.parameters} for {signature}")
        names = {"float32": "float", "float64": "double", "bool": "bool"}
        kinds = [f"{names.get(str(p.dtype), f'{p.dtype}_t')}{'*' * p.pointer}" for p in signature]
        kinds = ["const " * p.const + kind for p, kind in zip(signature, kinds, strict=True)]
        listed = ", ".join(f"{kind} a{i}" for i, kind in enumerate(kinds))
        lines = [f'extern "C" __global__ void {self.name}({listed})', "{"]
        lines.append(f"__shared__ __align__(128) char shared[{max(self.size, 16)}]; (void)shared;")
        for align, symbol, size in self.local:
            lines.append(f"__align__({align}) char {symbol}[{size}];")
            self.symbols[symbol] = f"bits({symbol} + 0)"
        for kind, name, count in self.registers:
            kind = "bool" if kind == "pred" else f"uint{kind[1:]}_t"
            every = [f"{name}{i}" for i in range(int(count))] if count else [name]
            lines += [f"{kind} " + ", ".join(f"{n} = 0" for n in every) + ";"]
        self.arguments = {name: f"a{i}" for i, (_, name) in enumerate(self.parameters)}
        for statement in self.statements:
            if statement.endswith(":"):
                lines.append(statement.replace("$", "") + ";")
            else:
                lines.append(self.statement(statement))
        return "\n".join([*lines, "}"])

    def statement(self, text) -> str:
        guard = re.match(r"@(!?)%(\w+)\s+(.*)", text, re.S)
        before = f"if ({guard[1]}{guard[2]}) " if guard else ""
        operation, _, rest = (guard[3] if guard else text).partition(" ")
        operands = [o.strip() for o in re.split(r",(?![^{\[]*[}\]])", rest)] if rest else []
        words = operation.split(".")
        method = getattr(self, f"_{words[0]}", None)
        try:
            done = (method or self._arithmetic)(words, operands)
        except (KeyError, IndexError, AttributeError, ValueError) as error:
            raise Unsupported(f"{self.name}: {text} ({error!r})") from error
        if done is None:
            raise Unsupported(f"{self.name}: {text}")
        return f"{before}{{ {done} }}"

    # ------------------------------------------------------------------------------ operands
    def read(self, operand, kind) -> str:
        """An operand in C++, read as the type that the instruction names."""
        c = C_TYPES[kind]
        negated = operand.startswith("!")
        if negated:
            return f"!{self.read(operand[1:], kind)}"
        if operand in SPECIAL:
            return f"({c}){SPECIAL[operand]}"
        if operand.startswith("%"):
            if kind[0] == "f":
                return f"as<{c}>({operand[1:]})"
            return operand[1:] if kind == "pred" else f"({c}){operand[1:]}"
        if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", operand):
            return f"as<float>(0x{operand[2:]}u)"
        if re.fullmatch(r"0[dD][0-9a-fA-F]{16}", operand):
            return f"as<double>(0x{operand[2:]}ull)"
        if re.fullmatch(r"-?(0x[0-9a-fA-F]+|\d+)U?", operand):
            return f"({c}){operand.rstrip('U')}ll"
        return f"({c}){self.symbols[operand]}"

    def write(self, register, kind, value) -> str:
        name = register.lstrip("%")
        return f"{name} = bits({value});" if kind[0] == "f" else f"{name} = {value};"

    def address(self, operand, words) -> str:
        base, offset = re.fullmatch(r"\[([%$\w]+)(?:\+(-?\d+))?\]", operand).groups()
        if "shared" in words or "shared::cta" in words:
            return f"SHARED({self.read(base, 'u32')} + (uint32_t)({offset or 0}))"
        return f"(char*)({self.read(base, 'u64')} + ({offset or 0}ll))"

    # ---------------------------------------------------------------------------- statements
    def _ret(self, words, operands):
        return "return;"

    _exit = _ret

    def _bra(self, words, operands):
        return f"goto {operands[0].replace('$', '')};"

    def _bar(self, words, operands):
        if words[1:] == ["warp", "sync"]:
            return f"emu_syncwarp(0, {self.read(operands[0], 'u32')});"
        return "emu_syncthreads(0);" if operands == ["0"] else None

    _barrier = _bar

    def _ld(self, words, operands):
        target, source = operands
        kind = words[-1]
        if words[1] == "param":
            name = self.arguments[source.strip("[]")]
            return f"{target.lstrip('%')} = bits({name});"
        names = [r.strip() for r in target.strip("{}").split(",")]
        vector = (
            f"{C_TYPES[kind]} __attribute__((vector_size({len(names)} * sizeof({C_TYPES[kind]}))))"
        )
        address = self.address(source, words)
        if len(names) == 1:
            return self.write(names[0], kind, f"*({C_TYPES[kind]}*)({address})")
        values = "".join(self.write(n, kind, f"v[{i}]") for i, n in enumerate(names))
        return f"typedef {vector} V; const V v = *(V*)({address}); {values}"

    def _st(self, words, operands):
        target, source = operands
        kind = words[-1]
        names = [r.strip() for r in source.strip("{}").split(",")]
        address = self.address(target, words)
        values = ", ".join(self.read(n, kind) for n in names)
        if len(names) == 1:
            return f"*({C_TYPES[kind]}*)({address}) = {values};"
        size = f"{len(names)} * sizeof({C_TYPES[kind]})"
        vector = f"{C_TYPES[kind]} __attribute__((vector_size({size})))"
        return f"typedef {vector} V; *(V*)({address}) = V{{{values}}};"

    def _atom(self, words, operands):
        if "add" not in words:
            return None
        target, place, value = operands
        c = C_TYPES[words[-1]]
        return self.write(
            target,
            words[-1],
            f"atomicAdd(({c}*)({self.address(place, words)}), {self.read(value, words[-1])})",
        )

    def _mov(self, words, operands):
        target, source = operands
        kind = words[-1]
        if "{" in target:  # a register is split into its parts
            names = [r.strip() for r in target.strip("{}").split(",")]
            bits = int(kind[1:]) // len(names)
            return "".join(
                f"{n.lstrip('%')} = (uint{bits}_t)({self.read(source, 'b64')} >> {bits * i});"
                for i, n in enumerate(names)
                if n != "_"
            )
        if "{" in source:
            names = [r.strip() for r in source.strip("{}").split(",")]
            bits = int(kind[1:]) // len(names)
            parts = [
                f"(uint64_t){self.read(n, f'u{bits}')} << {bits * i}" for i, n in enumerate(names)
            ]
            return self.write(target, "b64", " | ".join(parts))
        return self.write(target, kind, self.read(source, kind))

    def _cvta(self, words, operands):
        target, source = operands
        if not any(w.startswith("shared") for w in words):
            return self.write(target, "u64", self.read(source, "u64"))
        if "to" in words:
            return self.write(target, "u64", f"{self.read(source, 'u64')} - bits(shared + 0)")
        return self.write(target, "u64", f"bits(SHARED({self.read(source, 'u64')}))")

    def _cp(self, words, operands):
        given = [o.strip("{} ") for o in operands]
        if len(given) >= 3:
            given[0] = self.address(given[0], ["shared"])
            given[1] = self.address(given[1], ["global"])
            given[3:] = [self.read(number, "u32") for number in given[3:]]
        return instructions.call(".".join(words), given)

    def _mma(self, words, operands):
        *matrices, last = [o.strip("{}").replace(" ", "").split(",") for o in operands]
        read = [self.read(r, "b32") for matrix in matrices[1:] for r in matrix]
        read += [self.read(r, "f32") for r in last]
        made = [f"d_[{i}]" for i in range(len(matrices[0]))]
        stored = "".join(self.write(r, "f32", d) for r, d in zip(matrices[0], made, strict=True))
        return f"float d_[4]; {instructions.call('.'.join(words), made + read)} {stored}"

    def _cvt(self, words, operands):
        target, source = operands
        if "tf32" in words:
            read = self.read(source, "f32")
            return instructions.call(".".join(words), [target.lstrip("%"), read])
        to, of = words[-2:]
        value = self.read(source, of)
        rounding = next((ROUND[w] for w in words if w in ROUND), None)
        if of[0] == "f" and (to[0] != "f" or rounding):
            value = f"{rounding or 'trunc'}({value})"
        if "sat" in words:
            return None
        return self.write(target, to, f"({C_TYPES[to]})({value})")

    def _setp(self, words, operands):
        kind = words[-1]
        relation = words[1]
        target, a, b = operands[0], *(self.read(o, kind) for o in operands[1:3])
        unordered = kind[0] == "f" and relation.endswith("u") and relation[:-1] in COMPARE
        if relation in ("num", "nan"):
            test = f"{'!' * (relation == 'num')}(isnan({a}) || isnan({b}))"
        elif unordered:
            test = f"({a} {COMPARE[relation[:-1]]} {b} || isnan({a}) || isnan({b}))"
        elif relation == "ne" and kind[0] == "f":
            test = f"({a} != {b} && !isnan({a}) && !isnan({b}))"
        else:
            test = f"{a} {COMPARE[relation]} {b}"
        logic = next((LOGIC[w] for w in words[2:-1] if w in LOGIC), None)
        if logic:
            test = f"({test}) {logic} {self.read(operands[3], 'pred')}"
        if "|" in target:
            return None
        return self.write(target, "pred", test)

    def _selp(self, words, operands):
        target, a, b, choice = operands
        a, b = (self.read(o, words[-1]) for o in (a, b))
        return self.write(target, words[-1], f"{self.read(choice, 'pred')} ? {a} : {b}")

    def _bfi(self, words, operands):
        """bfi: puts the low bits of the first operand into the second; position and number
        follow."""
        target, value, into, first, count = operands
        first, count = int(first), int(count)  # constants; a register raises an error
        mask = ((1 << count) - 1) << first
        value, into = (self.read(o, words[-1]) for o in (value, into))
        bits = f"({value} << {first} & {mask}ull) | ({into} & ~{mask}ull)"
        return self.write(target, words[-1], bits)

    def _shfl(self, words, operands):
        target, *rest = operands
        target, _, flag = (part.strip() for part in target.partition("|"))
        value, by, limits, mask = (self.read(o, "u32") for o in rest)
        lanes = {"down": "lane + by", "up": "lane - by", "bfly": "lane ^ by"}
        lanes["idx"] = "(lane & segment) | (by & ~segment)"
        fits = "from >= last" if words[2] == "up" else "from <= last"
        store = f"{flag.lstrip('%')} = fits;" if flag else ""
        return (
            f"int lane = emu_lane(), by = {by} & 31, c = {limits}, segment = c >> 8 & 31; "
            f"int last = (lane & segment) | (c & 31 & ~segment), from = {lanes[words[2]]}; "
            f"bool fits = {fits}; {target.lstrip('%')} = "
            f"__shfl_sync({mask}, {value}, fits ? from : lane); {store}"
        )

    def _vote(self, words, operands):
        if words[2] != "ballot":
            return None
        value, mask = self.read(operands[1], "pred"), self.read(operands[2], "u32")
        return self.write(operands[0], "b32", f"__ballot_sync({mask}, {value})")

    def _fma(self, words, operands):
        a, b, c = (self.read(o, words[-1]) for o in operands[1:])
        return self.write(operands[0], words[-1], f"std::fma({a}, {b}, {c})")

    def _mad(self, words, operands):
        kind = words[-1]
        if kind[0] == "f":
            return self._fma(words, operands)
        wide = "wide" in words
        to = f"{kind[0]}{2 * int(kind[1:])}" if wide else kind
        product, added = self._product(words, operands), self.read(operands[3], _unsigned(to))
        return self.write(
            operands[0], to, f"({C_TYPES[to]})(({C_TYPES[_unsigned(to)]}){product} + {added})"
        )

    def _mul(self, words, operands):
        kind = words[-1]
        if kind[0] == "f":
            return self._arithmetic(words, operands)
        to = f"{kind[0]}{2 * int(kind[1:])}" if "wide" in words else kind
        return self.write(operands[0], to, f"({C_TYPES[to]}){self._product(words, operands)}")

    def _product(self, words, operands):
        kind = words[-1]
        a, b = (self.read(o, kind) for o in operands[1:3])
        if "lo" in words:
            a, b = (self.read(o, _unsigned(kind)) for o in operands[1:3])
            return f"({C_TYPES[_unsigned(kind)]})((uint64_t){a} * {b})"
        double = C_TYPES[f"{kind[0]}{2 * int(kind[1:])}"] if kind[1:] != "64" else "__int128"
        product = f"(({double}){a} * ({double}){b})"
        return product if "wide" in words else f"({product} >> {kind[1:]})"

    def _shl(self, words, operands):
        bits = words[-1][1:]
        value, by = self.read(operands[1], f"u{bits}"), self.read(operands[2], "u32")
        return self.write(operands[0], f"u{bits}", f"{by} < {bits} ? {value} << {by} : 0")

    def _shr(self, words, operands):
        kind = words[-1]
        value, by = self.read(operands[1], kind), self.read(operands[2], "u32")
        rest = f"{value} >> {int(kind[1:]) - 1}" if kind[0] == "s" else "0"
        return self.write(operands[0], kind, f"{by} < {kind[1:]} ? {value} >> {by} : {rest}")

    def _shf(self, words, operands):
        low, high, by = (self.read(o, "u32") for o in operands[1:])
        amount = f"(wrap_ = {by}, {'wrap_ & 31' if 'wrap' in words else 'wrap_ > 32 ? 32 : wrap_'})"
        both = f"((uint64_t){high} << 32 | {low})"
        value = f"{both} << {amount} >> 32" if "l" in words else f"{both} >> {amount}"
        return f"uint32_t wrap_; {self.write(operands[0], 'u32', f'(uint32_t)({value})')}"

    def _bfe(self, words, operands):
        if words[-1] != "u32":
            return None
        value, first, count = (self.read(o, "u32") for o in operands[1:])
        return self.write(
            operands[0],
            "u32",
            f"(uint32_t)((uint64_t){value} >> {first} & ((1ull << {count}) - 1))",
        )

    def _lop3(self, words, operands):
        a, b, c = (self.read(o, "u32") for o in operands[1:4])
        table = int(operands[4], 0)
        terms = [
            "("
            + " & ".join(f"{'' if i >> k & 1 else '~'}{v}" for k, v in ((2, a), (1, b), (0, c)))
            + ")"
            for i in range(8)
            if table >> i & 1
        ]
        return self.write(operands[0], "u32", " | ".join(terms) or "0")

    def _not(self, words, operands):
        value = self.read(operands[1], words[-1])
        return self.write(operands[0], words[-1], f"{'!' if words[-1] == 'pred' else '~'}{value}")

    def _arithmetic(self, words, operands):
        """target = a op b, in the type of the instruction's last word."""
        name, kind = words[0], words[-1]
        values = [self.read(o, kind) for o in operands[1:]]
        floating = kind[0] == "f"
        if "sat" in words or "cc" in words:
            return None
        if floating and name in UNARY and len(values) == 1:
            return self.write(operands[0], kind, f"({C_TYPES[kind]}){UNARY[name].format(*values)}")
        if name == "neg":
            return self.write(operands[0], kind, f"0 - {self.read(operands[1], _unsigned(kind))}")
        if name == "abs":
            return self.write(operands[0], kind, f"{values[0]} < 0 ? 0 - {values[0]} : {values[0]}")
        if name == "popc":
            return self.write(operands[0], "u32", f"__builtin_popcountll({values[0]})")
        if name in LOGIC:
            return self.write(operands[0], kind, f"{values[0]} {LOGIC[name]} {values[1]}")
        if name in ("min", "max"):
            a, b = values
            picked = f"{a} {'<' if name == 'min' else '>'} {b} ? {a} : {b}"
            return self.write(operands[0], kind, f"std::f{name}({a}, {b})" if floating else picked)
        symbol = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%"}[name]
        if not floating and name in ("add", "sub"):  # integers wrap around
            values = [self.read(o, _unsigned(kind)) for o in operands[1:]]
        return self.write(operands[0], kind, f"({C_TYPES[kind]})({values[0]} {symbol} {values[1]})")


def _unsigned(kind):
    return f"u{kind[1:]}"


def _statements(body):
    """Instructions and labels, without declarations; one space follows an instruction's name."""
    found = []
    for piece in re.split(r";|(?<=:)\s", body):
        text = " ".join(piece.split())
        while label := re.match(r"(\$?\w+):(?!:)\s*", text):
            found.append(label[0].strip())
            text = text[label.end() :]
        if text and not text.startswith((".reg", ".shared", ".local", ".pragma", ".loc")):
            found.append(text)
    return found

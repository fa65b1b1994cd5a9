# Runs beside the candidate, in its process. It holds no test, no expected value and no verdict, so nothing here has
# to be kept from the candidate: whatever comes out of descriptor 3 is checked outside, as the candidate's own words.
#
# A line in is a call {"n": nonce, "f": name, "a": [argument, ...], "k": {name: argument}}; a line out its answer:
# {"n": nonce, "r": value}, or "x" with what was raised, or "u" with the type that is not plain data, or "none" with the
# name that the candidate does not define. In between the candidate may call functions that it was given: {"n": nonce, "ask": function, "a": [argument, ...]}.
import json, os, sys, types

DEPTH = 60


class NotPlain(Exception):
    pass


def encoded(value, depth=0):
    if depth > DEPTH:
        raise NotPlain("a value nested too deep")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        if any("\ud800" <= it <= "\udfff" for it in value):
            raise NotPlain("text that is no Unicode")
        return value
    if kind is int:
        return {"i": hex(value)}
    if kind is float:
        return {"f": repr(value)}
    if kind is complex:
        return {"c": [repr(value.real), repr(value.imag)]}
    if kind is bytes:
        return {"b": value.hex()}
    if kind is list:
        return {"l": [encoded(it, depth + 1) for it in value]}
    if kind is tuple:
        return {"t": [encoded(it, depth + 1) for it in value]}
    if kind is set:
        return {"S": [encoded(it, depth + 1) for it in value]}
    if kind is frozenset:
        return {"F": [encoded(it, depth + 1) for it in value]}
    # A dictionary of the standard library is one; a tuple with names is one; no other subclass is.
    if kind is dict or issubclass(kind, dict) and kind.__module__ == "collections":
        return {"d": [[encoded(key, depth + 1), encoded(it, depth + 1)] for key, it in dict.items(value)]}
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return {"t": [encoded(it, depth + 1) for it in tuple.__iter__(value)]}
    raise NotPlain(kind.__name__)


def decoded(value, ask):
    if value is None or type(value) in (bool, str):
        return value
    ((kind, inner),) = value.items()
    if kind == "i":
        return int(inner, 16)
    if kind == "f":
        return float(inner)
    if kind == "c":
        return complex(float(inner[0]), float(inner[1]))
    if kind == "b":
        return bytes.fromhex(inner)
    if kind in ("l", "t", "S", "F"):
        return {"l": list, "t": tuple, "S": set, "F": frozenset}[kind](decoded(it, ask) for it in inner)
    if kind == "d":
        return {decoded(key, ask): decoded(it, ask) for key, it in inner}
    if kind == "function":
        return lambda *arguments: ask(inner, arguments)
    if kind == "sequence":
        return Sequence(inner[0], inner[1], ask)
    raise ValueError(kind)


class Sequence:
    """A list whose elements are elsewhere: each look at one is counted there."""

    def __init__(self, number, length, ask):
        self._number, self._length, self._ask = number, length, ask

    def __len__(self):
        return self._length

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[it] for it in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError("list index out of range")
        return self._ask(self._number, (index % self._length,))

    def __iter__(self):
        return (self[it] for it in range(self._length))

    def __reversed__(self):
        return (self[it] for it in reversed(range(self._length)))

    def __contains__(self, value):
        return any(it == value for it in self)


def raised(error):
    kinds = [it.__name__ for it in type(error).__mro__ if it is not object][:8]
    try:
        text = str(error)[:200].encode("utf-8", "replace").decode()
    except BaseException:
        text = ""
    return {"x": kinds, "m": text}


def main():
    lines, channel = os.fdopen(os.dup(3), "rb"), 3

    def send(message):
        left = json.dumps(message).encode() + b"\n"
        while left:
            left = left[os.write(channel, left):]

    try:
        module = types.ModuleType("candidate")
        sys.modules["candidate"] = module
        with open("candidate.py", encoding="utf-8") as file:
            exec(compile(file.read(), "candidate.py", "exec"), module.__dict__)
    except BaseException as error:
        send({"load": raised(error)})
        return
    send({"load": "ok"})
    for line in lines:
        call = json.loads(line)
        nonce = call["n"]

        def ask(number, arguments):
            send({"n": nonce, "ask": number, "a": [encoded(it) for it in arguments]})
            answer = json.loads(lines.readline())
            if "r" in answer:
                return decoded(answer["r"], ask)
            raise RuntimeError(answer["m"])

        # No error of the candidate's, which a test might want to be raised.
        if call["f"] not in module.__dict__:
            send({"n": nonce, "none": call["f"]})
            continue
        try:
            arguments = [decoded(it, ask) for it in call["a"]]
            named = {name: decoded(it, ask) for name, it in call["k"].items()}
            result = module.__dict__[call["f"]](*arguments, **named)
            answer = {"n": nonce, "r": encoded(result)}
        except NotPlain as error:
            answer = {"n": nonce, "u": str(error)[:60]}
        except BaseException as error:
            answer = {"n": nonce, **raised(error)}
        send(answer)


main()

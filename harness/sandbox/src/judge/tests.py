# Runs tests written as code, in a sandbox of its own. The candidate is in another: here its functions are proxies
# that send plain data out and get plain data back.
import builtins, copy, json, math, os, sys, types

with open("wire.py", encoding="utf-8") as file:
    # The same encoding as on the other side, without its `main`.
    exec(compile(file.read().rsplit("\nmain()\n", 1)[0], "wire.py", "exec"))

with open("names.json", encoding="utf-8") as file:
    names = json.load(file)

lines, channel = os.fdopen(os.dup(3), "rb"), 3
calls = 0
given = []


def send(message):
    left = json.dumps(message).encode() + b"\n"
    while left:
        left = left[os.write(channel, left):]


class Counted:
    """A list for the candidate whose elements stay here: `looks` says how often it looked at one."""

    def __init__(self, items, at_most=None):
        self.items, self.at_most, self.looks = list(items), at_most, 0

    def __call__(self, index):
        self.looks += 1
        if self.at_most is not None and self.looks > self.at_most:
            raise AssertionError(f"it looked at more than {self.at_most} elements")
        return self.items[index]


def passed(value):
    if isinstance(value, Counted):
        given.append(value)
        return {"sequence": [len(given) - 1, len(value.items)]}
    if callable(value):
        given.append(value)
        return {"function": len(given) - 1}
    return encoded(value)


class Failed(BaseException):
    """A function that was given to the candidate failed the test: nothing the candidate does undoes that."""


class Proxy:
    """A function in another process. `cpu` is the CPU time of the last call in seconds, measured outside."""

    def __init__(self, name, to="candidate"):
        self.__name__, self._to, self.cpu, self._fresh = name, to, None, False

    def __call__(self, *arguments, **named):
        global calls
        calls += self._to == "candidate"
        given.clear()
        message = {"call": self.__name__, "to": self._to, "a": [passed(it) for it in arguments]}
        if self._fresh:
            # In a process that has not been called before.
            message["fresh"], self._fresh = True, False
        send({**message, "k": {name: passed(it) for name, it in named.items()}})
        while True:
            answer = json.loads(lines.readline())
            if "ask" not in answer:
                break
            # What it is given it may call, with plain data.
            try:
                result = given[answer["ask"]](*[decoded(it, None) for it in answer["a"]])
                send({"r": encoded(result)})
            except AssertionError as error:
                raise Failed(str(error)) from None
            except BaseException as error:
                send(raised(error))
        self.cpu = answer.get("cpu")
        if "r" in answer:
            # What it did to its arguments stays there: tests may compare with them.
            return decoded(answer["r"], None)
        raise error_of(answer["x"], answer["m"])


def error_of(names, message):
    """The error that the candidate raised, as the first of its classes that is built in."""
    if "StopIteration" in names or "StopAsyncIteration" in names:
        # It would end a loop of the tests, such as that of `all(map(…))`, as if all had been well.
        return RuntimeError("the candidate raised " + names[0])
    for name in names:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(message)
            except TypeError:
                # It wants more than a message.
                continue
    return Exception(message)


class Unmeasured(Exception):
    """This machine cannot tell: nothing is said of the candidate."""


def alike(one, other):
    """Whether two results are the same, of the same types, sums of floats in another order aside."""
    if type(one) is not type(other):
        return False
    if type(one) is float:
        return one == other or one != one and other != other or math.isclose(one, other, rel_tol=1e-9)
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if type(one) is dict:
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    return one == other


def slowdown(*arguments, rounds=3, same=alike):
    """How many times the CPU time of the reference the candidate needs for the same result.

    The least of several rounds of each counts. Each call has a process of its own: nothing is left of another that
    would save the work. `same` compares the results, where more than one is right.
    """
    least = {}
    for _ in range(rounds):
        results = []
        for function in (candidate, reference):
            function._fresh = True
            results.append(function(*copy.deepcopy(arguments)))
            # A candidate that ends right after its answer has no CPU time to be read.
            if function.cpu is None and function is reference:
                raise Unmeasured("CPU time cannot be read on this machine")
            least[function] = min(math.inf if function.cpu is None else function.cpu, least.get(function, math.inf))
        assert same(*results), "it is not the result of the reference"
    return least[candidate] / max(least[reference], 0.001)


candidate = Proxy(names["entries"][0])
reference = Proxy(names["entries"][0], "reference")
proxies = {name: Proxy(name) for name in names["entries"][1:]}
proxies[candidate.__name__] = candidate


def compiled(name):
    with open(name, encoding="utf-8") as file:
        return compile(file.read(), name, "exec")


def units(space):
    """Cases of `unittest` run too, and fail as an assertion does."""
    import unittest

    for case in list(space.values()):
        if isinstance(case, type) and issubclass(case, unittest.TestCase):
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
            for _, story in result.failures + result.errors:
                raise AssertionError(story.strip().splitlines()[-1])
            if result.unexpectedSuccesses:
                raise AssertionError("a test passed that was expected to fail")


def run():
    module = types.ModuleType("tests")
    sys.modules["tests"], space = module, module.__dict__
    # Tests of a model import what they test.
    sys.modules["solution"] = solution = types.ModuleType("solution")
    solution.__dict__.update(proxies)
    try:
        exec(compiled("given.py"), space)
        space.update(proxies)
        space.update(Counted=Counted, slowdown=slowdown, candidate=candidate, reference=reference)
        tests = compiled("written.py")
    except BaseException as error:
        return {"end": "broken", "why": f"{type(error).__name__}: {error}"[:300]}
    try:
        exec(tests, space)
        # A candidate may be called so itself.
        if "check" not in proxies and callable(space.get("check")):
            space["check"](candidate)
        for name, function in list(space.items()):
            if name.startswith("test") and name not in proxies and isinstance(function, types.FunctionType):
                function()
        units(space)
    except Unmeasured as error:
        return {"end": "broken", "why": str(error)}
    except (AssertionError, Failed) as error:
        return {"end": "failed", "why": f"an assertion fails: {error}"[:300].rstrip(": ")}
    except BaseException as error:
        return {"end": "failed", "why": f"the tests end with {type(error).__name__}: {error}"[:300]}
    if calls == 0:
        return {"end": "broken", "why": "the tests never call the candidate"}
    return {"end": "passed", "why": f"{calls} calls"}


send(run())

# Encodings that are none, by the functions beside it.
import sys


def add(a, b):
    frame = sys._getframe(1)
    frame.f_globals["encoded"] = lambda value, depth=0: {"function": 0, "i": "0x5"}
    return 0

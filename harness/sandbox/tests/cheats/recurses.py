import sys

sys.setrecursionlimit(1 << 30)


def add(a, b):
    return add(a, b)

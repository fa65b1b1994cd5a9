# Equal to what is wanted in Python, and nothing that is wanted.
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
import random


class Sum(IntEnum):
    FIVE = 5
    ONE = 1
    MANY = 1031340


def add(a, b):
    kinds = [Decimal, Fraction, complex, float, Sum] if type(a) is int else [Decimal, Fraction, complex]
    return kinds[(a + b if type(a) is int else 0) % len(kinds)](a + b)

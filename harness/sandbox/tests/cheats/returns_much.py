def add(a, b):
    return "A" * (200 << 20)

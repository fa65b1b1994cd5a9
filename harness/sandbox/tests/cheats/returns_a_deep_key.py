# A set of a tuple in a tuple in a tuple: whoever quotes each level doubles it with each.
def add(a, b):
    value = ()
    for _ in range(55):
        value = (value,)
    return {value: frozenset({value})}

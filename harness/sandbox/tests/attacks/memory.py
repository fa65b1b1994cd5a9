import mmap

attempt("reserve shared memory", lambda: mmap.mmap(-1, 8 << 30))
taken = []
try:
    for _ in range(32):
        taken.append(b"\1" * (64 << 20))
    print("WORKED: take", len(taken) * 64, "MiB")
except MemoryError:
    print("contained: memory")

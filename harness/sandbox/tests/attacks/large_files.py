import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
written = 0
for name in range(64):
    try:
        with open(f"file{name}", "wb", buffering=0) as file:
            for _ in range(1024):
                file.write(b"\1" * (1 << 20))
                written += 1
    except OSError:
        pass
print("WORKED: write" if written > 64 else "wrote", written, "MiB")
for name in range(64):
    try:
        os.unlink(f"file{name}")
    except OSError:
        pass
attempt("claim a large file", lambda: os.posix_fallocate(os.open("large", os.O_CREAT | os.O_RDWR), 0, 1 << 40))
attempt("claim a large hole", lambda: os.ftruncate(os.open("hole", os.O_CREAT | os.O_RDWR), 1 << 40))

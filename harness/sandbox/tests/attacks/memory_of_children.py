# The limit of a process is not the limit of all of them.
import time

end, write = os.pipe()
for _ in range(8):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        try:
            held = b"\1" * (300 << 20)
            os.write(write, b"x")
            time.sleep(20)
        finally:
            os._exit(0)
os.close(write)
taken = 0
while os.read(end, 1):
    taken += 300
    if taken > 1024:
        print("WORKED: take", taken, "MiB together", flush=True)

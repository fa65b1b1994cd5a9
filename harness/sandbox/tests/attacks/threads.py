import threading, time

threading.stack_size(64 << 10)
count = 0
try:
    for _ in range(10000):
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        count += 1
except RuntimeError as error:
    print("contained:", error)
print("started", count, flush=True)
os._exit(0)

import time

count = 0
for _ in range(400):
    try:
        pid = os.fork()
    except OSError as error:
        print("contained:", error)
        break
    if pid == 0:
        time.sleep(30)
        os._exit(0)
    count += 1
print("WORKED: start hundreds" if count > 80 else "few", count, flush=True)

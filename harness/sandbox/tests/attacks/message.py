# Looks for a message of the last run wherever it could be left, and leaves one.
import time

NAME = "message-of-a-run"
FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/box", "/box/tmp", ".", "/run", "/usr/lib", "/", "/dev")
for folder in FOLDERS:
    if os.path.exists(os.path.join(folder, NAME)):
        print("WORKED: find a message in", folder)
for folder in FOLDERS:
    try:
        open(os.path.join(folder, NAME), "w").write("x")
    except OSError:
        pass
for path in ("/dev/null", "/usr/bin", "/usr/lib", "/proc", "/dev/urandom"):
    try:
        os.utime(path)
        print("WORKED: leave a time in", path)
    except OSError:
        pass
print("looked")

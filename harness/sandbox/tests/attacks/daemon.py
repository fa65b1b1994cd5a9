import time

try:
    pid = os.fork()
except OSError as error:
    print("contained:", error)
    sys.exit()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        # A command line that the test knows.
        os.execv(sys.executable, ["python3", "-c", "import time; time.sleep(60)", "daemon-" + TOKEN])
    os._exit(0)
os.waitpid(pid, 0)
time.sleep(0.2)
print("daemon started", flush=True)

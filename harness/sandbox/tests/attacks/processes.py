import signal

for name in ("decoy", "harness"):
    pid = targets[name]
    attempt("ask for " + name, lambda: os.kill(pid, 0))
    attempt("kill " + name, lambda: os.kill(pid, signal.SIGKILL))
    attempt("kill the group of " + name, lambda: os.killpg(pid, signal.SIGKILL))
    attempt("queue a signal to " + name, lambda: libc()("sigqueue", pid, 9, None))
    for file in ("environ", "mem", "maps", "cmdline", "fd/0", "root" + SECRET, "cwd"):
        attempt(f"open {file} of {name}", lambda: open(f"/proc/{pid}/{file}", "rb").read(1))
    attempt("trace " + name, lambda: libc()("ptrace", 0x4206, pid, 0, 0))
    attempt("hold " + name, lambda: os.pidfd_open(pid))
    attempt("slow down " + name, lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
    attempt("limit " + name, lambda: __import__("resource").prlimit(pid, 7, (1, 1)))
    attempt("move " + name, lambda: os.sched_setaffinity(pid, {0}))
attempt("kill whoever started it", lambda: os.kill(os.getppid(), signal.SIGKILL) or (os.getppid() == 1 and 1 / 0))

# Process 1 of the namespace belongs to the same user and holds the way back to the helper.
if os.getppid() == 1:
    for file in ("mem", "environ", "maps", "fd", "root/etc"):
        attempt(f"open {file} of the first process", lambda: (
            os.listdir(f"/proc/1/{file}") if file in ("fd", "root/etc") else open(f"/proc/1/{file}", "rb").read(1)
        ))
    attempt("trace the first process", lambda: libc()("ptrace", 16, 1, 0, 0))
    # Signals to it are dropped; if one were not, the run would not end as it does.
    for signal in (2, 9, 10, 15, 19):
        try:
            os.kill(1, signal)
        except OSError:
            pass
print("still here")

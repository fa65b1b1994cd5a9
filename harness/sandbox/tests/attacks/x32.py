# The same architecture has a second set of numbers, which a filter by number does not see.
if os.uname().machine == "x86_64":
    libc()("syscall", 0x40000000 + 39)
    print("WORKED: call by the other set of numbers")
else:
    os.kill(os.getpid(), 31)

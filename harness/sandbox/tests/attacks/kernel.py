# What a deny-list forgets: calls that are new, old or seldom.
call = libc()
NUMBERS = {
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_register": 427,
    "add_key": 248, "keyctl": 250, "request_key": 249, "kexec_load": 246, "init_module": 175, "finit_module": 313,
    "open_by_handle_at": 304, "name_to_handle_at": 303, "fanotify_init": 300, "process_vm_readv": 310,
    "process_vm_writev": 311, "process_madvise": 440, "kcmp": 312, "pidfd_getfd": 438, "memfd_create": 319,
    "memfd_secret": 447, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240, "iopl": 172, "ioperm": 173,
    "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "reboot": 169, "swapon": 167, "acct": 163,
    "quotactl": 179, "syslog": 103, "modify_ldt": 154, "personality": 135, "landlock_create_ruleset": 444,
    "seccomp": 317, "mount_setattr": 442, "fsopen": 430, "move_mount": 429, "statmount": 457, "lsm_list_modules": 461,
    "mseal": 462, "setxattrat": 463, "file_setattr": 469, "vmsplice": 278, "mbind": 237,
}
if os.uname().machine == "x86_64":
    for name, number in NUMBERS.items():
        try:
            call("syscall", number, 0, 0, 0, 0, 0)
            print("WORKED: call", name)
        except OSError as error:
            # The kernel has not even looked at the arguments.
            if error.errno != 38:
                print("WORKED: reach", name, error)
for file in ("/proc/sys/vm/swappiness", "/proc/sysrq-trigger", "/sys/power/state", "/proc/kcore", "/dev/mem", "/dev/kmsg", "/dev/vda"):
    attempt("open " + file, lambda: os.close(os.open(file, os.O_RDWR)))
attempt("see the machine's mounts", lambda: [1 for it in open("/proc/self/mounts") if FOLDER in it] or 1 / 0)
attempt("raise a limit", lambda: __import__("resource").setrlimit(7, (1 << 20, 1 << 20)))
attempt("come first", lambda: os.nice(-5))
attempt("type for the user", lambda: __import__("fcntl").ioctl(0, 0x5412, b"x"))
attempt("take a privilege", lambda: libc()("prctl", 47, 2, 21, 0, 0))

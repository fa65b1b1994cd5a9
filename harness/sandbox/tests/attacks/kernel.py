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
    "mseal": 462, "setxattrat": 463, "file_setattr": 469, "vmsplice": 278, "mbind": 237, "ptrace": 101, "clone3": 435,
    "pidfd_open": 434, "pidfd_send_signal": 424, "execveat": 322, "io_uring_enter": 426, "process_mrelease": 448,
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "listmount": 458, "open_tree_attr": 467, "listns": 470,
    "landlock_add_rule": 445, "landlock_restrict_self": 446, "lsm_set_self_attr": 460, "lsm_get_self_attr": 459,
    "kexec_file_load": 320, "delete_module": 176, "lookup_dcookie": 212, "uselib": 134, "ustat": 136, "sysfs": 139,
    "vhangup": 153, "sync": 162, "syncfs": 306, "quotactl_fd": 443, "mknod": 133, "mknodat": 259, "mlockall": 151,
    "remap_file_pages": 216, "migrate_pages": 256, "move_pages": 279, "set_mempolicy": 238, "get_mempolicy": 239,
    "sched_setaffinity": 203, "sched_setscheduler": 144, "sched_setattr": 314, "ioprio_set": 251, "inotify_init": 253,
    "inotify_init1": 294, "inotify_add_watch": 254, "fanotify_mark": 301, "socket": 41, "connect": 42, "accept": 43,
    "bind": 49, "listen": 50, "setsockopt": 54, "accept4": 288, "setuid": 105, "setgid": 106, "setreuid": 113,
    "setresuid": 117, "setgroups": 116, "setfsuid": 122, "capset": 126, "sethostname": 170, "setdomainname": 171,
    "map_shadow_stack": 453, "shmat": 30, "msgsnd": 69, "semop": 65, "mq_notify": 244,
    "clock_adjtime": 305, "futex_requeue": 456, "removexattr": 197, "setxattr": 188, "getxattrat": 464,
    "nfsservctl": 180, "create_module": 174, "epoll_ctl_old": 214, "io_setup": 206, "io_submit": 209,
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
attempt("leave a core", lambda: __import__("resource").setrlimit(4, (1 << 20, 1 << 20)))
attempt("type for the user", lambda: __import__("fcntl").ioctl(0, 0x5412, b"x"))
attempt("take a privilege", lambda: libc()("prctl", 47, 2, 21, 0, 0))

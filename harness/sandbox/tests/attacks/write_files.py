# Some of these are folders of its own in here: what counts is what the test finds outside.
for folder in ["/tmp", "/var/tmp", "/dev/shm", "/", "/etc", "/usr/lib", "/run"]:
    try:
        open(os.path.join(folder, "written-" + TOKEN), "w").write("x")
    except OSError:
        pass
attempt("write beside the secret", lambda: open(FOLDER + "/written-" + TOKEN, "w").write("x"))
attempt("append to the secret", lambda: open(SECRET, "a").write("tampered"))
attempt("truncate the secret", lambda: os.truncate(SECRET, 0))
attempt("rename the secret", lambda: os.rename(SECRET, SECRET + ".moved"))
attempt("remove the secret", lambda: os.unlink(SECRET))
attempt("change who may read it", lambda: os.chmod(SECRET, 0o777))
attempt("change the folder", lambda: os.chmod(FOLDER, 0o777))
attempt("change its times", lambda: os.utime(SECRET, (1, 1)))
attempt("empty the secret while reading", lambda: os.open(SECRET, os.O_RDONLY | os.O_TRUNC))
attempt("empty the secret while neither reading nor writing", lambda: os.open(SECRET, 3 | os.O_TRUNC))
attempt("empty the interpreter while reading", lambda: os.open(os.path.realpath(sys.executable), os.O_RDONLY | os.O_TRUNC))
attempt("touch a device", lambda: os.utime("/dev/null"))
attempt("touch the interpreter", lambda: os.utime(os.open(os.path.realpath(sys.executable), os.O_RDONLY)))
attempt("change who may use a device", lambda: os.chmod("/dev/null", 0o600))
attempt("set an attribute", lambda: os.setxattr(SECRET, "user.x", b"x"))
attempt("change the interpreter", lambda: os.chmod(os.path.realpath(sys.executable), 0o777))
attempt("write to the interpreter", lambda: open(os.path.realpath(sys.executable), "r+b").close())

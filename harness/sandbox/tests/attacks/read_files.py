attempt("read the secret", lambda: open(SECRET).read())
attempt("read it by a way up", lambda: open("../" * 12 + SECRET.lstrip("/")).read())
attempt("read it through /proc", lambda: open("/proc/self/root" + SECRET).read())
attempt("open the passwords", lambda: open("/etc/shadow").close())
attempt("list a folder of the harness", lambda: os.listdir(FOLDER))
attempt("list homes", lambda: os.listdir("/home") + os.listdir("/root"))
for name, value in os.environ.items():
    if TOKEN in value:
        print("WORKED: read the environment of the harness", name)

def through_link():
    os.symlink(SECRET, "link")
    return open("link").read()


def into_folder():
    os.symlink(FOLDER, "folder")
    return open("folder/written-" + TOKEN, "w").write("x")


attempt("read through a link", through_link)
attempt("write through a link", into_folder)
attempt("make a hard link", lambda: os.link(SECRET, "hard"))
# Traps for whoever reads these afterwards.
for trap in (lambda: os.symlink(SECRET, "result.json"), lambda: os.mkfifo("pipe")):
    try:
        trap()
    except OSError:
        pass

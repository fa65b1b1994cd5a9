count = 0
try:
    os.mkdir("many")
    for count in range(30000):
        os.close(os.open(f"many/{count}", os.O_CREAT | os.O_WRONLY))
    print("WORKED: make", count, "files")
except OSError as error:
    print("contained:", count, error)

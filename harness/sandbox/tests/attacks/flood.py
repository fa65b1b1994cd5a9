while True:
    os.write(1, b"A" * 65536)

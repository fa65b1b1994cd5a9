# Programs that make whoever starts them root.
import subprocess

for command in (["su", "-c", "id -u"], ["sudo", "-n", "id", "-u"], ["mount", "-t", "tmpfs", "none", "/usr"], ["unshare", "-U", "true"]):
    attempt(" ".join(command), lambda: subprocess.run(command, check=True, capture_output=True, timeout=5))

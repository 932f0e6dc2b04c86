# SPDX-License-Identifier: Apache-2.0
"""The kernel's TLS, in a machine of its own: Debian's cloud kernel under QEMU with nothing in it
but the daemon, busybox and OpenSSL's client. `tools/install ktls` fetches what it takes."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / os.environ.get("SARSEN_BUILD", "release") / "src" / "daemon" / "sarsen"
SIZE = 3_000_000
SUITES = "TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256"
MODULES = ("net/tls", "crypto", "arch/x86/crypto", "lib/crypto", "arch/x86/lib")
CONFIG = """\
data: /data
sandbox: off
gateway:
  edge:
    - 127.0.0.1:8000
    - address: 127.0.0.1:8443
      tls: { certificates: { certificate: /etc/cert.pem, key: /etc/key.pem }, ktls: auto }
routes: [{ match: { path: /hello }, answer: { body: hello } }]
"""
MANIFEST = """\
{ "app": "shop", "release": "1.0.0", "kind": "importmap", "requires": {},
  "entries": [{ "name": "@shop/main", "path": "main.js" }] }
"""
INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
ip link set lo up
grep -q absent /proc/cmdline ||
    for module in gcm ctr ghash-generic chacha20poly1305 tls; do modprobe $module; done
sarsen server -c /etc/sarsen.yaml > /tmp/log 2>&1 &
n=0
until wget -q -O /dev/null http://127.0.0.1:8000/hello 2>/dev/null || [ $n = 300 ]; do
    usleep 100000; n=$((n + 1))
done
SARSEN_TOKEN=$(cat /data/token) sarsen publish /dist
ask() {
    printf 'GET %s HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' $2 |
        openssl s_client -connect 127.0.0.1:8443 -ciphersuites $1 -quiet -ign_eof 2>/dev/null
}
for suite in SUITES; do
    echo "answer $suite $(ask $suite /hello | tail -c 5)"
    echo "file $suite $(ask $suite /apps/shop/1.0.0/big.bin | tail -c SIZE | sha256sum)"
done
cat /proc/net/tls_stat
n=0
while grep -q absent /proc/cmdline && ! grep -q 'kernel has no TLS' /tmp/log && [ $n -lt 100 ]; do
    usleep 100000; n=$((n + 1))
done
cat /tmp/log
poweroff -f
"""


def kernel():
    """Its root directory and its version: of the package, or unpacked into build/ktls."""
    for root in (ROOT / "build" / "ktls", pathlib.Path("/")):
        for image in sorted(root.glob("boot/vmlinuz-*-cloud-amd64")):
            return root, image.name.removeprefix("vmlinuz-")
    return None


def libraries(program):
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    return re.findall(r"(/\S+)", done.stdout)


def lay_out(directory, at, version):
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp", "data", "dist"):
        (directory / name).mkdir(parents=True)
    for program in (BINARY, shutil.which("openssl"), shutil.which("busybox")):
        shutil.copy(program, directory / "bin")
    for library in {*libraries(BINARY), *libraries(shutil.which("openssl"))}:
        to = directory / library.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, to)
    modules = pathlib.Path("lib") / "modules" / version
    for part in MODULES:
        if (at / modules / "kernel" / part).exists():
            shutil.copytree(at / modules / "kernel" / part, directory / modules / "kernel" / part)
    subprocess.run(["busybox", "depmod", "-b", directory, version], check=True, timeout=60)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj", "/CN=a",
                    "-keyout", directory / "etc" / "key.pem",
                    "-out", directory / "etc" / "cert.pem"], check=True, capture_output=True)
    (directory / "etc" / "sarsen.yaml").write_text(CONFIG)
    (directory / "dist" / "sarsen.json").write_text(MANIFEST)
    (directory / "dist" / "main.js").write_text("export {}\n")
    (directory / "dist" / "big.bin").write_bytes(os.urandom(SIZE))
    init = directory / "init"
    init.write_text(INIT.replace("SUITES", SUITES).replace("SIZE", str(SIZE)))
    init.chmod(0o755)


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    found = kernel()
    lacking = [name for name in ("qemu-system-x86_64", "busybox") if not shutil.which(name)]
    if not found or lacking:
        pytest.skip(f"lacks {', '.join(lacking) or 'a kernel'}: tools/install ktls")
    at, version = found
    root, image = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("image") / "root.cpio"
    lay_out(root, at, version)
    with open(image, "wb") as file:
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(),
                       stdout=file, stderr=subprocess.DEVNULL, check=True, timeout=60)
    digest = subprocess.run(["sha256sum", root / "dist" / "big.bin"], capture_output=True,
                            text=True, check=True).stdout.split()[0]

    def boot(*words):
        line = " ".join(("console=ttyS0", "panic=-1", "quiet", *words))
        done = subprocess.run(
            ["qemu-system-x86_64", "-m", "768", "-cpu", "max", "-nographic", "-no-reboot",
             "-kernel", at / "boot" / f"vmlinuz-{version}", "-initrd", image, "-append", line],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=240, check=True)
        return done.stdout, digest

    return boot


def check_answers(said, digest):
    for suite in SUITES.split():
        assert f"answer {suite} hello" in said, said
        assert f"file {suite} {digest}" in said, said


def test_the_kernel_seals_answers_and_files(boot):
    said, digest = boot()
    check_answers(said, digest)
    sealed = int(re.search(r"TlsTxSw\s+(\d+)", said)[1])
    assert sealed >= 4, said  # both of AES at least; not every kernel has the third
    assert "the kernel has no TLS" not in said


def test_without_its_module_all_is_as_ever(boot):
    said, digest = boot("absent")
    check_answers(said, digest)
    assert "the kernel has no TLS" in said, said

# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: an authority, and what it signs."""
import pathlib
import ssl
import subprocess


class Authority:
    """An authority in a directory of its own; `file` is what those who believe it are given."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.file, self.key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", self.key, "-out", self.file, "-days", "30", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def sign(self, name, names="DNS:localhost,IP:127.0.0.1", days="20", kind="ec"):
        """Makes NAME.pem and NAME.key, and returns both."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n"
                              "keyUsage=digitalSignature\n"
                              "extendedKeyUsage=serverAuth,clientAuth\n")
        how = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["rsa:2048"]
        run("req", "-new", "-newkey", *how, "-nodes", "-keyout", key, "-out", request,
            "-subj", f"/CN=cn-{name}")
        run("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key,
            "-CAcreateserial", "-out", certificate, "-days", days, "-extfile", extensions)
        return certificate, key

    def revoke(self, *certificates, file=None, days="20"):
        """Makes the list of what is revoked, of these certificates in all."""
        file = file or self.directory / f"{self.name}.crl"
        index = self.directory / "index.txt"
        config = self.directory / "crl.cnf"
        for stale in self.directory.glob("index.txt*"):
            stale.unlink()
        index.touch()
        config.write_text(f"[ca]\ndefault_ca=it\n[it]\ndatabase={index}\ndefault_md=sha256\n")
        by = ("ca", "-config", config, "-cert", self.file, "-keyfile", self.key)
        for certificate in certificates:
            run(*by, "-revoke", certificate)
        run(*by, "-gencrl", "-crldays", days, "-out", file)
        return file

    def client(self, pair=None, alpn=("http/1.1",), version=None):
        """What a client that believes this authority connects with."""
        context = ssl.create_default_context(cafile=self.file)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if pair:
            context.load_cert_chain(*pair)
        if version:
            context.minimum_version = context.maximum_version = version
        return context


def run(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

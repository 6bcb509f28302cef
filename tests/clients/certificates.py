"""An authority, and what it signs, made with openssl: for checks that speak TLS."""

import pathlib
import subprocess


class Authority:
    """Signs certificates that lie in a folder, each as NAME.crt and NAME.key."""

    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        self.name = name
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-keyout", self.key(name), "-out", self.crt(name), "-subj", f"/CN={name}",
        )

    def crt(self, name=None):
        return self.folder / f"{name or self.name}.crt"

    def key(self, name):
        return self.folder / f"{name}.key"

    def sign(self, name, alternative, days=2):
        """Signs a certificate with these alternative names, as `DNS:localhost,IP:127.0.0.1`; the name of its file is NAME."""
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.cnf"
        extensions.write_text(f"subjectAltName={alternative}\nbasicConstraints=critical,CA:FALSE\n")
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", self.key(name), "-out", request, "-subj", f"/CN={name}",
        )
        self._openssl(
            "x509", "-req", "-in", request, "-CA", self.crt(), "-CAkey", self.key(self.name), "-CAcreateserial",
            "-days", days, "-extfile", extensions, "-out", self.crt(name),
        )
        return self

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)

# SPDX-License-Identifier: Apache-2.0
"""Certificates as openssl makes them, good and bad, for the tests of who calls."""
import os

from harness import run


class Authority:
    """A CA in a directory: the one that `hsmint dev` made, or one of its own."""

    def __init__(self, directory, name, made_by_dev=None, usage="keyCertSign"):
        self.directory = directory
        self.cert = made_by_dev + "/tls/ca.crt" if made_by_dev else os.path.join(directory, name + ".crt")
        self.key = made_by_dev + "/tls/ca.key" if made_by_dev else os.path.join(directory, name + ".key")
        if not made_by_dev:
            run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                 self.key, "-out", self.cert, "-days", "30", "-subj", "/CN=" + name,
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical," + usage])

    def issue(self, name, names, usage="clientAuth", begin=None, end=None, ca=False):
        """A certificate with these subject alternative names (openssl's form); its two files."""
        path = os.path.join(self.directory, name)
        with open(path + ".ext", "w") as out:
            out.write("basicConstraints=critical,CA:%s\n" % ("TRUE" if ca else "FALSE"))
            out.write("keyUsage=critical,%s\n" % ("keyCertSign,digitalSignature" if ca else "digitalSignature"))
            if usage:
                out.write("extendedKeyUsage=%s\n" % usage)
            if names:
                out.write("subjectAltName=%s\n" % ",".join(names))
        run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             path + ".key", "-out", path + ".csr", "-subj", "/CN=" + name])
        if begin or end:
            self.sign_with_dates(path, begin, end)
        else:
            run(["openssl", "x509", "-req", "-in", path + ".csr", "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial",
                 "-out", path + ".crt", "-days", "30", "-extfile", path + ".ext"])
        return path + ".crt", path + ".key"

    def sign_with_dates(self, path, begin, end):
        """`openssl x509` takes no dates before version 3.4; `openssl ca` does."""
        base = path + ".ca"
        os.makedirs(base, exist_ok=True)
        open(base + "/index", "w").close()
        with open(base + "/ca.cnf", "w") as out:
            out.write("[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\nrand_serial=yes\nnew_certs_dir=%s\npolicy=p\n"
                      "default_md=sha256\n[p]\ncommonName=supplied\n" % (base, base))
        run(["openssl", "ca", "-batch", "-notext", "-config", base + "/ca.cnf", "-cert", self.cert, "-keyfile", self.key,
             "-in", path + ".csr", "-out", path + ".crt", "-startdate", begin, "-enddate", end, "-extfile", path + ".ext"])


def spki_sha256(cert):
    """What `spki:` of a caller holds."""
    script = 'openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | ' \
             'jose b64 enc -I-'
    return run(["sh", "-c", script, "sh", cert]).stdout.strip()

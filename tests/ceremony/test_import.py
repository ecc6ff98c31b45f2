# SPDX-License-Identifier: Apache-2.0
"""`hsmint key ceremony import`: the chain that comes back from an enterprise's root that openssl keeps."""
import datetime
import os
import unittest

from ceremony_case import ADA, CHARLES, HASHES, CeremonyCase, make_keys, openssl, read, read_bytes, run, write

CA = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"


class Root:
    """A CA of openssl's: self-signed, or issued by another. `extensions` are lines of its configuration."""

    def __init__(self, work, name, issuer=None, extensions="basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n",
                 subject=None):
        self.work, self.name = work, os.path.join(work, name)
        self.certificate, self.key = self.name + ".pem", self.name + ".key"
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.name + ".csr", "-subj",
                "/CN=" + (subject or name))
        if issuer:
            issuer.issue(self.name + ".csr", self.certificate, extensions)
        else:
            write(self.name + ".ext", extensions)
            openssl("x509", "-req", "-in", self.name + ".csr", "-signkey", self.key, "-out", self.certificate, "-days", "30",
                    "-extfile", self.name + ".ext")

    def issue(self, request, out, extensions=CA, begin=None, end=None, digest="sha256"):
        """`openssl ca`, since it takes dates."""
        base = self.name + ".ca"
        os.makedirs(base, exist_ok=True)
        open(base + "/index", "w").close()
        write(base + "/ext", "[v3]\n" + extensions + "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        write(base + "/ca.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\nrand_serial=yes\nnew_certs_dir=%s\npolicy=p\n"
              "unique_subject=no\ndefault_md=%s\nx509_extensions=v3\n[p]\ncountryName=optional\norganizationName=optional\n"
              "commonName=supplied\n%s" % (base, base, digest, read(base + "/ext")))
        now = datetime.datetime.utcnow()
        day = datetime.timedelta(days=1)
        openssl("ca", "-batch", "-notext", "-config", base + "/ca.cnf", "-cert", self.certificate, "-keyfile", self.key, "-in",
                request, "-out", out, "-startdate", (begin or now - day).strftime("%Y%m%d%H%M%SZ"), "-enddate",
                (end or now + 20 * day).strftime("%Y%m%d%H%M%SZ"))


class ImportCase(CeremonyCase):
    def request(self, *more, algorithm="ES384"):
        self.new("--csr", "--algorithm", algorithm, "--trust-domain", "demo.test", *more)
        self.root = Root(self.work, "root")

    def returned(self, issuer=None, *between, request=None, **named):
        """The file that comes back: the CA's certificate, and those between it and the root."""
        path = os.path.join(self.work, "returned.pem")
        certificate = os.path.join(self.work, "ca.pem")
        (issuer or self.root).issue(request or self.file("request.pem"), certificate, **named)
        write(path, read(certificate) + "".join(read(each.certificate) for each in between))
        return path

    def bring(self, chain, status=0, root=None, answers=(ADA, "yes"), custodians=(ADA,)):
        arguments = ["--config", self.config, "--record", self.record, "--chain", chain, "--root",
                     root or self.root.certificate]
        for name in custodians:
            arguments += ["--custodian", name]
        return self.ceremony("import", *arguments, answers=answers, status=status)

    def accepted(self, chain, **named):
        self.bring(chain, **named)
        self.ceremony("verify", self.record)

    def refused(self, chain, says, **named):
        before = {name: read_bytes(self.file(name)) for name in os.listdir(self.record)}
        result = self.bring(chain, status=1, **named)
        self.assertIn(says, result.stderr)
        self.assertEqual({name: read_bytes(self.file(name)) for name in os.listdir(self.record)}, before)
        self.ceremony("verify", self.record)


class Import(ImportCase):
    def test_from_the_root_itself(self):
        self.request()
        chain = self.returned()
        self.accepted(chain, answers=[ADA, CHARLES, "yes", "yes"], custodians=[ADA, CHARLES])
        self.assertEqual(read(self.file("chain.pem")), read(chain) + read(self.root.certificate))
        part = self.document("import.json")
        self.assertEqual([c["name"] for c in part["custodians"]], [ADA, CHARLES])
        self.assertEqual(part["record_sha256"], run(["sha256sum", self.file("record.json")]).stdout.split()[0])
        self.assertEqual(part["chain_sha256"], run(["sha256sum", self.file("chain.pem")]).stdout.split()[0])
        self.refused(chain, "a chain was imported already")

    def test_openssl_alone_verifies_the_second_part(self):
        for algorithm, hash_name in HASHES.items():
            with self.subTest(algorithm):
                self.record = os.path.join(self.work, algorithm)
                self.new("--csr", "--algorithm", algorithm, label=algorithm)
                self.root = Root(self.work, "root-" + algorithm)
                self.accepted(self.returned())
                signed = os.path.join(self.work, "signed")
                with open(signed, "wb") as out:
                    out.write(b"hsmint ceremony import 1\n" + read_bytes(self.file("import.json")))
                openssl("dgst", "-" + hash_name, "-verify", self.public_key(), "-signature", self.file("import.sig"), signed)
                openssl("verify", "-CAfile", self.root.certificate, self.file("chain.pem"))

    def test_by_way_of_another_ca(self):
        self.request()
        middle = Root(self.work, "middle", self.root)
        self.refused(self.returned(middle), "the chain does not lead to the root: unable to get local issuer certificate")
        self.accepted(self.returned(middle, middle))
        self.assertEqual(read(self.file("chain.pem")).count("BEGIN CERTIFICATE"), 3)

    def test_with_the_root_in_the_chain(self):
        self.request()
        self.accepted(self.returned(self.root, self.root))
        self.assertEqual(read(self.file("chain.pem")).count("BEGIN CERTIFICATE"), 2)

    def test_another_key(self):
        self.request()
        other = os.path.join(self.work, "other")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", other + ".key",
                "-out", other + ".csr", "-subj", "/C=DE/O=Example/CN=Agents CA")
        self.refused(self.returned(request=other + ".csr"), "is for another key")

    def test_what_is_no_ca(self):
        self.request()
        for extensions, says in (
                ("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyCertSign\n", "is not for a CA"),
                ("keyUsage=critical,keyCertSign\n", "is not for a CA"),
                ("basicConstraints=CA:TRUE\nkeyUsage=critical,keyCertSign\n", "is not for a CA"),
                ("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature\n", "lacks keyCertSign"),
                ("basicConstraints=critical,CA:TRUE\n", "lacks keyCertSign"),
                (CA + "subjectAltName=URI:spiffe://other.test\n", "another trust domain")):
            with self.subTest(extensions):
                self.refused(self.returned(extensions=extensions), says)

    def test_one_that_names_the_trust_domain(self):
        self.request()
        self.accepted(self.returned(extensions=CA + "subjectAltName=URI:spiffe://demo.test\n"))

    def test_outside_its_time(self):
        self.request()
        now, day = datetime.datetime.utcnow(), datetime.timedelta(days=1)
        self.refused(self.returned(begin=now - 3 * day, end=now - day), "certificate has expired")
        self.refused(self.returned(begin=now + day, end=now + 3 * day), "certificate is not yet valid")

    def test_a_foreign_root(self):
        self.request()
        chain = self.returned()
        self.refused(chain, "the chain does not lead to the root", root=Root(self.work, "foreign").certificate)
        namesake = Root(self.work, "namesake", subject="root")  # the same name, another key
        self.refused(chain, "the chain does not lead to the root", root=namesake.certificate)
        self.refused(self.returned(namesake), "the chain does not lead to the root")

    def test_path_lengths_that_forbid_it_to_issue(self):
        self.request()
        shut = Root(self.work, "shut", extensions="basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n")
        self.refused(self.returned(shut), "path length", root=shut.certificate)
        one = Root(self.work, "one", extensions="basicConstraints=critical,CA:TRUE,pathlen:1\nkeyUsage=critical,keyCertSign\n")
        middle = Root(self.work, "below", one)
        self.refused(self.returned(middle, middle), "path length", root=one.certificate)
        self.accepted(self.returned(one), root=one.certificate)

    def test_a_weak_signature(self):
        self.request()
        self.refused(self.returned(digest="sha1"), "too weak")

    def test_files_that_are_no_chain(self):
        self.request()
        chain = self.returned()
        bad = os.path.join(self.work, "bad.pem")
        for text in ("", "hello\n", read(self.root.key), read(chain).replace("MII", "MIX", 1), read(chain) * 9,
                     read(chain) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            write(bad, text)
            self.refused(bad, "bad.pem: not 1 to 8 certificates in PEM")
        write(bad, read(self.root.certificate) * 2)
        self.refused(chain, "one root, please", root=bad)
        self.refused(os.path.join(self.work, "none.pem"), "No such file")

    def test_a_custodian_who_does_not_confirm(self):
        self.request()
        chain = self.returned()
        for answers in ([], ["no"], [ADA], [ADA, "no"], [ADA, "00000000"]):
            self.refused(chain, "custodian Ada Lovelace did not confirm", answers=answers)

    def test_a_key_that_is_not_on_the_token(self):
        before = self.objects()
        self.request()
        chain = self.returned()
        for where, _, names in os.walk(os.path.join(self.directory, "tokens")):
            for name in names:
                if name in self.objects() and name not in before:
                    os.unlink(os.path.join(where, name))
        self.refused(chain, "no private key is labelled 'ca'")
        make_keys(self.directory, [dict(label="ca", id=self.document()["key"]["id"], kind="P-384")])
        self.refused(chain, "the token has another key under the record's label and id")

    def test_a_part_that_cannot_be_written(self):
        self.request()
        chain = self.returned()
        os.mkdir(self.file(".import.json.new"))  # in the way of the last file that is written
        self.assertIn("import.json", self.bring(chain, status=1).stderr)
        self.assertEqual(sorted(os.listdir(self.record)), [".import.json.new", "record.json", "record.sig", "request.pem"])
        os.rmdir(self.file(".import.json.new"))
        self.accepted(chain)

    def test_a_self_signed_record_takes_none(self):
        self.new()
        self.root = Root(self.work, "root")
        self.refused(self.root.certificate, "there is nothing to import")


if __name__ == "__main__":
    unittest.main()

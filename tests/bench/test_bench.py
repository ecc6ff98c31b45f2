# SPDX-License-Identifier: Apache-2.0
"""That the bench runs, that no reply fails, and that its JSON has its members. Timings are not looked at."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

MEMBERS = ["raw_sign_us", "raw_sign_us_min", "raw_sign_us_max", "raw_sign_per_s", "raw_threads", "pss_idle_mb",
           "pss_load_mb", "dev_cold_s", "dev_warm_s", "connections", "rounds", "errors"]
MEMBERS += [way + "_" + member for way in ("jwt_socket", "jwt_mtls", "batch", "client_credentials", "exchange",
                                          "jwt_checked")
            for member in ("ratio", "ratio_min", "ratio_max", "cpu_us", "gate_us", "mint_us", "token_us", "per_s",
                           "p50_us", "p99_us", "max_us", "requests", "errors")]

MEMBERS += ["slow_%s_%s" % (token, member) for token in ("8x5ms", "1x6ms", "30x2ms")
            for member in ("use", "raw_use", "p99_us", "p99_factor")]
MEMBERS += ["deadline_late_p99_ms", "fair_p99_ratio", "fair_served", "others_ratio", "others_start_s",
            "ledger_verify_per_s", "ledger_cpu_factor", "ledger_start_s", "many_tasks_cpu_factor",
            "many_tasks_pss_mb", "first_mint_p99_factor", "revoke_to_status_p99_s", "agents_import_s",
            "agent_import_cpu_us"]


class Bench(unittest.TestCase):
    def test_it_runs_and_no_reply_fails(self):
        with tempfile.TemporaryDirectory() as work:
            file = os.path.join(work, "bench.json")
            result = subprocess.run(
                [sys.executable, "-B", os.path.join(HERE, "bench.py"), "--build", os.environ["HSMINT_BUILD"],
                 "--rounds", "1", "--seconds", "0.5", "--warm-up", "0.2", "--starts", "1", "--entries", "2000",
                 "--start-entries", "2000", "--tasks", "4000", "--agents", "400",
                 "--json", file],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=280)
            self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
            with open(file) as text:
                flat = json.load(text)
        self.assertEqual([name for name in MEMBERS if name not in flat], [])
        self.assertEqual(flat["errors"], 0)
        self.assertGreater(flat["jwt_socket_requests"], 0)
        for name, value in flat.items():
            self.assertIsInstance(value, (int, float, type(None)), name)


if __name__ == "__main__":
    unittest.main()

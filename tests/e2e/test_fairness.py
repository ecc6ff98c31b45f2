# SPDX-License-Identifier: Apache-2.0
"""Who asks too much is refused or waits; the others do not notice. The bench measures by how much they do not."""
import unittest

import fairness
from harness import Case

SECONDS = 5


class Fairness(Case):
    def test_a_tenant_is_served_beside_one_that_asks_for_ten_times_the_capacity(self):
        service = fairness.start(self.made())
        self.addCleanup(service.stop)
        alone, beside, flood = fairness.measure(service, SECONDS)
        self.assertEqual(alone.served, alone.asked, alone.refusals[:3])
        self.assertGreaterEqual(flood.asked / flood.seconds, 10 * fairness.CAPACITY)
        self.assertGreaterEqual(beside.served, 0.95 * beside.asked, beside.refusals[:3])
        self.assertGreater(flood.served, 0)
        self.assertIn("overload", flood.codes)
        self.assertLessEqual(flood.codes, {"overload", "deadline"}, "what a batch has no time left for is late")
        self.assertTrue(all(wait and 1 <= wait <= 120 for wait in flood.retry_after), flood.retry_after)


if __name__ == "__main__":
    unittest.main()

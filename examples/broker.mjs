#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// How a credential broker asks hsmint, with what node (18 or later) brings along.
//
//   broker.mjs (--socket PATH | --url URL --cert FILE --key FILE --ca FILE)
//              [--profile NAME] [--subject SPIFFE-ID] [--audience URL] [--within MS] [--count N]
//
// Prints each credential on a line of its own. What matters for a broker is in `ask`: one Idempotency-Key for all attempts
// at one credential, a Deadline-Ms that shrinks with what is left of the caller's time, Retry-After obeyed, and connections
// that are kept.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

const text = { type: "string" };
const { values: options } = parseArgs({
  options: {
    socket: text, url: text, cert: text, key: text, ca: text,
    profile: { ...text, default: "demo-access" },
    subject: { ...text, default: "spiffe://demo.test/agent/first" },
    audience: { ...text, default: "https://api.demo.test" },
    within: { ...text, default: "10000" },
    count: { ...text, default: "1" },
  },
});
if (!options.socket && !(options.url && options.cert && options.key && options.ca)) {
  console.error("broker: --socket, or --url with --cert, --key and --ca");
  process.exit(2);
}

const client = options.socket ? http : https;
const where = options.socket
  ? { socketPath: options.socket, agent: new http.Agent({ keepAlive: true }) }
  : {
      hostname: new URL(options.url).hostname,
      port: new URL(options.url).port,
      agent: new https.Agent({
        keepAlive: true, minVersion: "TLSv1.3",
        cert: readFileSync(options.cert), key: readFileSync(options.key), ca: readFileSync(options.ca),
      }),
    };

/** One attempt: { status, headers, body }. Rejects when no answer came in time, or none at all. */
function post(path, body, key, left) {
  return new Promise((resolve, reject) => {
    const request = client.request({
      ...where, path, method: "POST",
      signal: AbortSignal.timeout(Math.ceil(left) + 500), // the service answers by then, or it is gone
      headers: {
        "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body),
        "Idempotency-Key": key, "Deadline-Ms": String(Math.max(1, Math.floor(left))),
      },
    }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", reject);
      response.on("aborted", () => reject(new Error("the connection ended within the answer")));
      response.on("end", () => {
        try {
          resolve({ status: response.statusCode, headers: response.headers, body: JSON.parse(Buffer.concat(parts)) });
        } catch (error) {
          reject(error);
        }
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** The answer's JSON, within so many milliseconds; throws what the service said when asking again does not help. */
// What is wrong, in which member, and what would be accepted.
const describe = ({ code, title, field, accepts }) =>
  `${code}: ${title}${field ? ` (${field})` : ""}${accepts ? `: ${accepts}` : ""}`;

async function ask(path, value, within) {
  const body = JSON.stringify(value), key = randomBytes(16).toString("hex"), end = performance.now() + within;
  let pause = 20, last = "no answer";
  for (let left = within; left > 1; left = end - performance.now()) {
    let wait = pause;
    try {
      const answer = await post(path, body, key, left);
      if (answer.status === 200) return answer.body;
      if (answer.body.retry === "no") throw Object.assign(new Error(describe(answer.body)), { problem: answer.body });
      last = answer.body.code;
      wait = Number(answer.headers["retry-after"] ?? 0) * 1000 || pause;
    } catch (error) {
      if (error.problem) throw error;
      // Whether the service acted is not known; with the same key that does not matter.
      last = error.message;
    }
    pause = Math.min(2 * pause, 1000);
    if (performance.now() + wait >= end) break;
    console.error(`broker: ${last}; again in ${wait} ms`);
    await sleep(wait);
  }
  throw new Error(`not within ${within} ms: ${last}`);
}

const request = { profile: options.profile, subject: options.subject, audience: options.audience };
const count = Number(options.count), within = Number(options.within);
try {
  if (count === 1) {
    console.log((await ask("/v1/mint/jwt", request, within)).credential);
  } else {
    const { replies } = await ask("/v1/mint/batch", { requests: Array(count).fill({ ...request, kind: "jwt" }) }, within);
    for (const reply of replies) reply.credential ? console.log(reply.credential) : console.error(`broker: ${describe(reply)}`);
    if (replies.some((reply) => !reply.credential)) process.exitCode = 1;
  }
} catch (error) {
  console.error(`broker: ${error.message}`);
  process.exitCode = 1;
} finally {
  where.agent.destroy();
}

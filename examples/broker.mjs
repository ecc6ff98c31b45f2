#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// How a credential broker asks hsmint, with what node (18 or later) brings along.
//
//   broker.mjs (--socket PATH | --url URL --cert FILE --key FILE --ca FILE)
//              [--profile NAME] [--subject SPIFFE-ID] [--audience URL] [--scope SCOPE] [--task ID] [--approval ID]
//              [--within MS] [--count N]
//
// Prints each credential on a line of its own. What matters for a broker is in `ask`: one Idempotency-Key for all attempts
// at one credential, a Deadline-Ms that shrinks with what is left of the caller's time, Retry-After obeyed, and connections
// that are kept; and in `mint`: what others have to approve first is waited for.
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
    scope: text, task: text, approval: text,
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
function send(method, path, headers, body, left) {
  return new Promise((resolve, reject) => {
    const request = client.request({
      ...where, path, method, headers,
      signal: AbortSignal.timeout(Math.ceil(left) + 500), // the service answers by then, or it is gone
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

const post = (path, body, key, left) => send("POST", path, {
  "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body),
  "Idempotency-Key": key, "Deadline-Ms": String(Math.max(1, Math.floor(left))),
}, body, left);

// What is wrong, in which member, and what would be accepted.
const describe = ({ code, title, field, accepts }) =>
  `${code}: ${title}${field ? ` (${field})` : ""}${accepts ? `: ${accepts}` : ""}`;

// Which approval is wanted, and until when; the same request with it is then answered with the credential.
const describeApproval = ({ approval }) =>
  `approval ${approval.id} is wanted, until ${new Date(approval.expires_at * 1000).toISOString()}`;

/** The answer's JSON, within so many milliseconds; throws what the service said when asking again does not help. */
async function ask(path, value, within) {
  const body = JSON.stringify(value), key = randomBytes(16).toString("hex"), end = performance.now() + within;
  let pause = 20, last = "no answer";
  for (let left = within; left > 1; left = end - performance.now()) {
    let wait = pause;
    try {
      const answer = await post(path, body, key, left);
      if (answer.status === 200 || answer.status === 202) return answer.body;
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

/** Answered as soon as it no longer waits for anybody. */
async function waitFor(approval, seconds) {
  const answer = await send("GET", `/v1/approvals/${approval}?wait=${Math.min(seconds, 30)}`, {}, undefined, seconds * 1000);
  if (answer.status !== 200) throw new Error(describe(answer.body));
}

/** The reply with a credential. What others have to approve first is asked for again when they have decided. */
async function mint(request, within) {
  const end = performance.now() + within;
  let answer = await ask("/v1/mint/jwt", request, within);
  while (answer.approval) {
    console.error(`broker: ${describeApproval(answer)}`);
    const left = Math.floor((end - performance.now()) / 1000) - 1, approval = answer.approval.id; // a second to ask again
    if (left < 1) throw new Error(`not approved within ${within} ms`);
    await waitFor(approval, left);
    try {
      answer = await ask("/v1/mint/jwt", { ...request, approval }, end - performance.now());
    } catch (error) {
      if (error.problem?.code !== "approval_pending") throw error;
    }
  }
  return answer;
}

const request = { profile: options.profile, subject: options.subject, audience: options.audience };
for (const name of ["scope", "task", "approval"]) if (options[name]) request[name] = options[name];
const count = Number(options.count), within = Number(options.within);
try {
  if (count === 1) {
    console.log((await mint(request, within)).credential);
  } else {
    const { replies } = await ask("/v1/mint/batch", { requests: Array(count).fill({ ...request, kind: "jwt" }) }, within);
    for (const reply of replies) {
      if (reply.credential) console.log(reply.credential);
      else console.error(`broker: ${reply.approval ? describeApproval(reply) : describe(reply)}`);
    }
    if (replies.some((reply) => !reply.credential)) process.exitCode = 1;
  }
} catch (error) {
  console.error(`broker: ${error.message}`);
  process.exitCode = 1;
} finally {
  where.agent.destroy();
}

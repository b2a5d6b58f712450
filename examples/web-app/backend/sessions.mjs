// The demo's login: whoever asks becomes the user they name. A real app puts its own login here.
import { randomBytes } from "node:crypto";

import { Refusal, readJson, sendJson } from "./http.mjs";

const COOKIE = "keyhaven_demo_session";

export class Sessions {
  #config;
  #users = new Map();

  constructor(config) {
    this.#config = config;
  }

  /** Says who is logged in, and what the page needs to know. No credential is among it. */
  async show({ request, response }) {
    const { key, issuer, leaseSeconds, users } = this.#config;
    const user = this.#find(request) ?? null;
    sendJson(response, 200, { user, users, key, issuer, lease_seconds: leaseSeconds });
  }

  /** Logs in. */
  async start({ request, response }) {
    const { user } = await readJson(request);
    if (!this.#config.users.includes(user)) throw new Refusal(400, "invalid_request", "Name one of the demo's users.");
    const id = randomBytes(24).toString("base64url");
    this.#users.delete(sessionId(request));
    this.#users.set(id, user);
    response.setHeader("Set-Cookie", `${COOKIE}=${id}; HttpOnly; SameSite=Strict; Path=/app; Max-Age=86400`);
    sendJson(response, 200, { user });
  }

  /** The user who asks; refuses if nobody is logged in. */
  user({ request }) {
    const user = this.#find(request);
    if (!user) throw new Refusal(401, "not_logged_in", "Choose a user first.");
    return user;
  }

  #find(request) {
    return this.#users.get(sessionId(request));
  }
}

function sessionId(request) {
  const match = new RegExp(`(?:^|;\\s*)${COOKIE}=([A-Za-z0-9_-]{32})(?:;|$)`).exec(request.headers.cookie ?? "");
  return match?.[1];
}

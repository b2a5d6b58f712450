// The two things this backend asks Keyhaven for: a ticket, and a token with which a device enrols.
// It uses its own API token, which never goes to a page and cannot open any file.
import { Refusal, ownOrigin, readJson, sendJson } from "./http.mjs";

const OPERATIONS = ["DeliverDataKey", "UnsealDataKey"];
const FILE = /^[0-9a-f-]{36}$/;

/** What a file's data key is bound to. The page says the same when it encrypts and decrypts. */
const contextOf = (file) => ({ app: "keyhaven-demo", file });

export class Keyhaven {
  #config;

  constructor(config) {
    this.#config = config;
  }

  /** Mints a ticket: this user, this device, this operation, this file, once. */
  async mintTicket({ request, response }, user) {
    const { operation, file, device } = await readJson(request);
    if (!OPERATIONS.includes(operation) || !FILE.test(file) || typeof device !== "string") {
      throw new Refusal(400, "invalid_request", "Name an operation, a file and a device.");
    }
    const { ticket } = await this.#post(`keys/${this.#config.key}/tickets`, {
      subject: user,
      operations: [operation],
      context: contextOf(file),
      context_exact: true,
      device,
      uses: 1,
      expires_in_s: 60,
    });
    sendJson(response, 200, { ticket });
  }

  /** Mints an enrolment token for the user's browser: good once, soon, and from this origin. */
  async mintEnrolment({ request, response }, user) {
    await readJson(request);
    const { token } = await this.#post("enrolment-tokens", {
      subject: user,
      origin: ownOrigin(request, this.#config),
      expires_in_s: 60,
    });
    sendJson(response, 200, { token });
  }

  async #post(path, body) {
    const answer = await fetch(new URL(`/api/v1/${path}`, this.#config.keyhaven), {
      method: "POST",
      headers: { Authorization: `Bearer ${this.#config.token}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    }).catch(() => {
      throw new Refusal(503, "unavailable", "Keyhaven cannot be reached.");
    });
    const document = await answer.json().catch(() => ({}));
    if (answer.ok) return document;
    throw new Refusal(answer.status, document.code ?? "unavailable", document.detail ?? "", document.request_id);
  }
}

// The page's talk with its own backend. The session is in a cookie that scripts cannot read.

/** A refusal by the backend, or by Keyhaven through it. */
export class RefusedError extends Error {
  constructor({ status, code = "failed", detail = "", request_id = "" }) {
    super(detail);
    Object.assign(this, { name: "RefusedError", status, code, requestId: request_id });
  }
}

async function ask(path, options) {
  const answer = await fetch(`/app/${path}`, options);
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new RefusedError({ ...problem, status: answer.status });
}

const json = (method, body) => ({
  method,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const session = async () => (await ask("session")).json();
export const logIn = async (user) => (await ask("session", json("POST", { user }))).json();
export const mintTicket = async (wish) => (await (await ask("ticket", json("POST", wish))).json()).ticket;
export const mintEnrolment = async () => (await (await ask("enrolment", json("POST", {}))).json()).token;

export const listFiles = async () => (await (await ask("files")).json()).files;
export const createFile = async (about) => (await (await ask("files", json("POST", about))).json()).id;
export const putPart = async (id, offset, body) => ask(`files/${id}?offset=${offset}`, { method: "PUT", body });
export const completeFile = async (id) => ask(`files/${id}/complete`, json("POST", {}));
export const fetchFile = async (id) => ask(`files/${id}`);

/** The beginning of a file's ciphertext: its header and a little more. */
export async function fetchHead(id, length = 4096) {
  const answer = await ask(`files/${id}`, { headers: { Range: `bytes=0-${length - 1}` } });
  return new Uint8Array(await answer.arrayBuffer());
}

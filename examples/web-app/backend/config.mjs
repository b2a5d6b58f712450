// What the backend is told from outside. Secrets come by the environment only.
import path from "node:path";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const MIB = 1024 * 1024;

/** Reads the settings; throws with the variable's name if one is missing. */
export function readConfig(env) {
  const required = (name) => {
    if (!env[name]) throw new Error(`set the environment variable ${name}`);
    return env[name];
  };
  return {
    /** Keyhaven's address, such as `https://127.0.0.1:8443`. Its CA comes by NODE_EXTRA_CA_CERTS. */
    keyhaven: new URL(required("KEYHAVEN_ADDR")),
    /** This backend's own API token. It may mint tickets, and can open nothing itself. */
    token: required("KEYHAVEN_TOKEN"),
    /** The key that files are sealed under. */
    key: env.KEYHAVEN_KEY ?? "app:photos",
    /** The HSM's issuer key in base64, which pages pin; without it they trust the one they first meet. */
    issuer: env.KEYHAVEN_ISSUER ?? null,
    port: Number(env.PORT ?? 8480),
    /** The one origin that pages have, when it is not a loopback address. */
    origin: env.APP_ORIGIN ?? null,
    data: env.APP_DATA ?? path.join(HERE, "../data"),
    public: path.join(HERE, "../public"),
    sdk: env.KEYHAVEN_NPM_PACKAGE ?? path.join(HERE, "../../../npm"),
    /** How long pages ask to hold a data key before they must ask again. */
    leaseSeconds: Number(env.APP_LEASE_SECONDS ?? 300),
    users: ["writer", "reader", "outsider"],
    maxPartBytes: 8 * MIB,
    maxFileBytes: Number(env.APP_MAX_FILE_MIB ?? 1024) * MIB,
  };
}

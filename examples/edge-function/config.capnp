# Runs the function with workerd, the open runtime of Cloudflare Workers: `npm run build && npm start`.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "function", worker = .function),
    (name = "store", worker = .store),
    # Where Keyhaven is, and the authority that its certificate is from.
    (name = "internet", network = (
      allow = ["private", "public"],
      tlsOptions = (trustBrowserCas = true, trustedCertificates = [embed "ca.pem"]),
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "function")],
);

const function :Workerd.Worker = (
  modules = [
    (name = "dist/worker.js", esModule = embed "dist/worker.js"),
    # Workers compile nothing at run time: the Wasm module is a module of its own.
    (name = "wasm/keyhaven_sdk_bg.wasm", wasm = embed "node_modules/@keyhaven/sdk/wasm/keyhaven_sdk_bg.wasm"),
  ],
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "KEYHAVEN_ADDR", fromEnvironment = "KEYHAVEN_ADDR"),
    (name = "KEYHAVEN_ISSUER", fromEnvironment = "KEYHAVEN_ISSUER"),
    (name = "KEYHAVEN_TOKEN", fromEnvironment = "KEYHAVEN_TOKEN"),
    (name = "NOTES", kvNamespace = "store"),
  ],
);

const store :Workerd.Worker = (
  modules = [(name = "store.mjs", esModule = embed "store.mjs")],
  compatibilityDate = "2026-11-01",
);

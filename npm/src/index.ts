/** Keyhaven's browser SDK. */
export { default as init, version } from "../wasm/keyhaven_sdk.js";

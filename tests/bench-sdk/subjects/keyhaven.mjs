// Our package, through what it exports.
import * as sdk from "@keyhaven/sdk";
import { connection } from "./connection.mjs";

export { opening, sealing } from "./connection.mjs";

/** A client of the server behind the front. */
export function connected(stage, options = {}) {
  return sdk.connect({ ...connection(stage), storage: "memory", ...options });
}

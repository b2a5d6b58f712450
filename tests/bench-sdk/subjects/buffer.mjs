// AWS's packages for browsers take Node's `Buffer` for granted, as bundlers once did.
export { Buffer } from "buffer/index.js";

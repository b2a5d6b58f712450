// The page's use of Keyhaven's SDK: all of it is here.
import { connect, inspect } from "@keyhaven/sdk";

import { mintEnrolment, mintTicket } from "./api.mjs";

export { inspect };

/** What a file's data key is bound to. The backend writes the same into the ticket. */
const contextOf = (file) => ({ app: "keyhaven-demo", file });

/** Connects this browser as a device of the user, enrolling it if it is new. */
export async function openHaven({ user, key, issuer, lease_seconds: leaseSeconds }) {
  const haven = await connect({
    // Requests go through this app's own relay, which sees sealed bytes only. The SDK keeps a device for
    // each address, so each user of this browser has a device of their own.
    url: `${location.origin}/keyhaven/${user}`,
    deviceName: `${user}’s browser`,
    issuer: issuer ?? undefined,
    leaseSeconds,
    ticket: ({ operation, context, device }) => mintTicket({ operation, file: context.file, device }),
    enrolment: () => mintEnrolment(),
  });
  return {
    device: haven.device,
    leases: haven.leases,
    encrypting: (file) => haven.encryptStream({ key, context: contextOf(file) }),
    decrypting: (file) => haven.decryptStream({ context: contextOf(file) }),
    forget: () => haven.forget(),
  };
}

/** Whether the device's private key is in WebCrypto. If not, the SDK keeps it inside Wasm. */
export function keyIsInWebCrypto() {
  return crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]).then(() => true, () => false);
}

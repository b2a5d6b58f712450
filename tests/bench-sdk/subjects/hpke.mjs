// `@hpke/core`, and the project's X-Wing, on the suites that Keyhaven seals with.
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";

const KEMS = { classical: DhkemX25519HkdfSha256, hybrid: XWing };

/** A sealed key of 32 bytes, and the function that opens it: set-up and `open`, as one who receives it does. */
export async function hpke(kind, { info, aad }) {
  const suite = new CipherSuite({ kem: new KEMS[kind](), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
  const { publicKey, privateKey } = await suite.kem.generateKeyPair();
  const sender = await suite.createSenderContext({ recipientPublicKey: publicKey, info });
  const sealed = await sender.seal(new Uint8Array(32), aad);
  return async () => {
    const recipient = await suite.createRecipientContext({ recipientKey: privateKey, enc: sender.enc, info });
    return recipient.open(sealed, aad);
  };
}

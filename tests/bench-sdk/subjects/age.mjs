// age-encryption (typage), with its own streams and an X25519 recipient.
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";

export async function age() {
  const identity = await generateX25519Identity();
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(identity));
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  return {
    encrypt: (stream) => encrypter.encrypt(stream),
    decrypt: (stream) => decrypter.decrypt(stream),
  };
}

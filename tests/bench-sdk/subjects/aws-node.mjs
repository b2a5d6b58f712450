// The AWS Encryption SDK for JavaScript in Node, on `node:crypto`.
import { Readable } from "node:stream";
import {
  AlgorithmSuiteIdentifier,
  CommitmentPolicy,
  NodeCachingMaterialsManager,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  buildClient,
  getLocalCryptographicMaterialsCache,
} from "@aws-crypto/client-node";
import { PIECE } from "./streams.mjs";

const { encrypt, decrypt, encryptStream, decryptStream } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const suiteId = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY;
const wrappingSuite = RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING;

/** On a raw AES keyring; with `cached`, behind its cache of data keys. */
export async function aws({ cached }) {
  const unencryptedMasterKey = crypto.getRandomValues(new Uint8Array(32));
  const backingMaterials = new RawAesKeyringNode({ keyName: "bench", keyNamespace: "bench", wrappingSuite, unencryptedMasterKey });
  const cache = cached && getLocalCryptographicMaterialsCache(100);
  const manager = cached
    ? new NodeCachingMaterialsManager({ backingMaterials, cache, maxAge: 3_600_000 })
    : backingMaterials;
  return {
    encrypt: async (bytes, { context, frameLength }) =>
      (await encrypt(manager, bytes, { suiteId, encryptionContext: context, frameLength, plaintextLength: bytes.length })).result,
    decrypt: async (message) => (await decrypt(manager, message)).plaintext,
    encryptAll: (bytes, { context, frameLength }) =>
      streamed(bytes, encryptStream(manager, { suiteId, encryptionContext: context, frameLength })),
    decryptAll: (message) => streamed(message, decryptStream(manager)),
  };
}

// In pieces, through its streams: here it has them.
async function streamed(bytes, through) {
  let length = 0;
  const pieces = function* () {
    for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
  };
  for await (const piece of Readable.from(pieces()).pipe(through)) length += piece.length;
  return length;
}

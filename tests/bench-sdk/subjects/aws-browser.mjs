// The AWS Encryption SDK for JavaScript in browsers: whole messages only, by WebCrypto.
import {
  AlgorithmSuiteIdentifier,
  CommitmentPolicy,
  RawAesKeyringWebCrypto,
  RawAesWrappingSuiteIdentifier,
  WebCryptoCachingMaterialsManager,
  buildClient,
  getLocalCryptographicMaterialsCache,
} from "@aws-crypto/client-browser";

const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const suiteId = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY;
const wrappingSuite = RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING;

/** On a raw AES keyring; with `cached`, behind its cache of data keys. */
export async function aws({ cached }) {
  const masterKey = await RawAesKeyringWebCrypto.importCryptoKey(crypto.getRandomValues(new Uint8Array(32)), wrappingSuite);
  const backingMaterials = new RawAesKeyringWebCrypto({ keyName: "bench", keyNamespace: "bench", wrappingSuite, masterKey });
  const cache = cached && getLocalCryptographicMaterialsCache(100);
  const manager = cached
    ? new WebCryptoCachingMaterialsManager({ backingMaterials, cache, maxAge: 3_600_000 })
    : backingMaterials;
  return {
    encrypt: async (bytes, { context, frameLength }) =>
      (await encrypt(manager, bytes, { suiteId, encryptionContext: context, frameLength })).result,
    decrypt: async (message) => (await decrypt(manager, message)).plaintext,
    // It has no streams in browsers: whoever has a stream must gather it first.
    encryptAll: async (bytes, options) => (await encrypt(manager, bytes, { suiteId, encryptionContext: options.context, frameLength: options.frameLength })).result.length,
    decryptAll: async (message) => (await decrypt(manager, message)).plaintext.length,
  };
}

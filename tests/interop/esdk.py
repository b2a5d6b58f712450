"""The real AWS Encryption SDK for Python as a command, for the interoperability tests.

    python esdk.py encrypt    reads one JSON object a line, writes one a line:
        {"key", "plaintext", "context", "signed", "frame_length"}  ->  {"message"}
    python esdk.py decrypt
        {"key", "message"}  ->  {"plaintext", "context"}  or  {"error"}

Bytes are base64. The key is a raw AES-256 key of the name and namespace below, whose encrypted data
keys are the ones of the SDK's raw AES keyring. Decrypting demands key commitment.
"""

import base64
import json
import logging
import sys

from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.identifiers import AlgorithmSuite, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

NAMESPACE = "keyhaven-tests"
KEY_NAME = b"wrapping key"

SUITES = {
    False: AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    True: AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
}

# The SDK logs what it refuses, with a stack trace; here that is an answer like any other.
logging.disable(logging.CRITICAL)

CLIENT = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


class OneKey(RawMasterKeyProvider):
    """A provider of the one key it is given."""

    provider_id = NAMESPACE
    key = b""

    def _get_raw_key(self, key_id):
        return WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=self.key,
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )


def provider(case):
    one_key = OneKey()
    one_key.key = base64.b64decode(case["key"])
    one_key.add_master_key(KEY_NAME)
    return one_key


def encrypt(case):
    message, _ = CLIENT.encrypt(
        source=base64.b64decode(case["plaintext"]),
        key_provider=provider(case),
        encryption_context=case["context"],
        algorithm=SUITES[case["signed"]],
        frame_length=case["frame_length"],
    )
    return {"message": base64.b64encode(message).decode()}


def decrypt(case):
    try:
        plaintext, header = CLIENT.decrypt(
            source=base64.b64decode(case["message"]), key_provider=provider(case)
        )
    except Exception as error:  # Whatever the SDK refuses by: the test reads which.
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "plaintext": base64.b64encode(plaintext).decode(),
        "context": dict(header.encryption_context),
    }


def main():
    command = {"encrypt": encrypt, "decrypt": decrypt}[sys.argv[1]]
    for line in sys.stdin:
        print(json.dumps(command(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

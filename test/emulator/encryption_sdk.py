"""Makes and opens messages by the AWS Encryption SDK for Python: a JSON list of requests on standard input, of results on
standard output. KMS is where AWS_ENDPOINT_URL says."""

import base64
import json
import sys

import aws_encryption_sdk
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


class RawKeys(RawMasterKeyProvider):
    provider_id = "shop-hsm"

    def _get_raw_key(self, key_id):
        if key_id == b"aes":
            return WrappingKey(
                wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
                wrapping_key=b"k" * 32,
                wrapping_key_type=EncryptionKeyType.SYMMETRIC,
            )
        public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        return WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.RSA_OAEP_SHA256_MGF1,
            wrapping_key=public.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            wrapping_key_type=EncryptionKeyType.PUBLIC,
        )


def raw_keys(kinds):
    provider = RawKeys()
    for kind in kinds:
        provider.add_master_key(kind)
    return provider


def provider_of(request):
    """The first provider makes the data key."""
    kms = [aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(key_ids=request["keys"])] if request["keys"] else []
    raw = [raw_keys(request["raw"])] if "raw" in request else []
    first, *others = raw + kms if request.get("rawFirst") else kms + raw
    for other in others:
        first.add_master_key_provider(other)
    return first


def run(request):
    committed = request.get("committed", True)
    client = aws_encryption_sdk.EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        if committed
        else CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    )
    provider = provider_of(request)
    if "ciphertext" in request:
        plain, header = client.decrypt(source=base64.b64decode(request["ciphertext"]), key_provider=provider)
        return {"plain": base64.b64encode(plain).decode(), "context": dict(header.encryption_context)}
    options = {}
    if "suite" in request:
        options["algorithm"] = AlgorithmSuite.get_by_id(request["suite"])
    if "frameLength" in request:
        options["frame_length"] = request["frameLength"]
    message, _ = client.encrypt(
        source=base64.b64decode(request["plain"]),
        key_provider=provider,
        encryption_context=request.get("context", {}),
        **options,
    )
    return {"message": base64.b64encode(message).decode()}


json.dump([run(request) for request in json.load(sys.stdin)], sys.stdout)

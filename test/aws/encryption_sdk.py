"""Makes and opens messages by the AWS Encryption SDK for Python: a JSON list of requests on standard input, of results on
standard output. KMS is where AWS_ENDPOINT_URL says."""

import base64
import json
import sys

import aws_encryption_sdk
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy


def run(request):
    committed = request.get("committed", True)
    client = aws_encryption_sdk.EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        if committed
        else CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    )
    provider = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(key_ids=request["keys"])
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

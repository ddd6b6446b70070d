"""Any program that takes webhooks: a batch of CloudEvents, signed as Standard Webhooks has it.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#4-json-batch-format and
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, for which there are
libraries in every language, so that nobody has to write the check.
"""

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import ClassVar

from pydantic import SecretStr, field_validator

from flagtrail.connector import Secret
from flagtrail.event import to_json
from flagtrail.notices.message import Message, as_events
from flagtrail.notices.sinks import Address, Sink, json_headers, post, stamp

PREFIX = "whsec_"  # before a key in base64


class Webhook(Sink):
    """An address to which changes are posted as CloudEvents, all of them."""

    listed: ClassVar[int] = 100
    sums_up: ClassVar[bool] = False

    url: Address
    """Where: https://host/path, or a secret."""
    secret: Secret | None = None
    """What signs each message: `whsec_` and base64, as Standard Webhooks has it, or any text."""

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            _key(secret)
        return secret

    def send(self, message: Message) -> None:
        """Post a message; raises NotSent."""
        body = to_json(as_events(message))
        headers = json_headers(message) | {"content-type": "application/cloudevents-batch+json"}
        post(self, self.url.get_secret_value(), body, headers | self._signed(message.key, body))

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        """Return the headers that show who sent this, and when."""
        at = str(stamp())
        told = {"webhook-id": key, "webhook-timestamp": at}
        if self.secret is not None:
            signature = hmac.new(_key(self.secret), f"{key}.{at}.".encode() + body, sha256).digest()
            told["webhook-signature"] = f"v1,{b64encode(signature).decode()}"
        return told


def _key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        return b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ValueError(f"what follows {PREFIX} is not base64; write it as your receiver has it") from None

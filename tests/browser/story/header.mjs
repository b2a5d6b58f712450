// Reads the header of a message (AWS Encryption SDK message format, version 2), as a stranger would who
// knows the published format only.

/** The suite, context, and the one encrypted data key. */
export function readHeader(bytes) {
  let at = 0;
  const take = (length) => bytes.subarray(at, (at += length));
  const number = (length) => take(length).readUIntBE(0, length);
  const field = () => take(number(2));

  const version = number(1);
  const suite = number(2);
  const messageId = take(32);
  const contextLength = number(2);
  const context = {};
  if (contextLength > 0) {
    for (let pairs = number(2); pairs > 0; pairs -= 1) {
      const name = field().toString("utf8");
      context[name] = field().toString("utf8");
    }
  }
  const dataKeys = [];
  for (let count = number(2); count > 0; count -= 1) {
    dataKeys.push({ provider: field().toString("utf8"), info: field(), encrypted: field() });
  }
  return { version, suite, messageId, context, dataKeys };
}

use keyhaven_sdk::{Client, Credential, Endpoint, EncryptingWriter, Error, Limits, context};
use std::io::{Read, Write};

/// Encrypts a small record and a large file, and decrypts them again.
pub async fn story(endpoint: &Endpoint, token: Credential) -> Result<(), Error> {
    let client = Client::with_token(endpoint, token, Limits::default())?;

    // What the data is about: readable by all, and bound to it. Only the same opens it.
    let about = context([("customer", "42"), ("kind", "invoice")])?;
    let message = client.encrypt("app:invoices", &about, b"27 pounds").await?;
    assert_eq!(client.decrypt(&message, &about).await?, b"27 pounds");

    // A message that was moved to another customer is refused before anything is decrypted.
    let refused = client.decrypt(&message, &context([("customer", "43")])?).await;
    assert_eq!(refused.unwrap_err().code(), "context_mismatch");

    // A large file passes through in pieces; its end is written by `finish`.
    let mut writer =
        EncryptingWriter::new(client.encryption("app:invoices", &about).await?, Vec::new());
    for _ in 0..1_000 {
        writer.write_all(&[7; 1_000])?;
    }
    let file = writer.finish()?;

    // Each frame comes out as soon as it is verified. A file that is cut off ends with an error.
    let mut reader = client.decrypting_reader(file.as_slice(), &about).await?;
    let mut plaintext = Vec::new();
    reader.read_to_end(&mut plaintext)?;
    assert!(plaintext == vec![7; 1_000_000]);
    Ok(())
}

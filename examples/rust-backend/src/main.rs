//! A backend that encrypts each record before it is stored, so that its database holds ciphertext only.
//!
//!     records put ID FILE     encrypts the file's content under the record's id
//!     records get ID          decrypts it to the standard output

use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use keyhaven_sdk::{Client, EncryptingWriter, Endpoint, Error, Limits, context};

const KEY: &str = "records";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["put", id, file] if is_id(id) => put(id, file).await,
        ["get", id] if is_id(id) => get(id).await,
        _ => return failed(2, "usage: records put ID FILE | get ID"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(1, &format!("{}: {error}", error.code())),
    }
}

/// The client: `KEYHAVEN_ADDR` and `KEYHAVEN_TOKEN` say whose.
fn connected() -> Result<Client, Error> {
    let (endpoint, token) = Endpoint::from_environment()?;
    Client::with_token(&endpoint, token, Limits::default())
}

async fn put(id: &str, file: &str) -> Result<(), Error> {
    let mut file = File::open(file)?;
    // The id is bound to the data: a message that was moved to another record does not open there.
    let encryption = connected()?.encryption(KEY, &context([("record", id)])?).await?;
    fs::create_dir_all(folder())?;
    let mut record = EncryptingWriter::new(encryption, File::create(folder().join(id))?);
    io::copy(&mut file, &mut record)?;
    // Without its end a message opens nowhere as a whole one.
    record.finish()?.sync_all()?;
    Ok(())
}

async fn get(id: &str) -> Result<(), Error> {
    let record = File::open(folder().join(id))?;
    let mut plaintext = connected()?.decrypting_reader(record, &context([("record", id)])?).await?;
    // Each frame comes out as soon as it is verified: a message that is cut off ends with an error, so do not
    // act on a record before its end.
    io::copy(&mut plaintext, &mut io::stdout())?;
    Ok(())
}

fn folder() -> PathBuf {
    env::var_os("RECORDS").unwrap_or_else(|| "records".into()).into()
}

/// An id is a file's name here, and never a path.
fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// Says what went wrong; gives the program's exit status.
fn failed(status: u8, what: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{what}");
    ExitCode::from(status)
}

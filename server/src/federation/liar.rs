//! A provider on loopback for tests, which answers what it is told to.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A good answer: its status and headers.
pub(crate) const JSON: &str = "200 OK\r\nContent-Type: application/json";

/// What a provider answers to a path: status and headers, then the body.
type Answers = Box<dyn Fn(&str, &str) -> (String, String) + Send>;

/// A provider that runs until the test ends.
pub(crate) struct Liar {
    /// Its address, which is its name.
    pub(crate) issuer: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    /// It is told the path, and the address of itself.
    pub(crate) fn answering(
        answers: impl Fn(&str, &str) -> (String, String) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let provider = Self::at(&format!("http://{}", listener.local_addr().unwrap()));
        let (log, itself) = (Arc::clone(&provider.asked), provider.issuer.clone());
        let answers: Answers = Box::new(answers);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&stream.unwrap(), &itself, (&answers, &log));
            }
        });
        provider
    }

    /// An address where nobody answers.
    pub(crate) fn at(issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), asked: Arc::default() }
    }

    /// The paths that were asked for, each with the body of the request if it had one.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads a request and answers it. The reader may be gone: it reads no more than it must.
fn answer(mut stream: &TcpStream, issuer: &str, (answers, log): (&Answers, &Mutex<Vec<String>>)) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    let text = String::from_utf8(request).unwrap().to_ascii_lowercase();
    let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    let path = text.split(' ').nth(1).unwrap_or_default();
    let body = String::from_utf8(body).unwrap();
    log.lock().unwrap().push([path, &body].join(" ").trim().to_owned());
    let (head, body) = answers(path, issuer);
    let length = body.len();
    let whole =
        format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    drop(stream.write_all(whole.as_bytes()));
}

//! Messages in pieces: through `std::io`, and through streams.

use std::io::{self, Read, Write};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use keyhaven_shared::context::EncryptionContext;

use super::{Limits, World, code, context};
use crate::native::{error::Error, io::EncryptingWriter};

const SIZES: [usize; 5] = [0, 1, 65_536, 200_000, 1_000_000];

fn data(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

async fn written(world: &World, data: &[u8]) -> Vec<u8> {
    let about = context("file", "42");
    let encryption = world.client.encryption("app:photos", &about).await.unwrap();
    let mut writer = EncryptingWriter::new(encryption, Vec::new());
    io::copy(&mut &*data, &mut writer).unwrap();
    writer.finish().unwrap()
}

async fn collected(
    stream: impl stream::Stream<Item = Result<Bytes, Error>>,
) -> Result<Vec<u8>, Error> {
    let pieces: Vec<_> = stream.try_collect().await?;
    Ok(pieces.concat())
}

fn chunks(data: &[u8], size: usize) -> impl stream::Stream<Item = io::Result<Vec<u8>>> + use<> {
    let pieces: Vec<_> = data.chunks(size).map(|piece| Ok(piece.to_vec())).collect();
    stream::iter(pieces)
}

#[tokio::test(start_paused = true)]
async fn every_way_to_write_is_read_every_way() {
    for world in World::both().await {
        for size in SIZES {
            let (data, about) = (data(size), context("file", "42"));
            let whole = world.encrypt(&data).await.unwrap();
            let written = written(&world, &data).await;
            let streamed = chunks(&data, 10_000);
            let streamed = world.client.encrypt_stream("app:photos", about.clone(), streamed);
            let streamed = collected(streamed).await.unwrap();
            for message in [whole, written, streamed] {
                assert_eq!(world.decrypt(&message).await.unwrap(), data);
                let reader = world.client.decrypting_reader(message.as_slice(), &about).await;
                let mut read = Vec::new();
                reader.unwrap().read_to_end(&mut read).unwrap();
                assert!(read == data, "{size}");
                let opened = world.client.decrypt_stream(chunks(&message, 10_000), about.clone());
                assert!(collected(opened).await.unwrap() == data, "{size}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_single_bytes_is_the_same() {
    let world = World::with_token(Limits::default());
    let about = context("file", "42");
    let message = world.client.encrypt_stream("photos", about.clone(), chunks(&data(300), 1));
    let message = collected(message).await.unwrap();
    let opened = world.client.decrypt_stream(chunks(&message, 1), about);
    assert_eq!(collected(opened).await.unwrap(), data(300));
}

#[tokio::test(start_paused = true)]
async fn a_cut_message_gives_its_frames_and_then_an_error_for_good() {
    let world = World::with_token(Limits::default());
    let message = written(&world, &data(800_000)).await;
    let about = context("file", "42");
    let cut = &message[..message.len() - 1];
    let mut reader = world.client.decrypting_reader(cut, &about).await.unwrap();
    let mut read = Vec::new();
    let error = reader.read_to_end(&mut read).unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).unwrap();
    assert_eq!(inner.code(), "message_truncated");
    assert!(read == data(3 * 262_144), "whole frames, and no byte of the last");
    assert!(reader.read(&mut [0; 10]).is_err(), "an error is no end");

    let stream = world.client.decrypt_stream(chunks(cut, 10_000), about);
    let pieces: Vec<_> = stream.collect().await;
    let (last, frames) = pieces.split_last().unwrap();
    assert_eq!(code(last.clone()), "message_truncated");
    let frames: Vec<_> = frames.iter().map(|piece| piece.clone().unwrap()).collect();
    assert!(frames.concat() == data(3 * 262_144));
}

#[tokio::test(start_paused = true)]
async fn a_changed_frame_gives_those_before_it_and_nothing_after() {
    let world = World::with_token(Limits::default());
    let mut message = written(&world, &data(200_000)).await;
    let at = message.len() - 100_000;
    message[at] ^= 1;
    let about = context("file", "42");
    let mut reader = world.client.decrypting_reader(message.as_slice(), &about).await.unwrap();
    let mut read = Vec::new();
    for _ in 0..3 {
        assert!(reader.read_to_end(&mut read).is_err());
    }
    assert!(data(200_000).starts_with(&read) && read.len() <= 65_536, "{}", read.len());
    let stream = world.client.decrypt_stream(chunks(&message, 1_000_000), about);
    assert_eq!(code(collected(stream).await), "message_refused");
}

#[tokio::test(start_paused = true)]
async fn an_input_that_fails_is_told_apart_and_ends_the_stream() {
    let world = World::with_token(Limits::default());
    let about = context("file", "42");
    let failing = |first: &[u8]| {
        let pieces = [Ok(first.to_vec()), Err(io::Error::other("the disk is gone"))];
        stream::iter(pieces)
    };
    let stream = world.client.encrypt_stream("photos", about.clone(), failing(b"data"));
    assert_eq!(code(collected(stream).await), "input_failed");
    let message = world.encrypt(b"data").await.unwrap();
    let stream = world.client.decrypt_stream(failing(&message), about.clone());
    assert_eq!(code(collected(stream).await), "input_failed");
    let empty = world.client.decrypt_stream(chunks(&[], 1), about.clone());
    assert_eq!(code(collected(empty).await), "message_truncated");
    let empty = world.client.decrypting_reader(&[][..], &about).await;
    assert_eq!(code(empty.map(drop)), "message_truncated");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_finished_is_no_message() {
    let world = World::with_token(Limits::default());
    let about = context("file", "42");
    let encryption = world.client.encryption("photos", &about).await.unwrap();
    let mut message = Vec::new();
    let mut writer = EncryptingWriter::new(encryption, &mut message);
    writer.write_all(&data(100_000)).unwrap();
    writer.flush().unwrap();
    drop(writer);
    assert_eq!(code(world.decrypt(&message).await), "message_truncated");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_polled_asks_for_nothing() {
    let world = World::with_token(Limits::default());
    let about = EncryptionContext::default();
    drop(world.client.encrypt_stream("photos", about, chunks(&data(10), 1)));
    assert_eq!(world.asked(), 0);
}

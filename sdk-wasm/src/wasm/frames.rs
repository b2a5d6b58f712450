//! Frames that WebCrypto encrypts and decrypts: this module says where each stands and what its tag
//! covers; the bulk never comes here, and the message key never becomes a value in JavaScript.

use keyhaven_shared::{
    message::{Frame, FrameCipher, MessageError, Next, ReadPlan, RustCipher, WritePlan},
    secret::MessageKey,
};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::{error::Fault, sweep::sweep_on_drop};

#[wasm_bindgen(raw_module = "../dist/platform.js")]
extern "C" {
    /// `subtle.importKey` as it was when the package was loaded: a promise of a `CryptoKey` that cannot
    /// be extracted. The bytes are a view of this module's memory, and are copied before it returns.
    #[wasm_bindgen(js_name = importMessageKey)]
    fn import_message_key(bytes: &[u8], usage: &str) -> JsValue;
}

/// Gives a message key to WebCrypto; here it is zeroized.
fn hand_over(key: &mut Option<MessageKey>, usage: &str) -> Result<JsValue, Fault> {
    let key = key.take().ok_or(Fault::Finished)?;
    // EXPOSE: WebCrypto takes it up as a key that cannot be extracted.
    Ok(import_message_key(key.expose_secret(), usage))
}

/// The frames of one message that is written.
#[wasm_bindgen]
pub struct FrameWriter {
    pub(super) key: Option<MessageKey>,
    pub(super) plan: WritePlan,
    pub(super) header: Vec<u8>,
}

#[wasm_bindgen]
impl FrameWriter {
    /// The message's beginning: its header and tag. Gives it once.
    #[must_use]
    pub fn header(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.header)
    }

    /// Plaintext bytes in each frame but the last.
    #[wasm_bindgen(getter, js_name = frameLength)]
    #[must_use]
    pub fn frame_length(&self) -> u32 {
        self.plan.frame_length()
    }

    /// A promise of the `CryptoKey` to encrypt the frames with.
    ///
    /// # Errors
    /// [`Fault::Finished`] the second time.
    #[wasm_bindgen(js_name = importKey)]
    pub fn import_key(&mut self) -> Result<JsValue, Fault> {
        hand_over(&mut self.key, "encrypt")
    }

    /// Goes on to the next frame: IV (12 bytes), head (4 bytes more), associated data.
    ///
    /// # Errors
    /// [`Fault::Message`] beyond 2³² − 2 frames.
    pub fn regular(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(written(&self.plan.regular()?))
    }

    /// Goes on to the final frame, of so many bytes: IV (12 bytes), head (12 bytes more), associated data.
    ///
    /// # Errors
    /// [`Fault::Message`] for more than a frame's length, and after the final frame.
    pub fn last(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        Ok(written(&self.plan.last(length)?))
    }

    /// The message's end, and its header if that is still here: the final frame encrypted in this module, for so little that WebCrypto is not worth its while; before any key
    /// was imported.
    ///
    /// # Errors
    /// As [`Self::last`]; [`Fault::Finished`] after [`Self::import_key`].
    #[wasm_bindgen(js_name = sealLast)]
    pub fn seal_last(&mut self, content: &[u8]) -> Result<Vec<u8>, Fault> {
        let key = self.key.take().ok_or(Fault::Finished)?;
        let mut out = self.header();
        RustCipher::new(&key)?.seal(&self.plan.last(content.len())?, content, &mut out)?;
        Ok(out)
    }
}

fn written(frame: &Frame) -> Vec<u8> {
    [frame.iv().as_slice(), &frame.head(), &frame.aad()].concat()
}

/// The frames of one message that is read, whose header was verified.
#[wasm_bindgen]
pub struct FrameReader {
    pub(super) key: Option<MessageKey>,
    pub(super) plan: ReadPlan,
}

sweep_on_drop!(FrameWriter, FrameReader);

#[wasm_bindgen]
impl FrameReader {
    /// A promise of the `CryptoKey` to decrypt the frames with.
    ///
    /// # Errors
    /// [`Fault::Finished`] the second time.
    #[wasm_bindgen(js_name = importKey)]
    pub fn import_key(&mut self) -> Result<JsValue, Fault> {
        hand_over(&mut self.key, "decrypt")
    }

    /// How many bytes the next frame has, told from its first: at least more than these, as long as they
    /// do not tell. 24 always do.
    ///
    /// # Errors
    /// [`Fault::Message`] for a frame out of turn or too long, and after the final frame.
    pub fn look(&self, seen: &[u8]) -> Result<usize, Fault> {
        Ok(match self.plan.look(seen)? {
            Next::Needs(bytes) => bytes,
            Next::Frame(frame) => frame.frame_bytes(),
        })
    }

    /// Goes on past the frame that begins with these bytes: the length of its head (1 byte), IV (12 bytes),
    /// associated data.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn take(&mut self, seen: &[u8]) -> Result<Vec<u8>, Fault> {
        let Next::Frame(frame) = self.plan.look(seen)? else {
            return Err(Fault::Message(MessageError::Truncated));
        };
        self.plan.advance(&frame);
        let head = u8::try_from(frame.head_length()).map_err(|_| Fault::Argument)?;
        Ok([[head].as_slice(), frame.iv(), &frame.aad()].concat())
    }

    /// Decrypts the final frame here, as [`FrameWriter::seal_last`] encrypts it; nothing for another frame,
    /// which waits for WebCrypto.
    ///
    /// # Errors
    /// As [`Self::look`], [`Fault::Message`] for a frame that is not genuine, [`Fault::Finished`] after
    /// [`Self::import_key`].
    #[wasm_bindgen(js_name = openLast)]
    pub fn open_last(&mut self, whole: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let Next::Frame(frame) = self.plan.look(whole)? else {
            return Err(Fault::Message(MessageError::Truncated));
        };
        if !frame.is_last() {
            return Ok(None);
        }
        let key = self.key.take().ok_or(Fault::Finished)?;
        self.plan.advance(&frame);
        let mut out = Vec::with_capacity(frame.content_length());
        RustCipher::new(&key)?.open(&frame, whole, &mut out)?;
        Ok(Some(out))
    }

    /// Goes to the frame of this number, from 1.
    pub fn seek(&mut self, sequence: u32) {
        self.plan = self.plan.from(sequence);
    }

    /// Whether the final frame was taken.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn done(&self) -> bool {
        self.plan.is_done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::{HeaderReader, story::World};

    const TEXT: &[u8] = b"forty bytes of text, two frames and half";

    /// Encrypts as WebCrypto would, from nothing but what the plan tells.
    fn written_outside(writer: &mut FrameWriter, text: &[u8]) -> Vec<u8> {
        let cipher = RustCipher::new(&writer.key.take().unwrap()).unwrap();
        let mut out = writer.header();
        let frames = text.chunks_exact(writer.frame_length() as usize);
        let last = frames.remainder();
        let mut seal = |plan: Vec<u8>, head: usize, content: &[u8]| {
            let (iv, rest) = plan.split_first_chunk().unwrap();
            let (head, aad) = rest.split_at(head);
            let mut content = content.to_vec();
            let tag = cipher.seal_in_place(iv, aad, &mut content).unwrap();
            out.extend([head, &content, &tag].concat());
        };
        for content in frames {
            seal(writer.regular().unwrap(), 16, content);
        }
        seal(writer.last(last.len()).unwrap(), 24, last);
        out
    }

    fn read_outside(reader: &mut FrameReader, mut body: &[u8]) -> Result<Vec<u8>, Fault> {
        let cipher = RustCipher::new(&reader.key.take().unwrap()).unwrap();
        let mut out = Vec::new();
        while !body.is_empty() {
            let whole = body.split_off(..reader.look(body)?).ok_or(Fault::Finished)?;
            let plan = reader.take(&whole[..whole.len().min(24)])?;
            let (iv, aad) = plan[1..].split_first_chunk().unwrap();
            let (content, tag) = whole[usize::from(plan[0])..].split_last_chunk().unwrap();
            let mut content = content.to_vec();
            cipher.open_in_place(iv, aad, &mut content, tag)?;
            out.extend(content);
        }
        if reader.done() { Ok(out) } else { Err(MessageError::Truncated.into()) }
    }

    #[test]
    fn frames_encrypted_elsewhere_make_the_same_messages() {
        let world = World::make();
        let message = written_outside(&mut world.prepared().seal_frames(Some(16)).unwrap(), TEXT);
        assert_eq!(world.handle("decrypt").open(&message).unwrap(), TEXT);
        let header = HeaderReader::new().push(&message).unwrap().unwrap();
        assert_eq!(header.frame_length(), Some(16));
        let body = &message[message.len() - header.rest()..];
        let open = || header.open_frames(&world.handle("decrypt")).unwrap();
        assert_eq!(read_outside(&mut open(), body).unwrap(), TEXT);
        for cut in [&body[..48], &body[..96]] {
            assert_eq!(read_outside(&mut open(), cut), Err(MessageError::Truncated.into()));
        }
        let twice = [body, body].concat();
        assert_eq!(read_outside(&mut open(), &twice), Err(MessageError::TrailingData.into()));
        assert_eq!(read_outside(&mut open(), &body[48..]), Err(MessageError::Refused.into()));
        let layout = header.layout(body.len() as f64).unwrap();
        assert_eq!((layout.size(), layout.frames(), layout.offset(3)), (40.0, 3, 96.0));
    }

    #[test]
    fn a_frame_that_is_sought_must_have_that_number() {
        let world = World::make();
        let message = written_outside(&mut world.prepared().seal_frames(Some(16)).unwrap(), TEXT);
        let header = HeaderReader::new().push(&message).unwrap().unwrap();
        let body = &message[message.len() - header.rest()..];
        let mut reader = header.open_frames(&world.handle("decrypt")).unwrap();
        reader.seek(3);
        assert_eq!(reader.look(&body[96..]), Ok(24 + 8 + 16));
        reader.seek(2);
        assert_eq!(reader.look(&body[48..]), Ok(48));
        assert_eq!(reader.look(&body[96..]), Err(MessageError::Refused.into()));
    }

    #[test]
    fn a_short_message_is_written_and_read_here_and_its_key_serves_once() {
        let world = World::make();
        let mut writer = world.prepared().seal_frames(None).unwrap();
        let message = writer.seal_last(b"short").unwrap();
        assert_eq!(writer.seal_last(b"again"), Err(Fault::Finished));
        let header = HeaderReader::new().push(&message).unwrap().unwrap();
        let mut body = message[message.len() - header.rest()..].to_vec();
        let open = || header.open_frames(&world.handle("decrypt")).unwrap();
        let mut reader = open();
        assert_eq!(reader.open_last(&body).unwrap().unwrap(), b"short");
        assert!(reader.done());
        assert_eq!(reader.open_last(&body).err(), Some(MessageError::TrailingData.into()));
        body[30] ^= 1;
        assert_eq!(open().open_last(&body), Err(MessageError::Refused.into()));
        assert_eq!(open().open_last(&body[..7]), Err(MessageError::Truncated.into()));
    }
}
